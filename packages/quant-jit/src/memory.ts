/** Memory is asked for before any of it is taken, so that too little of it is an error with figures and not a process that ends. */
import { describeBytes, ProjError } from '@proj/kernel';

/** What memory is for (`weights`, `the caches of …`), and how many bytes. */
export type MemoryParts = Readonly<Record<string, number>>;

/** Throws when there is less memory than all parts take. @throws ProjError `out-of-memory` with what is needed for what, and what there is. */
export function requireMemory(subject: string, parts: MemoryParts, details: { op: string; cure: string }): void {
  const needed = Object.values(parts).reduce((sum, bytes) => sum + bytes, 0);
  const available = process.availableMemory();
  if (needed <= available) return;
  const list = Object.entries(parts).map(([purpose, bytes]) => `${describeBytes(bytes)} for ${purpose}`);
  throw new ProjError(
    'out-of-memory',
    `${subject} needs ${describeBytes(needed)}: ${list.join(', ')}; ${describeBytes(available)} are available`,
    details,
  );
}
