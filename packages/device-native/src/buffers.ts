/**
 * Memory of the native device: array buffers of V8, which accounts for and collects them by itself, even in a loop that never awaits.
 *
 * Disposed buffers go to a pool of size classes and are handed out again, because touching fresh pages costs more than most kernels.
 * (Size-keyed pools as in MLX.)
 */
import { describeBytes, MemoryUse, ProjError, type Device, type DeviceBuffer } from '@proj/kernel';
import { addressOf, cLibrary, type Address } from './ffi.ts';
import { freemem } from './node-modules.ts';

const ALIGNMENT = 64;
const SMALLEST = 256;
/** From this size on, huge pages are asked for and buffers begin on a page. */
const HUGE_FROM = 1 << 20;
const PAGE_BYTES = 4096;
/** From this size on they begin on a huge page: a buffer that begins between two has small pages at both ends. */
const ON_HUGE_FROM = 4 << 20;
const HUGE_PAGE_BYTES = 2 << 20;
/** Buffers that are read side by side begin so many different distances from a huge page's begin: else they compete for the same cache sets. */
const STAGGERS = 16;
const STAGGER_BYTES = 2 * PAGE_BYTES;
/** The pool keeps at most this share of what is in use, and never less than the floor. */
const POOL_FLOOR = 64 << 20;
const MOST_BYTES = 2 ** 47;
/** From this size on memory is asked for only where there is so much: the system promises more than it has, and ends a process that takes it. */
const SPARSE_FROM = 2 ** 30;

/** Bytes that the machine, or the container, has to give. */
const freeMemory = (): number => Math.min(freemem(), process.constrainedMemory() || Infinity);

/** The capacity that serves `bytes`: four classes to each power of two, so that at most a fifth is unused. */
export function sizeClass(bytes: number): number {
  if (bytes <= SMALLEST) return SMALLEST;
  const step = 2 ** Math.floor(Math.log2(bytes - 1)) / 4;
  return Math.ceil(bytes / step) * step;
}

/** A piece of memory, aligned, with its address looked up once. */
export interface Block {
  /** Its bytes as JavaScript sees them. */
  readonly memory: ArrayBuffer;
  readonly address: Address;
  /** First aligned byte in `memory`. */
  readonly offset: number;
  readonly capacity: number;
}

/** Where a buffer's memory goes when it is disposed of. */
export interface BlockOwner {
  giveBack(block: Block): void;
}

/** A buffer of the native device. */
export class NativeBuffer implements DeviceBuffer {
  readonly device: Device;
  readonly bytes: number;
  readonly #owner: BlockOwner;
  #block: Block | undefined;

  constructor(device: Device, owner: BlockOwner, block: Block, bytes: number) {
    this.device = device;
    this.bytes = bytes;
    this.#owner = owner;
    this.#block = block;
  }

  get disposed(): boolean {
    return this.#block === undefined;
  }

  /** Where its first byte lies. */
  get address(): Address {
    return this.#live().address;
  }

  /** Its bytes, without a copy. */
  view(): Uint8Array<ArrayBuffer> {
    const { memory, offset } = this.#live();
    return new Uint8Array(memory, offset, this.bytes);
  }

  dispose(): void {
    const block = this.#block;
    if (block === undefined) return;
    this.#block = undefined;
    this.#owner.giveBack(block);
  }

  #live(): Block {
    if (this.#block === undefined)
      throw new ProjError('invalid-argument', 'the buffer was disposed of', {
        op: 'native device',
        cure: 'Keep it until its last reader has run',
      });
    return this.#block;
  }
}

/** Hands out blocks and takes them back. */
export class BufferPool {
  readonly #free = new Map<number, Block[]>();
  readonly #use = new MemoryUse();
  #pooled = 0;
  #created = 0;

  get used(): number {
    return this.#use.current(this.#pooled);
  }
  get pooled(): number {
    return this.#pooled;
  }

  allocate(device: Device, bytes: number): NativeBuffer {
    if (!Number.isSafeInteger(bytes) || bytes < 0)
      throw new ProjError('invalid-argument', `a buffer of ${bytes} bytes`, { op: 'allocate' });
    const block = this.#take(sizeClass(bytes), bytes);
    this.#use.add(block.capacity);
    return new NativeBuffer(device, this, block, bytes);
  }

  giveBack(block: Block): void {
    this.#use.remove(block.capacity);
    const pooled = this.#pooled + block.capacity;
    if (pooled > POOL_FLOOR && pooled > this.used) return;
    const free = this.#free.get(block.capacity);
    if (free === undefined) this.#free.set(block.capacity, [block]);
    else free.push(block);
    this.#pooled += block.capacity;
  }

  /** Lets go of all pooled memory. */
  clear(): void {
    this.#free.clear();
    this.#pooled = 0;
  }

  #take(capacity: number, bytes: number): Block {
    const block = this.#free.get(capacity)?.pop();
    if (block !== undefined) {
      this.#pooled -= capacity;
      return block;
    }
    try {
      // What is in use may be garbage that nobody has collected yet.
      if (capacity >= SPARSE_FROM && capacity > freeMemory() + this.used)
        throw new RangeError('more memory than is free');
      return create(capacity, this.#created++);
    } catch (cause) {
      this.clear();
      throw new ProjError(
        'out-of-memory',
        `no room for ${describeBytes(bytes)}: ${describeBytes(this.used)} are in use, and ${describeBytes(freeMemory())} of memory free`,
        {
          op: 'allocate',
          cure: 'Evaluate in smaller pieces (smaller batches), or give values back early with tidy() or dispose()',
          cause,
        },
      );
    }
  }
}

/** A block of zeros; `index` differs from one to the next. */
function create(capacity: number, index: number): Block {
  if (capacity > MOST_BYTES) throw new RangeError('more than the processor can address');
  if (capacity >= ON_HUGE_FROM) return createOnHugePages(capacity, (index % STAGGERS) * STAGGER_BYTES);
  const alignment = capacity >= HUGE_FROM ? PAGE_BYTES : ALIGNMENT;
  const memory = new ArrayBuffer(capacity + alignment);
  const start = addressOf(memory);
  const address = Math.ceil(start / alignment) * alignment;
  if (capacity >= HUGE_FROM) cLibrary().adviseHuge(address, capacity);
  return { memory, address, offset: address - start, capacity };
}

function createOnHugePages(capacity: number, stagger: number): Block {
  const memory = new ArrayBuffer(capacity + HUGE_PAGE_BYTES + stagger);
  const start = addressOf(memory);
  const page = Math.ceil(start / HUGE_PAGE_BYTES) * HUGE_PAGE_BYTES;
  cLibrary().adviseHuge(page, capacity + stagger);
  const address = page + stagger;
  return { memory, address, offset: address - start, capacity };
}
