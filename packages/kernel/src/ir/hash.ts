/** Structural hash of a kernel: two kernels with the same parameters and code have the same hash, whatever they are called. */
import type { Kernel } from './ir.ts';
import { printKernel } from './print.ts';

/** 106 bits of two independent 53-bit string hashes (cyrb53, public domain idea by bryc), as hexadecimal text. */
export function hashText(text: string): string {
  return hash53(text, 0) + hash53(text, 0x9e3779b9);
}

function hash53(text: string, seed: number): string {
  let a = 0xdeadbeef ^ seed;
  let b = 0x41c6ce57 ^ seed;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    a = Math.imul(a ^ code, 2654435761);
    b = Math.imul(b ^ code, 1597334677);
  }
  a = Math.imul(a ^ (a >>> 16), 2246822507) ^ Math.imul(b ^ (b >>> 13), 3266489909);
  b = Math.imul(b ^ (b >>> 16), 2246822507) ^ Math.imul(a ^ (a >>> 13), 3266489909);
  return (4294967296 * (2097151 & b) + (a >>> 0)).toString(16).padStart(14, '0');
}

const hashes = new WeakMap<Kernel, string>();

/** A key that is equal for kernels of the same structure; the name does not count. */
export function hashKernel(kernel: Kernel): string {
  let hash = hashes.get(kernel);
  if (hash === undefined) hashes.set(kernel, (hash = hashText(printKernel({ ...kernel, name: '' }))));
  return hash;
}
