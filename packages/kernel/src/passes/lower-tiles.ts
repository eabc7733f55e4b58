/** Tiles in terms of memory and vectors, for targets without tile registers: each tile has a place among the kernel's locals. */
import { ProjError } from '../errors.ts';
import { KernelBuilder } from '../ir/builder.ts';
import type { Block, Kernel, Loop, Memory, ScalarParameter, Statement, Value } from '../ir/ir.ts';
import { isBinary, isComparison, isHorizontal, isUnary } from '../ir/operations.ts';
import { isTile, TILE_ROWS, valueType } from '../ir/types.ts';

/** The same kernel without tiles; the kernel itself where it has none. */
export const lowerTiles = (kernel: Kernel): Kernel => (hasTiles(kernel.body) ? new Lowering(kernel).run() : kernel);

const hasTiles = (block: Block): boolean => block.statements.some(touchesTiles);

function touchesTiles(s: Statement): boolean {
  switch (s.kind) {
    case 'let':
      return isTile(s.value.type);
    case 'for':
      return s.carried.some((c) => isTile(c.inner.type)) || hasTiles(s.body);
    case 'if':
      return hasTiles(s.then) || (s.otherwise !== null && hasTiles(s.otherwise));
    case 'store':
    case 'scatter':
    case 'prefetch':
      return false;
    default:
      return s satisfies never;
  }
}

