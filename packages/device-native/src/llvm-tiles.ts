/**
 * Tiles in the matrix registers of x86-64 (AMX): 8 registers of 16 rows of 64 bytes.
 *
 * They are given out here. LLVM would do so too, but where it runs out it moves tiles through memory, and gets that wrong (19 reloads such a
 * tile with a stride of zero). Ours move through memory as well where a tile is wanted in two places, which no kernel of speed does.
 */
import { isTile, ProjError, type Block, type Carried, type Kernel, type Loop, type Value } from '@proj/kernel';
import type { Emitter } from './llvm-operations.ts';

const REGISTERS = 8;
const ROWS = 16;
const ROW_BYTES = 64;

/** The memory that `ldtilecfg` reads (palette 1): the bytes of a row of each register from 16 on, its rows from 48 on. */
function configuration(): Uint8Array {
  const bytes = new Uint8Array(64);
  bytes[0] = 1;
  for (let register = 0; register < REGISTERS; register++) {
    bytes[16 + 2 * register] = ROW_BYTES;
    bytes[48 + register] = ROWS;
  }
  return bytes;
}

export const TILE_CONFIGURATION = configuration();

/** Uses of the tiles of a kernel. */
function countUses(block: Block, uses = new Map<Value, number>()): Map<Value, number> {
  const use = (value: Value): void => {
    if (isTile(value.type)) uses.set(value, (uses.get(value) ?? 0) + 1);
  };
  for (const s of block.statements) {
    if (s.kind === 'let') s.value.args.forEach(use);
    else if (s.kind === 'store') use(s.value);
    else if (s.kind === 'for') {
      s.carried.forEach((c) => [c.initial, c.next].forEach(use));
      countUses(s.body, uses);
    } else if (s.kind === 'if') {
      countUses(s.then, uses);
      if (s.otherwise !== null) countUses(s.otherwise, uses);
    }
  }
  return uses;
}

/** Which register holds which tile, while a kernel is written from its first statement to its last. */
export class TileRegisters {
  readonly #e: Emitter;
  readonly #kernel: Kernel;
  /** Uses still to come. */
  readonly #uses: Map<Value, number>;
  readonly #registers = new Map<Value, number>();
  readonly #free = Array.from({ length: REGISTERS }, (_, i) => i);
  /** Registers of what open loops carry, with how many loops carry it. */
  readonly #carried = new Map<number, number>();

  constructor(e: Emitter, kernel: Kernel) {
    this.#e = e;
    this.#kernel = kernel;
    this.#uses = countUses(kernel.body);
  }

