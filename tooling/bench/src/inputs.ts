/**
 * Inputs that every runner can make for itself, bit for bit (the Python runner has the same few lines): a multiplicative hash of the
 * position gives 24-bit fractions in [-0.5, 0.5). No file has to travel, and outputs can be compared between runners.
 */

/** `length` values in [-0.5, 0.5), a different list for each seed. */
export function uniform(length: number, seed: number): Float32Array<ArrayBuffer> {
  const values = new Float32Array(length);
  const start = Math.imul(seed, 0x9e3779b1);
  for (let i = 0; i < length; i++) {
    let hash = Math.imul((i + start + 1) | 0, 0x9e3779b1);
    hash = Math.imul(hash ^ (hash >>> 15), 0x85ebca6b);
    values[i] = ((hash ^ (hash >>> 13)) >>> 8) / 16777216 - 0.5;
  }
  return values;
}

/** `length` class numbers below `classes`, all of them in turn. */
export function labels(length: number, classes: number, factor = 7): Int32Array<ArrayBuffer> {
  return Int32Array.from({ length }, (_, i) => (i * factor + 3) % classes);
}