class Lowering {
  readonly #b: KernelBuilder;
  readonly #kernel: Kernel;
  readonly #memories = new Map<Memory, Memory>();
  readonly #values = new Map<Value, Value>();
  readonly #tiles = new Map<Value, Memory>();

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#b = new KernelBuilder(kernel.name);
  }

  run(): Kernel {
    const b = this.#b;
    const { parameters, locals, constants, body } = this.#kernel;
    const scalars = new Map<ScalarParameter, Value>();
    for (const p of parameters)
      if (p.kind === 'scalar') scalars.set(p, b.scalar(p.name, p.type));
      else this.#memories.set(p, b.buffer(p.name, p.element, p.access));
    for (const local of locals) this.#memories.set(local, b.local(local.name, local.element, local.length));
    for (const table of constants)
      this.#memories.set(table, b.table(table.name, table.element, table.contents ?? new Uint8Array()));
    for (const s of body.statements) {
      const scalar = s.kind === 'let' && s.value.parameter ? scalars.get(s.value.parameter) : undefined;
      if (s.kind === 'let' && scalar !== undefined) this.#values.set(s.value, scalar);
      else this.#statement(s);
    }
    return b.build();
  }

  #missing(what: string): ProjError {
    return new ProjError('kernel-verification', `kernel ${this.#kernel.name}: ${what} that is not declared`);
  }

  #memory(memory: Memory | undefined): Memory {
    const known = memory && this.#memories.get(memory);
    if (known === undefined) throw this.#missing('memory');
    return known;
  }

  #value(value: Value): Value {
    const known = this.#values.get(value);
    if (known === undefined) throw this.#missing(`a value (${value.op})`);
    return known;
  }

  /** Where a tile is; zero wherever it is wanted. */
  #tile(value: Value): Memory {
    const known = this.#tiles.get(value);
    if (known !== undefined) return known;
    if (value.op !== 'const') throw this.#missing(`a tile (${value.op})`);
    const tile = this.#room(value);
    const row = valueType(tile.element, tile.length / TILE_ROWS);
    this.#rows((i) => this.#b.store(tile, this.#b.mul(i, row.lanes), this.#b.constant(0, row)));
    return tile;
  }

  #room({ type: { scalar, lanes } }: Value): Memory {
    return this.#b.local('tile', scalar, lanes);
  }

  #rows(body: (i: Value) => void): void {
    this.#b.for(0, TILE_ROWS, 1, [], body);
  }

  #copy(from: Memory, fromAt: Value, to: Memory, toAt: Value, lanes: number): void {
    const b = this.#b;
    const row = lanes / TILE_ROWS;
    this.#rows((i) => {
      const at = b.mul(i, row);
      b.store(to, b.add(toAt, at), b.load(from, b.add(fromAt, at), row));
    });
  }

  #assign(to: Memory, from: Memory): void {
    const start = this.#b.index(0);
    if (to !== from) this.#copy(from, start, to, start, to.length);
  }

  #block(block: Block): void {
    for (const s of block.statements) this.#statement(s);
  }

  #statement(s: Statement): void {
    const b = this.#b;
    switch (s.kind) {
      case 'let':
        return this.#define(s.value);
      case 'store': {
        const [memory, at] = [this.#memory(s.memory), this.#value(s.index)];
        if (isTile(s.value.type)) return this.#copy(this.#tile(s.value), b.index(0), memory, at, s.value.type.lanes);
        return b.store(memory, at, this.#value(s.value), s.mask && this.#value(s.mask));
      }
      case 'scatter':
        return b.scatter(
          this.#memory(s.memory),
          this.#value(s.indices),
          this.#value(s.value),
          s.mask && this.#value(s.mask),
        );
      case 'prefetch':
        return b.prefetch(this.#memory(s.memory), this.#value(s.index), s.level);
      case 'for':
        return this.#loop(s);
      case 'if': {
        const { otherwise } = s;
        return b.if(
          this.#value(s.condition),
          () => this.#block(s.then),
          otherwise === null ? undefined : () => this.#block(otherwise),
        );
      }
      default:
        s satisfies never;
    }
  }

  /** Carried tiles stay where they are; what the next pass starts with is copied there. */
  #loop(s: Loop): void {
    const tiles = s.carried.filter((c) => isTile(c.inner.type));
    const carried = s.carried.filter((c) => !isTile(c.inner.type));
    const rooms = tiles.map((c) => this.#room(c.inner));
    tiles.forEach((c, i) => {
      this.#assign(rooms[i], this.#tile(c.initial));
      this.#tiles.set(c.inner, rooms[i]).set(c.result, rooms[i]);
    });
    const initial = carried.map((c) => this.#value(c.initial));
    const results = this.#b.for(this.#value(s.start), this.#value(s.end), s.step, initial, (i, ...inner) => {
      this.#values.set(s.variable, i);
      carried.forEach((c, n) => this.#values.set(c.inner, inner[n]));
      this.#block(s.body);
      const next = tiles.map((c, n) => {
        const tile = this.#tile(c.next);
        // One that is another's place would be overwritten before it is read.
        if (tile === rooms[n] || !rooms.includes(tile)) return tile;
        const copy = this.#room(c.next);
        this.#assign(copy, tile);
        return copy;
      });
      next.forEach((tile, n) => this.#assign(rooms[n], tile));
      return carried.map((c) => this.#value(c.next));
    });
    carried.forEach((c, n) => this.#values.set(c.result, results[n]));
  }

  #define(v: Value): void {
    if (!isTile(v.type)) this.#values.set(v, this.#computed(v));
    else if (v.op !== 'const') this.#tiles.set(v, v.op === 'tileDot' ? this.#dot(v) : this.#load(v));
  }

  #load(v: Value): Memory {
    const tile = this.#room(v);
    this.#copy(this.#memory(v.memory), this.#value(v.args[0]), tile, this.#b.index(0), v.type.lanes);
    return tile;
  }

  #computed(v: Value): Value {
    const b = this.#b;
    const { scalar, lanes } = v.type;
    const [x, y, z] = v.args.map((arg) => this.#value(arg));
    if (isUnary(v.op)) return b.unary(v.op, x);
    if (isBinary(v.op)) return b.binary(v.op, x, y);
    if (isComparison(v.op)) return b.compare(v.op, x, y);
    if (isHorizontal(v.op)) return b.horizontal(v.op, x);
    switch (v.op) {
      case 'const':
        return b.constant(v.constant ?? 0, v.type);
      case 'builtin':
        return v.builtin === undefined ? b.thread : b[v.builtin];
      case 'iota':
        return b.iota(scalar, lanes);
      case 'cast':
        return b.cast(x, scalar);
      case 'bitcast':
        return b.bitcast(x, scalar);
      case 'splat':
        return b.splat(x, lanes);
      case 'extract':
        return b.extract(x, v.lane ?? 0);
      case 'shuffle':
        return b.shuffle(x, y, v.pattern ?? []);
      case 'mulAdd':
        return b.mulAdd(x, y, z);
      case 'select':
        return b.select(x, y, z);
      case 'dot4':
        return b.dot4(x, y, z);
      case 'load':
        return b.load(this.#memory(v.memory), x, lanes, y ?? null);
      case 'gather':
        return b.gather(this.#memory(v.memory), x, y ?? null);
      case 'param':
      case 'loopVariable':
      case 'carried':
      case 'result':
      case 'tileDot':
        throw this.#missing(`a value (${v.op})`);
      default:
        return v.op satisfies never;
    }
  }

  /** Row i of the sums + each pair (of bytes: four) of depths of row i of the left tile times that row of the right one. */
  #dot(v: Value): Memory {
    const b = this.#b;
    const [sums, left, right] = v.args.map((arg) => this.#tile(arg));
    const result = this.#room(v);
    const group = right.length / result.length;
    const lanes = Array.from({ length: group * TILE_ROWS }, (_, lane) => lane);
    this.#rows((i) => {
      const at = b.mul(i, TILE_ROWS);
      const [sum] = b.for(0, TILE_ROWS, 1, [b.load(sums, at, TILE_ROWS)], (j, acc) => {
        const across = b.load(right, b.mul(j, group * TILE_ROWS), group * TILE_ROWS);
        const own = b.load(left, b.mul(b.add(at, j), group), group);
        if (group === 4) {
          const four = lanes.map((lane) => lane % group);
          return [b.dot4(acc, b.shuffle(own, own, four), across)];
        }
        const [wide, floats] = [b.cast(own, 'f32'), b.cast(across, 'f32')];
        return [
          [0, 1].reduce((total, k) => {
            const column = b.shuffle(
              floats,
              floats,
              lanes.filter((lane) => lane % group === k),
            );
            return b.mulAdd(b.splat(b.extract(wide, k), TILE_ROWS), column, total);
          }, acc),
        ];
      });
      b.store(result, at, sum);
    });
    return result;
  }
}