  load(value: Value, pointer: string): void {
    if (this.#uses.has(value)) this.#read(this.#hold(value, this.#take()), pointer);
  }

  store(value: Value, pointer: string, block: Block): void {
    const register = this.#registers.get(value) ?? this.#zero(this.#take());
    this.#write(register, pointer);
    if (value.op === 'const') this.#release(register);
    else this.#used(value, block);
  }

  /** `tdpbf16ps` for floats, `tdpbusd` for integers: the register of the sums gets the result. No two of the three may be the same. */
  dot(value: Value): void {
    const [acc, left, right] = value.args;
    const sums = this.#own(acc, value.block);
    const factors = [left, right].map((factor) => this.#registers.get(factor) ?? this.#zero(this.#take()));
    const again = factors[0] === factors[1] ? this.#copy(factors[1]) : undefined;
    const name = value.type.scalar === 'f32' ? 'tdpbf16ps' : 'tdpbusd';
    this.#e.call(
      'void',
      `llvm.x86.${name}`,
      [sums, factors[0], again ?? factors[1]].map((register) => ['i8', String(register)] as const),
    );
    [left, right].forEach((factor, i) =>
      factor.op === 'const' ? this.#release(factors[i] ?? 0) : this.#used(factor, value.block),
    );
    if (again !== undefined) this.#release(again);
    this.#hold(value, sums);
    if (!this.#uses.has(value)) this.#release(sums);
  }

  /** Before a loop of `block`: what it carries gets registers of its own. */
  enter(loop: Loop, block: Block): void {
    for (const c of carriedTiles(loop)) {
      const register = this.#own(c.initial, block);
      this.#carried.set(register, (this.#carried.get(register) ?? 0) + 1);
      this.#hold(c.inner, register);
    }
  }

  /** At the end of the body: what the next pass starts with goes where this one had it. */
  next(loop: Loop): void {
    const moves = carriedTiles(loop).flatMap((c) => {
      const to = this.#registers.get(c.inner) ?? 0;
      const from = this.#registers.get(c.next);
      return from === to ? [] : [{ to, from: from ?? this.#zero(to) }];
    });
    this.#move(moves);
    this.leave(loop.body);
  }

  /** After a loop. */
  exit(loop: Loop): void {
    for (const c of carriedTiles(loop)) {
      const register = this.#registers.get(c.inner) ?? 0;
      const loops = (this.#carried.get(register) ?? 1) - 1;
      if (loops === 0) this.#carried.delete(register);
      else this.#carried.set(register, loops);
      this.#hold(c.result, register);
      if (!this.#uses.has(c.result)) this.#release(register);
    }
  }

  /** At the end of a block: what it defined is no more. */
  leave(block: Block): void {
    for (const s of block.statements)
      if (s.kind === 'let' && (this.#uses.get(s.value) ?? 0) > 0 && this.#registers.has(s.value))
        this.#release(this.#registers.get(s.value) ?? 0);
  }

  #hold(value: Value, register: number): number {
    this.#registers.set(value, register);
    return register;
  }

  #take(): number {
    const register = this.#free.shift();
    if (register !== undefined) return register;
    throw new ProjError(
      'kernel-compilation',
      `kernel ${this.#kernel.name} holds more than ${REGISTERS} tiles at once`,
      {
        op: 'native device',
        cure: 'Load tiles later, or store them earlier',
      },
    );
  }

  #release(register: number): void {
    if (!this.#carried.has(register) && !this.#free.includes(register)) this.#free.push(register);
  }

  /** Uses in inner blocks may run again: they leave a tile where it is. */
  #used(value: Value, block: Block): void {
    if (value.block !== block) return;
    const left = (this.#uses.get(value) ?? 1) - 1;
    this.#uses.set(value, left);
    if (left === 0) this.#release(this.#registers.get(value) ?? 0);
  }

  /** A register with the tile in it that may be written: its own after its last use, else a copy. */
  #own(value: Value, block: Block): number {
    const from = this.#registers.get(value);
    if (from === undefined) return this.#zero(this.#take());
    if (value.block === block && this.#uses.get(value) === 1) {
      this.#uses.set(value, 0);
      return from;
    }
    const copy = this.#copy(from);
    this.#used(value, block);
    return copy;
  }

  #copy(from: number): number {
    const to = this.#take();
    this.#move([{ from, to }]);
    return to;
  }

  /** All at once: each may be where another has to go. */
  #move(moves: readonly { readonly from: number; readonly to: number }[]): void {
    const slots = moves.map(({ to }) => this.#e.define(`getelementptr i8, ptr %tiles, i64 ${to * ROWS * ROW_BYTES}`));
    moves.forEach(({ from }, i) => this.#write(from, slots[i] ?? ''));
    moves.forEach(({ to }, i) => this.#read(to, slots[i] ?? ''));
  }

  #zero(register: number): number {
    this.#e.call('void', 'llvm.x86.tilezero', [['i8', String(register)]]);
    return register;
  }

  #read(register: number, pointer: string): void {
    this.#e.call('void', 'llvm.x86.tileloadd64', [
      ['i8', String(register)],
      ['ptr', pointer],
      ['i64', String(ROW_BYTES)],
    ]);
  }

  #write(register: number, pointer: string): void {
    this.#e.call('void', 'llvm.x86.tilestored64', [
      ['i8', String(register)],
      ['ptr', pointer],
      ['i64', String(ROW_BYTES)],
    ]);
  }
}

const carriedTiles = (loop: Loop): Carried[] => loop.carried.filter((c) => isTile(c.inner.type));
