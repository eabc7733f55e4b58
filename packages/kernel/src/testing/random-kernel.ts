/**
 * Random kernels: typed programs over every operation, type and number of lanes, with loops, branches, masks and locals, whose results every
 * target must agree on bit for bit. What the language leaves open is kept out: divisors are positive, what `mulAdd` gets is small enough to be
 * exact with one rounding or two, the bits of a NaN are never looked at, and an `index` stays within 32 bits.
 */
import { KernelBuilder } from '../ir/builder.ts';
import type { BinaryOp, Kernel, Memory, UnaryOp, Value } from '../ir/ir.ts';
import { BINARY, COMPARISONS, HORIZONTAL } from '../ir/operations.ts';
import { isFloat, isInteger, isStorageOnly, isUnsigned, type ScalarType } from '../ir/types.ts';
import { embedConstants } from '../passes/embed-constants.ts';
import type { KernelInputs } from './compare.ts';
import { randomElements, randomNumbers } from './data.ts';

type ElementType = Exclude<ScalarType, 'index'>;

const ELEMENTS: readonly ElementType[] = [
  'bool',
  'i8',
  'u8',
  'i16',
  'u16',
  'i32',
  'u32',
  'i64',
  'f16',
  'bf16',
  'f32',
  'f64',
];
const LANES = [1, 2, 4, 8, 16] as const;
/** Elements of every buffer, and the range that the kernel covers: a multiple of every number of lanes. */
const SIZE = 64;
const LOCAL_SIZE = 32;

const FLOAT_BINARY: readonly BinaryOp[] = ['add', 'sub', 'mul', 'div', 'min', 'max'];
const BOOL_BINARY: readonly BinaryOp[] = ['and', 'or', 'xor'];
const INTEGER_UNARY: readonly UnaryOp[] = ['neg', 'abs', 'not', 'popcount'];
const FLOAT_UNARY: readonly UnaryOp[] = ['neg', 'abs', 'sqrt', 'floor', 'ceil', 'trunc', 'round'];
/** Types of the same width. */
const BITCASTS: Record<ElementType, readonly ElementType[]> = {
  bool: [],
  i8: ['u8'],
  u8: ['i8'],
  i16: ['u16'],
  u16: ['i16'],
  f16: [],
  bf16: [],
  i32: ['u32', 'f32'],
  u32: ['i32', 'f32'],
  f32: ['i32', 'u32'],
  i64: ['f64'],
  f64: ['i64'],
};

export interface RandomKernel {
  readonly kernel: Kernel;
  readonly inputs: KernelInputs;
}

/** The kernel and the data of a seed. */
export function randomKernel(seed: number, operations = 30): RandomKernel {
  return new Generator(seed).generate(operations);
}

/** The same kernel with what it reads built in: a kernel of constants, which does the same. */
export function withConstants({ kernel, inputs }: RandomKernel): RandomKernel {
  const buffers = kernel.parameters.flatMap((p) => (p.kind === 'buffer' ? [p] : []));
  const contents = new Map(
    buffers.flatMap(({ name, access }, i): [string, Uint8Array][] =>
      access === 'read' ? [[name, inputs.buffers[i]]] : [],
    ),
  );
  return {
    kernel: embedConstants(kernel, contents),
    inputs: { ...inputs, buffers: inputs.buffers.filter((_, i) => buffers[i].access !== 'read') },
  };
}

class Generator {
  readonly #seed: number;
  readonly #random: () => number;
  readonly #b: KernelBuilder;
  readonly #lanes: number;
  readonly #inputs = new Map<ElementType, Memory>();
  readonly #outputs = new Map<ElementType, Memory>();
  #pool: Value[] = [];
  #position: Value;
  #depth = 0;

  constructor(seed: number) {
    this.#seed = seed;
    this.#random = randomNumbers(seed);
    this.#b = new KernelBuilder(`random${seed}`);
    this.#lanes = this.#pick(LANES);
    this.#position = this.#b.begin;
  }

