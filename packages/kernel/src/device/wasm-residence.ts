/**
 * Which buffers have their bytes in linear memory. Nobody collects garbage there, and finalizers never run in a loop that does not await; so
 * linear memory is treated as a cache in front of the engine's own heap: a buffer that programs have not touched for a while moves out into
 * an array buffer, where the engine frees it if nothing holds it any more, and comes back when a program asks for it. What is dead is the
 * young: inputs, results and replaced values, used by one program or two; the rest has proved that it lives and stays as long as there is room.
 */
import { blockSize, type MemoryPool } from './wasm-pool.ts';

/** The bytes of a buffer, in linear memory (`address`) or outside (`away`). Holds no reference to the buffer, whose death nobody notices. */
export interface Slot {
  readonly bytes: number;
  address: number;
  away: Uint8Array<ArrayBuffer> | null;
  /** The run that touched it last, and the one that it was made or came back in. */
  touched: number;
  since: number;
  /** Its place in the list that it is in. */
  index: number;
}

/**
 * A list that slots leave in any order. Not a `Set`: the tables that one outgrows point to their successors, so that in the old generation each
 * keeps the next alive with all that it held.
 */
class SlotList {
  readonly slots: Slot[] = [];

  add(slot: Slot): void {
    slot.index = this.slots.push(slot) - 1;
  }
  remove(slot: Slot): void {
    const last = this.slots.pop();
    if (last === undefined || last === slot) return;
    this.slots[slot.index] = last;
    last.index = slot.index;
  }
}

/** Runs after which a young buffer leaves that nothing touched, and from which on a touched one is not young. */
const YOUNG_RUNS = 4;
/** Runs after which others leave, once memory has doubled. */
const OLD_RUNS = 256;
const LEAST_LIMIT = 16 << 20;

/** What it needs of the device: copies out of and into linear memory. */
export interface LinearMemory {
  readonly byteLength: () => number;
  readonly copyOut: (address: number, bytes: number) => Uint8Array<ArrayBuffer>;
  readonly copyIn: (address: number, data: Uint8Array) => void;
}

/** Buffers in linear memory and outside. */
export class Residence {
  readonly #pool: MemoryPool;
  readonly #memory: LinearMemory;
  readonly #young = new SlotList();
  readonly #old = new SlotList();
  #run = 0;
  #running = false;
  #swept = 0;
  /** Bytes in linear memory, and the number of them from which on old ones are looked through. */
  #bytes = 0;
  #limit = LEAST_LIMIT;

  constructor(pool: MemoryPool, memory: LinearMemory) {
    this.#pool = pool;
    this.#memory = memory;
  }

  /** From here to `endRun` what is touched stays where it is. */
  beginRun(): void {
    this.#run++;
    this.#running = true;
  }
  endRun(): void {
    this.#running = false;
  }

  /** Room for a new buffer; null when there is none. */
  allocate(bytes: number): Slot | null {
    if (this.#run - this.#swept >= YOUNG_RUNS) this.#sweep();
    const address = this.room(bytes);
    if (address === null) return null;
    const slot: Slot = { bytes, address, away: null, touched: this.#run, since: this.#run, index: -1 };
    this.#enter(slot);
    return slot;
  }

  /** The address of the bytes, which come back from outside if need be; null when there is no room for them. */
  touch(slot: Slot): number | null {
    slot.touched = this.#run;
    if (slot.away === null) return slot.address;
    const address = this.room(slot.bytes);
    if (address === null) return null;
    this.#memory.copyIn(address, slot.away);
    slot.address = address;
    slot.away = null;
    // It was needed after it had left, so it is not one of those that die young.
    slot.since = -Infinity;
    this.#enter(slot);
    return address;
  }

  release(slot: Slot): void {
    if (slot.away === null) this.#leave(slot);
    slot.away = null;
  }

  /** The address of a block, for which all that no program needs just now makes room if it must. */
  room(bytes: number): number | null {
    const request = (): number | null => this.#pool.allocate(bytes, this.#memory.byteLength());
    const leave = (unused: (slot: Slot) => boolean): void => {
      for (const list of [this.#young, this.#old]) this.#leaveWhere(list, unused);
    };
    let address = request();
    if (address !== null) return address;
    leave((slot) => slot.touched + YOUNG_RUNS <= this.#run);
    address = request();
    if (address !== null) return address;
    leave((slot) => !this.#running || slot.touched !== this.#run);
    return request();
  }

  #listOf(slot: Slot): SlotList {
    return slot.since === -Infinity ? this.#old : this.#young;
  }

  #enter(slot: Slot): void {
    this.#listOf(slot).add(slot);
    this.#bytes += blockSize(slot.bytes);
  }

  #leave(slot: Slot): void {
    this.#listOf(slot).remove(slot);
    this.#bytes -= blockSize(slot.bytes);
    this.#pool.free(slot.address, slot.bytes);
  }

  #leaveWhere({ slots }: SlotList, unused: (slot: Slot) => boolean): void {
    for (let i = slots.length - 1; i >= 0; i--) {
      const slot = slots[i];
      if (!unused(slot)) continue;
      slot.away = this.#memory.copyOut(slot.address, slot.bytes);
      this.#leave(slot);
    }
  }

  #sweep(): void {
    this.#swept = this.#run;
    this.#leaveWhere(this.#young, (slot) => slot.touched + YOUNG_RUNS <= this.#run);
    // From the end: whoever takes a place that falls free has been looked at.
    for (const slot of this.#young.slots.toReversed()) {
      if (slot.touched - slot.since < YOUNG_RUNS) continue;
      this.#young.remove(slot);
      slot.since = -Infinity;
      this.#old.add(slot);
    }
    if (this.#bytes <= this.#limit) return;
    this.#leaveWhere(this.#old, (slot) => slot.touched + OLD_RUNS <= this.#run);
    this.#limit = Math.max(LEAST_LIMIT, 2 * this.#bytes);
  }
}
