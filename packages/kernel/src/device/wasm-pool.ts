/**
 * The allocator of a linear memory. Sizes are rounded up to classes (eight to a power of two), freed blocks wait in a list of their class, so
 * that a program which repeats itself gets the same blocks again. Before the memory grows, neighbouring free blocks are merged and cut anew.
 */

const ALIGNMENT = 64;

/** The size of a block for `bytes` bytes: at most an eighth more, a multiple of 64. */
export function blockSize(bytes: number): number {
  const wanted = Math.max(ALIGNMENT, Math.ceil(bytes / ALIGNMENT) * ALIGNMENT);
  if (wanted <= 8 * ALIGNMENT) return wanted;
  const step = Math.max(ALIGNMENT, 2 ** (Math.floor(Math.log2(wanted - 1)) - 3));
  return Math.ceil(wanted / step) * step;
}

export class MemoryPool {
  readonly #ensure: (end: number) => boolean;
  /** Addresses of free blocks, by size. */
  readonly #free = new Map<number, number[]>();
  /** Nothing above was ever given out. */
  #top: number;
  #used = 0;
  #pooled = 0;

  /** Blocks lie above `start`. `ensure(end)` makes all bytes below `end` exist, or says that it cannot. */
  constructor(start: number, ensure: (end: number) => boolean) {
    this.#top = Math.ceil(start / ALIGNMENT) * ALIGNMENT;
    this.#ensure = ensure;
  }

  get used(): number {
    return this.#used;
  }
  get pooled(): number {
    return this.#pooled;
  }

  /** The address of at least `bytes` bytes, or null when there is no room. `ready` bytes of the memory exist already. */
  allocate(bytes: number, ready: number): number | null {
    const size = blockSize(bytes);
    let address = this.#free.get(size)?.pop();
    if (address !== undefined) {
      this.#pooled -= size;
      return this.#give(address, size);
    }
    // A block of up to twice the size is cut; a larger one only before the memory grows, lest the next large request find none.
    address = this.#pooled >= size ? this.#cut(size, 2 * size) : undefined;
    if (address === undefined && this.#top + size > ready && this.#pooled >= size) {
      this.#merge();
      address = this.#cut(size, Infinity);
    }
    if (address !== undefined) return this.#give(address, size);
    if (!this.#ensure(this.#top + size)) {
      // What is free at the end counts with what was never given out.
      this.#merge();
      if (!this.#ensure(this.#top + size)) return null;
    }
    address = this.#top;
    this.#top += size;
    return this.#give(address, size);
  }

  /** Takes a block back that was asked for with so many bytes. */
  free(address: number, bytes: number): void {
    const size = blockSize(bytes);
    this.#used -= size;
    this.#keep(address, size);
  }

  #give(address: number, size: number): number {
    this.#used += size;
    return address;
  }

  #keep(address: number, size: number): void {
    this.#pooled += size;
    const list = this.#free.get(size);
    if (list === undefined) this.#free.set(size, [address]);
    else list.push(address);
  }

  /** The first `size` bytes of the smallest free block that has them and at most `most` bytes. */
  #cut(size: number, most: number): number | undefined {
    let best = Infinity;
    for (const [candidate, list] of this.#free)
      if (candidate >= size && candidate <= most && candidate < best && list.length > 0) best = candidate;
    const address = this.#free.get(best)?.pop();
    if (address === undefined) return undefined;
    this.#pooled -= best;
    if (best > size) this.#keep(address + size, best - size);
    return address;
  }

  /** Joins free blocks that touch each other, and gives back the last one. */
  #merge(): void {
    const blocks: { address: number; size: number }[] = [];
    for (const [size, list] of this.#free) for (const address of list) blocks.push({ address, size });
    blocks.sort((a, b) => a.address - b.address);
    this.#free.clear();
    this.#pooled = 0;
    let open: { address: number; size: number } | null = null;
    for (const block of blocks) {
      if (open !== null && open.address + open.size === block.address) open.size += block.size;
      else {
        if (open !== null) this.#keep(open.address, open.size);
        open = block;
      }
    }
    if (open === null) return;
    if (open.address + open.size === this.#top) this.#top = open.address;
    else this.#keep(open.address, open.size);
  }
}
