/**
 * Files as device memory: mapped read-only, so that nothing is read before it is used and several processes share one copy. A file that is replaced by a rename
 * stays as it was; one that is cut short in place takes the process down when its lost pages are read, as with any mapping.
 */
import { closeSync, fstatSync, openSync } from 'node:fs';
import { type Device, ProjError, toProjError } from '@proj/kernel';
import { type Block, NativeBuffer } from './buffers.ts';
import { cLibrary, koffi } from './ffi.ts';

/** Unmaps what was mapped when its buffer is disposed of. */
class Mapping {
  giveBack(block: Block): void {
    cLibrary().unmap(block.address, block.capacity);
  }
}

/** The whole of a file as a buffer that kernels may only read. @throws ProjError `serialization` when it cannot be opened, `out-of-memory` when it cannot be mapped. */
export function mapFile(device: Device, path: string): NativeBuffer {
  const open = (): number => {
    try {
      return openSync(path, 'r');
    } catch (cause) {
      throw new ProjError('serialization', `${path} cannot be opened: ${toProjError(cause).message}`, {
        op: 'mapFile',
        cure: 'Check the path and its permissions',
        cause,
      });
    }
  };
  const file = open();
  try {
    const bytes = fstatSync(file).size;
    if (bytes === 0)
      throw new ProjError('serialization', `${path} is empty`, { op: 'mapFile', cure: 'Write it again' });
    const address = cLibrary().mapFile(file, bytes);
    const memory = koffi().view(BigInt(address), bytes) as ArrayBuffer;
    return new NativeBuffer(device, new Mapping(), { memory, address, offset: 0, capacity: bytes }, bytes);
  } finally {
    closeSync(file);
  }
}
