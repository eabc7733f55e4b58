/**
 * Files as device memory: mapped read-only, so that nothing is read before it is used and several processes share one copy. A file that is replaced by a rename
 * stays as it was; one that is cut short in place takes the process down when its lost pages are read, as with any mapping.
 */
import { type Device, ProjError, toProjError } from '@proj/kernel';
import { type Block, NativeBuffer } from './buffers.ts';
import { type Address, cLibrary, koffi } from './ffi.ts';
import { closeSync, fstatSync, openSync } from './node-modules.ts';

/** Kernels read it by its address: it becomes an object of V8, which would count it among what there is to collect, when JavaScript asks for it. */
class MappedBlock implements Block {
  readonly address: Address;
  readonly offset = 0;
  readonly capacity: number;
  #memory: ArrayBuffer | undefined;

  constructor(address: Address, capacity: number) {
    this.address = address;
    this.capacity = capacity;
  }

  get memory(): ArrayBuffer {
    return (this.#memory ??= koffi().view(BigInt(this.address), this.capacity) as ArrayBuffer);
  }
}

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
    return new NativeBuffer(device, new Mapping(), new MappedBlock(address, bytes), bytes);
  } finally {
    closeSync(file);
  }
}
