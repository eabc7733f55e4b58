/** NumPy's npz format: a zip archive of npy files. */
import { ProjError, withDefaults } from '@proj/kernel';
import { unzipSync, zipSync } from 'fflate';
import type { Tensor } from '../tensor.ts';
import type { LoadOptions } from './bytes.ts';
import { describeSource, readAll, type Source, writeAtomically } from './files.ts';
import { npyBytes, parseNpy } from './npy.ts';

/** All arrays of a .npz file or its bytes, by name. Errors: not a zip archive; a damaged member. */
export function loadNpz(source: Source, options: LoadOptions = {}): Record<string, Tensor> {
  const where = describeSource(source);
  const bytes = readAll('loadNpz', source);
  let members: Record<string, Uint8Array>;
  try {
    members = unzipSync(bytes);
  } catch (error) {
    throw new ProjError('serialization', `${where}: the archive cannot be read (${(error as Error).message})`, {
      op: 'npz',
      cure: 'The file is damaged or not an npz file: fetch or write it again',
      cause: error,
    });
  }
  return Object.fromEntries(
    Object.entries(members)
      .filter(([name]) => name.endsWith('.npy'))
      .map(([name, member]) => [name.slice(0, -'.npy'.length), parseNpy(member, options, `${where}, ${name}`)]),
  );
}

export interface NpzOptions {
  /** Deflate the members, as `numpy.savez_compressed` does (default false). */
  readonly compressed?: boolean;
}

/** Arrays as npz bytes. */
export function npzBytes(tensors: Readonly<Record<string, Tensor>>, options: NpzOptions = {}): Uint8Array {
  const { compressed } = withDefaults('npzBytes', { compressed: false }, options);
  return zipSync(
    Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [`${name}.npy`, npyBytes(tensor)])),
    { level: compressed ? 6 : 0 },
  );
}

/** Writes a .npz file, atomically. */
export const saveNpz = (
  path: string | URL,
  tensors: Readonly<Record<string, Tensor>>,
  options: NpzOptions = {},
): void => writeAtomically('saveNpz', path, [npzBytes(tensors, options)]);