  generate(operations: number): RandomKernel {
    const b = this.#b;
    for (const element of ELEMENTS) {
      this.#inputs.set(element, b.buffer(`in_${element}`, element));
      this.#outputs.set(element, b.buffer(`out_${element}`, element, 'readwrite'));
    }
    const parameters = [b.scalar('p', 'f32'), b.scalar('q', 'i32'), b.scalar('r', 'i64'), b.scalar('s', 'index')];
    b.for(b.begin, b.end, this.#lanes, [], (i) => {
      this.#position = i;
      this.#pool = parameters.slice(0, 3).map((p) => b.splat(p, this.#lanes));
      for (const element of ELEMENTS) this.#add(b.load(this.#memory(this.#inputs, element), i, this.#lanes));
      this.#add(b.cast(b.splat(b.add(i, parameters[3]), this.#lanes), 'i32'));
      for (let k = 0; k < operations; k++) this.#step();
      for (const element of ELEMENTS) if (this.#chance(0.9)) this.#store(this.#value(element));
    });
    const kernel = b.build();
    const random = randomNumbers(this.#seed + 0x5bd1e995);
    const buffers = kernel.parameters.flatMap((p) =>
      p.kind === 'buffer' ? [randomElements(p.element, SIZE, random)] : [],
    );
    const align = this.#lanes;
    return {
      kernel,
      inputs: {
        buffers,
        scalars: [
          Math.fround(random() * 100),
          Math.floor(random() * 1000) - 500,
          BigInt(Math.floor(random() * 2 ** 40)),
          3,
        ],
        end: SIZE,
        grain: align,
        align,
      },
    };
  }

  #pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.#random() * list.length)];
  }
  #chance(probability: number): boolean {
    return this.#random() < probability;
  }
  #memory(of: ReadonlyMap<ElementType, Memory>, element: ElementType): Memory {
    const memory = of.get(element);
    if (memory === undefined) throw new RangeError(element);
    return memory;
  }
  #add(value: Value): void {
    this.#pool.push(value);
  }

  /** A value of the kernel's lanes, of an element type: from the pool, or converted, or a constant. */
  #value(element: ElementType): Value {
    const fitting = this.#pool.filter((value) => value.type.scalar === element);
    if (fitting.length > 0 && this.#chance(0.9)) return this.#pick(fitting);
    if (this.#pool.length > 0 && this.#chance(0.8)) return this.#b.cast(this.#pick(this.#pool), element);
    return this.#b.splat(
      this.#b.constant(this.#chance(0.5) ? Math.floor(this.#random() * 20) : this.#random() * 50 - 25, element),
      this.#lanes,
    );
  }
  #mask(): Value {
    return this.#value('bool');
  }
  /** `value` or zero where it is NaN. */
  #withoutNaN(value: Value): Value {
    return isFloat(value.type.scalar)
      ? this.#b.select(this.#b.eq(value, value), value, this.#b.constant(0, value.type))
      : value;
  }
  /** One lane of a value as a number of times from 0 to 3. */
  #few(): Value {
    const b = this.#b;
    return b.cast(b.and(b.extract(this.#value('i32'), this.#lane()), 3), 'index');
  }
  #lane(): number {
    return Math.floor(this.#random() * this.#lanes);
  }
  /** Indices in [0, size), a power of two. */
  #indices(size: number): Value {
    return this.#b.cast(this.#b.and(this.#value('i32'), size - 1), 'index');
  }
  /** Indices of the lanes that this step of the loop covers, perhaps some twice. */
  #ownIndices(): Value {
    const b = this.#b;
    const lane = b.and(
      b.add(b.mul(b.iota('i32', this.#lanes), Math.floor(this.#random() * 4)), Math.floor(this.#random() * 8)),
      this.#lanes - 1,
    );
    return b.add(this.#position, b.cast(lane, 'index'));
  }

  #store(value: Value): void {
    const b = this.#b;
    const { scalar } = value.type;
    if (scalar === 'index') return;
    const memory = this.#memory(this.#outputs, scalar);
    const mask = this.#chance(0.3) ? this.#mask() : null;
    if (this.#chance(0.25)) b.scatter(memory, this.#ownIndices(), value, mask);
    else b.store(memory, this.#position, value, mask);
  }

  #step(): void {
    const b = this.#b;
    const element = this.#pick(ELEMENTS);
    const actions: readonly (() => void)[] = [
      () => this.#add(this.#binary(element)),
      () => this.#add(this.#binary(element)),
      () => this.#add(this.#unary(element)),
      () => this.#add(this.#compare(element)),
      () => this.#add(b.select(this.#mask(), this.#value(element), this.#value(element))),
      () => this.#add(b.cast(this.#value(this.#pick(ELEMENTS)), element)),
      () => this.#bitcast(element),
      () => this.#add(this.#mulAdd(element)),
      () => this.#add(this.#lanewise(element)),
      () => this.#add(this.#dot4()),
      () => this.#add(this.#load(element)),
      () => this.#local(element),
      () => this.#store(this.#value(element)),
      () => this.#loop(),
      () => this.#branch(),
      () => b.prefetch(this.#memory(this.#inputs, element), this.#position),
    ];
    this.#pick(actions)();
  }

  #binary(element: ElementType): Value {
    const b = this.#b;
    const x = this.#value(element);
    const y = this.#value(element);
    if (element === 'bool') return b.binary(this.#pick(BOOL_BINARY), x, y);
    if (isStorageOnly(element)) return b.shuffle(x, y, this.#pattern());
    if (isFloat(element)) return b.binary(this.#pick(FLOAT_BINARY), x, y);
    const op = this.#pick(BINARY);
    if (op !== 'div' && op !== 'rem') return b.binary(op, x, y);
    if (this.#chance(0.4)) return b.binary(op, x, this.#pick([1, 2, 3, 7, 8, 10, 64]));
    return b.binary(op, x, b.or(isUnsigned(element) ? y : b.and(y, 0x7f), 1));
  }

  #unary(element: ElementType): Value {
    const x = this.#value(element);
    if (element === 'bool') return this.#b.not(x);
    if (isStorageOnly(element)) return this.#b.cast(x, 'f32');
    return this.#b.unary(this.#pick(isFloat(element) ? FLOAT_UNARY : INTEGER_UNARY), x);
  }

  #compare(element: ElementType): Value {
    const type = isStorageOnly(element) ? 'f32' : element;
    return this.#b.compare(
      this.#pick(element === 'bool' ? ['eq', 'ne'] : COMPARISONS),
      this.#value(type),
      this.#value(type),
    );
  }

  #bitcast(element: ElementType): void {
    const targets = BITCASTS[element];
    if (targets.length > 0) this.#add(this.#b.bitcast(this.#withoutNaN(this.#value(element)), this.#pick(targets)));
  }

  #mulAdd(element: ElementType): Value {
    const b = this.#b;
    if (isInteger(element)) return b.mulAdd(this.#value(element), this.#value(element), this.#value(element));
    const type = element === 'f64' ? 'f64' : 'f32';
    const small = (): Value => b.cast(this.#value('i8'), type);
    return b.mulAdd(small(), small(), small());
  }

  #pattern(): number[] {
    return Array.from({ length: this.#lanes }, () => Math.floor(this.#random() * 2 * this.#lanes));
  }

  #lanewise(element: ElementType): Value {
    const b = this.#b;
    const x = this.#value(element);
    if (this.#chance(0.3)) return b.shuffle(x, this.#value(element), this.#pattern());
    if (this.#chance(0.3) || element === 'bool' || isStorageOnly(element))
      return b.splat(b.extract(x, this.#lane()), this.#lanes);
    if (this.#chance(0.3)) return b.iota(element, this.#lanes);
    return b.splat(b.horizontal(this.#pick(HORIZONTAL), x), this.#lanes);
  }

  /** Four bytes for each lane, put together from shuffles of doubled vectors. */
  #dot4(): Value {
    const b = this.#b;
    const wide = (x: Value): Value =>
      b.shuffle(
        x,
        x,
        Array.from({ length: 4 * this.#lanes }, () => Math.floor(this.#random() * 2 * this.#lanes)),
      );
    return b.dot4(this.#value('i32'), wide(this.#value('u8')), wide(this.#value('i8')));
  }

  #load(element: ElementType): Value {
    const b = this.#b;
    const memory = this.#memory(this.#chance(0.5) ? this.#inputs : this.#outputs, element);
    const mask = this.#chance(0.4) ? this.#mask() : null;
    if (memory.access === 'read' && this.#chance(0.5)) return b.gather(memory, this.#indices(SIZE), mask);
    if (memory.access === 'read' && this.#chance(0.5)) {
      // The last lanes would lie behind the end: the mask keeps them out.
      const start = b.add(this.#position, 3);
      return b.load(memory, start, this.#lanes, b.lt(b.add(b.iota('i32', this.#lanes), b.cast(start, 'i32')), SIZE));
    }
    return b.load(memory, this.#position, this.#lanes, mask);
  }

  /** Fills a local, changes part of it, and reads it back. */
  #local(element: ElementType): void {
    const b = this.#b;
    const memory = b.local('scratch', element, LOCAL_SIZE);
    b.for(0, LOCAL_SIZE, this.#lanes, [], (i) => b.store(memory, i, this.#value(element)));
    if (this.#chance(0.5))
      b.scatter(memory, this.#indices(LOCAL_SIZE), this.#value(element), this.#chance(0.5) ? this.#mask() : null);
    this.#add(
      this.#chance(0.5)
        ? b.gather(memory, this.#indices(LOCAL_SIZE))
        : b.load(memory, this.#lanes <= 16 ? this.#few() : 0, this.#lanes),
    );
  }

  /** Runs `body` with the pool as it is now; what it adds is visible inside only. */
  #scoped<T>(body: () => T): T {
    const outside = [...this.#pool];
    this.#depth++;
    const result = body();
    this.#depth--;
    this.#pool = outside;
    return result;
  }

  #loop(): void {
    if (this.#depth >= 2) return;
    const b = this.#b;
    const initial = Array.from({ length: Math.floor(this.#random() * 4) }, () => this.#value(this.#pick(ELEMENTS)));
    const start = this.#chance(0.7) ? b.index(0) : this.#few();
    const end = this.#chance(0.5) ? b.index(4) : b.add(this.#few(), 2);
    const results = b.for(start, end, this.#pick([1, 2, 3]), initial, (i, ...carried) =>
      this.#scoped(() => {
        for (const value of carried) this.#add(value);
        this.#add(b.splat(b.cast(i, 'i32'), this.#lanes));
        for (let k = Math.floor(this.#random() * 4); k >= 0; k--) this.#step();
        const next = carried.map((value) => this.#value(value.type.scalar as ElementType));
        return carried.length > 1 && this.#chance(0.3) && carried[0].type === carried[1].type
          ? [carried[1], carried[0], ...next.slice(2)]
          : next;
      }),
    );
    for (const value of results) this.#add(value);
  }

  #branch(): void {
    if (this.#depth >= 2) return;
    const body = (): void =>
      this.#scoped(() => {
        for (let k = Math.floor(this.#random() * 3); k >= 0; k--) this.#step();
        this.#store(this.#value(this.#pick(ELEMENTS)));
      });
    const condition = this.#b.extract(this.#mask(), this.#lane());
    if (this.#chance(0.5)) this.#b.if(condition, body);
    else this.#b.if(condition, body, body);
  }
}
