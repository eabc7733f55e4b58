/**
 * The JavaScript target: a kernel as source text for `new Function`. It is the reference that every other target is tested against, so
 * each operation is the plainest expression that has the language's meaning. A vector is one local for each lane, a mask a boolean, an i64 a
 * bigint, an `index` a number, an f16 or bf16 its bits.
 */
import { floatToBfloatBits, floatToHalfBits } from '../dtypes/half.ts';
import { ProjError } from '../errors.ts';
import type {
  BinaryOp,
  Block,
  CompareOp,
  HorizontalOp,
  Kernel,
  Loop,
  Memory,
  Statement,
  UnaryOp,
  Value,
} from '../ir/ir.ts';
import { isBinary, isComparison, isHorizontal, isUnary } from '../ir/operations.ts';
import { toHexadecimal } from '../ir/print.ts';
import { isFloat, isStorageOnly, isUnsigned, SCALARS, type ScalarType } from '../ir/types.ts';
import { liveValues } from '../passes/dead-code.ts';
import { lowerTiles } from '../passes/lower-tiles.ts';
import { JS_RUNTIME, type JsHelper } from './js-runtime.ts';

export type JsTypedArray =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | BigInt64Array
  | Float32Array
  | Float64Array;
export type JsArgument = JsTypedArray | number | bigint | boolean;
/** A compiled kernel: `args` has one entry for each parameter, a view of memory or a number. */
export type JsFunction = (args: readonly JsArgument[], begin: number, end: number, thread: number) => void;

/** The typed array of each element type: bool as bytes, f16 and bf16 as their bits. */
export const JS_ARRAYS: Record<
  Exclude<ScalarType, 'index'>,
  | 'Uint8Array'
  | 'Int8Array'
  | 'Uint16Array'
  | 'Int16Array'
  | 'Uint32Array'
  | 'Int32Array'
  | 'BigInt64Array'
  | 'Float32Array'
  | 'Float64Array'
> = {
  bool: 'Uint8Array',
  i8: 'Int8Array',
  u8: 'Uint8Array',
  i16: 'Int16Array',
  u16: 'Uint16Array',
  i32: 'Int32Array',
  u32: 'Uint32Array',
  i64: 'BigInt64Array',
  f16: 'Uint16Array',
  bf16: 'Uint16Array',
  f32: 'Float32Array',
  f64: 'Float64Array',
};

export interface JsOptions {
  /**
   * What `mulAdd` is. `nearest`: f32 through f64 (nearly always what one rounding gives), f64 as two operations. `separate`: two rounded
   * operations. `fused`: one rounded operation.
   */
  readonly mulAdd: 'nearest' | 'separate' | 'fused';
  /** Throw on an access outside the bounds of a memory. */
  readonly bounds: boolean;
}

const DEFAULTS: JsOptions = { mulAdd: 'nearest', bounds: false };

const COMPARE: Record<CompareOp, string> = { eq: '===', ne: '!==', lt: '<', le: '<=', gt: '>', ge: '>=' };
const HORIZONTAL: Record<HorizontalOp, BinaryOp> = {
  reduceAdd: 'add',
  reduceMul: 'mul',
  reduceMin: 'min',
  reduceMax: 'max',
};

/** `expression`, a number, wrapped to an integer type. */
function wrap(type: ScalarType, expression: string): string {
  switch (type) {
    case 'i8':
      return `((${expression}) << 24 >> 24)`;
    case 'i16':
      return `((${expression}) << 16 >> 16)`;
    case 'i32':
      return `((${expression}) | 0)`;
    case 'u8':
      return `((${expression}) & 255)`;
    case 'u16':
      return `((${expression}) & 65535)`;
    case 'u32':
      return `((${expression}) >>> 0)`;
    case 'i64':
      return `BigInt.asIntN(64, ${expression})`;
    case 'f32':
      return `f32(${expression})`;
    case 'f64':
    case 'index':
    case 'bool':
    case 'f16':
    case 'bf16':
      return `(${expression})`;
    default:
      return type satisfies never;
  }
}

function unary(op: UnaryOp, type: ScalarType, a: string): string {
  switch (op) {
    case 'neg':
      return type === 'index' ? `(0 - ${a})` : isFloat(type) ? `(-${a})` : wrap(type, `-${a}`);
    case 'abs':
      return isFloat(type) ? `Math.abs(${a})` : isUnsigned(type) ? a : `(${a} < 0 ? ${wrap(type, `-${a}`)} : ${a})`;
    case 'sqrt':
      return wrap(type, `Math.sqrt(${a})`);
    case 'floor':
      return `Math.floor(${a})`;
    case 'ceil':
      return `Math.ceil(${a})`;
    case 'trunc':
      return `Math.trunc(${a})`;
    case 'round':
      return `roundHalfEven(${a})`;
    case 'not':
      return type === 'bool' ? `(!${a})` : type === 'index' ? `(-1 - ${a})` : wrap(type, `~${a}`);
    case 'popcount':
      if (type === 'i64') return `popcount64(${a})`;
      if (type === 'index') return `Number(popcount64(BigInt(${a})))`;
      return `popcount32(${SCALARS[type].bytes === 4 ? a : wrap(type === 'i8' || type === 'u8' ? 'u8' : 'u16', a)})`;
    default:
      return op satisfies never;
  }
}

function binary(op: BinaryOp, type: ScalarType, a: string, b: string): string {
  switch (op) {
    case 'add':
      return wrap(type, `${a} + ${b}`);
    case 'sub':
      return wrap(type, `${a} - ${b}`);
    case 'mul':
      return type === 'i32'
        ? `Math.imul(${a}, ${b})`
        : type === 'u32'
          ? `(Math.imul(${a}, ${b}) >>> 0)`
          : wrap(type, `${a} * ${b}`);
    case 'div':
      if (type === 'i64') return `divide64(${a}, ${b})`;
      return type === 'index' ? `Math.trunc(${a} / ${b})` : wrap(type, `${a} / ${b}`);
    case 'rem':
      return type === 'i64' ? `remainder64(${a}, ${b})` : wrap(type, `${a} % ${b}`);
    case 'min':
      return `(${a} < ${b} ? ${a} : ${b})`;
    case 'max':
      return `(${a} > ${b} ? ${a} : ${b})`;
    case 'and':
      return type === 'bool' ? `(${a} && ${b})` : type === 'index' ? `indexAnd(${a}, ${b})` : wrap(type, `${a} & ${b}`);
    case 'or':
      return type === 'bool' ? `(${a} || ${b})` : type === 'index' ? `indexOr(${a}, ${b})` : wrap(type, `${a} | ${b}`);
    case 'xor':
      return type === 'bool'
        ? `(${a} !== ${b})`
        : type === 'index'
          ? `indexXor(${a}, ${b})`
          : wrap(type, `${a} ^ ${b}`);
    case 'shl':
      if (type === 'index') return `(${a} * 2 ** ${b})`;
      return wrap(type, `${a} << (${b} & ${countMask(type)})`);
    case 'shr':
      if (type === 'index') return `Math.floor(${a} / 2 ** ${b})`;
      return wrap(type, `${a} ${type === 'u32' ? '>>>' : '>>'} (${b} & ${countMask(type)})`);
    default:
      return op satisfies never;
  }
}

const countMask = (type: ScalarType): string => (type === 'i64' ? '63n' : String(SCALARS[type].bytes * 8 - 1));

function cast(from: ScalarType, to: ScalarType, a: string): string {
  if (from === to) return a;
  if (from === 'f16' || from === 'bf16') return cast('f32', to, `${from}ToF32(${a})`);
  if (to === 'f16') return `f32ToF16(${cast(from, 'f32', a)})`;
  if (to === 'bf16') return `f32ToBf16(${cast(from, 'f32', a)})`;
  if (to === 'bool') return from === 'i64' ? `(${a} !== 0n)` : `(${a} !== 0)`;
  if (from === 'bool') return to === 'i64' ? `(${a} ? 1n : 0n)` : `(${a} ? 1 : 0)`;
  if (to === 'f64') return from === 'i64' ? `Number(${a})` : from === 'index' ? `(${a} + 0)` : a;
  if (to === 'f32') return from === 'i64' ? `bigintToF32(${a})` : from === 'index' ? `f32(${a} + 0)` : `f32(${a})`;
  if (isFloat(from)) {
    if (to === 'i64') return `saturate64(${a})`;
    if (to === 'index') return `saturate(${a}, ${-(2 ** 63)}, ${2 ** 63})`;
    const bits = SCALARS[to].bytes * 8;
    return isUnsigned(to)
      ? `saturate(${a}, 0, ${2 ** bits - 1})`
      : `saturate(${a}, ${-(2 ** (bits - 1))}, ${2 ** (bits - 1) - 1})`;
  }
  if (to === 'i64') return `BigInt(${a})`;
  if (from === 'i64') return to === 'index' ? `Number(${a})` : wrap(to, `Number(BigInt.asIntN(32, ${a}))`);
  return to === 'index' ? a : wrap(to, a);
}

function bitcast(from: ScalarType, to: ScalarType, a: string): string {
  if (from === 'f32') return wrap(to, `f32ToBits(${a})`);
  if (to === 'f32') return `bitsToF32(${a})`;
  if (from === 'f64') return `f64ToBits(${a})`;
  if (to === 'f64') return `bitsToF64(${a})`;
  return wrap(isStorageOnly(to) ? 'u16' : to, a);
}

function literal(value: Value): string {
  const { constant, type } = value;
  if (type.scalar === 'bool') return String(constant === true);
  if (typeof constant === 'bigint') return constant < 0n ? `(${constant}n)` : `${constant}n`;
  const number = Number(constant);
  if (type.scalar === 'f16') return String(floatToHalfBits(number));
  if (type.scalar === 'bf16') return String(floatToBfloatBits(number));
  if (Object.is(number, -0)) return '(-0)';
  return number < 0 ? `(${number})` : String(number);
}

/** Source text of a function body that returns the kernel's function; its free names are those of the runtime. */
export function renderJs(kernel: Kernel, options: Partial<JsOptions> = {}): string {
  return new JsRenderer(lowerTiles(kernel), { ...DEFAULTS, ...options }).render();
}

/** The kernel as a callable function. The kernel must have been verified. */
export function compileJs(kernel: Kernel, options: Partial<JsOptions> = {}): JsFunction {
  const source = renderJs(kernel, options);
  const names = Object.keys(JS_RUNTIME) as JsHelper[];
  try {
    return new Function(...names, source)(...names.map((name) => JS_RUNTIME[name])) as JsFunction;
  } catch (cause) {
    throw new ProjError('kernel-compilation', `kernel ${kernel.name}: ${String(cause)}`, { op: 'compileJs', cause });
  }
}

class JsRenderer {
  readonly #kernel: Kernel;
  readonly #options: JsOptions;
  readonly #live: ReadonlyMap<Value, number>;
  readonly #names = new Map<Value, string>();
  readonly #lines: string[] = [];
  #indent = '    ';

  constructor(kernel: Kernel, options: JsOptions) {
    this.#kernel = kernel;
    this.#options = options;
    this.#live = liveValues(kernel);
  }

  render(): string {
    const { parameters, locals, constants, name } = this.#kernel;
    parameters.forEach((p, i) => {
      if (p.kind === 'buffer') this.#line(`const ${this.#memory(p)} = args[${i}];`);
    });
    this.#block(this.#kernel.body);
    const declared = locals.map(
      (local) => `  const ${this.#memory(local)} = new ${JS_ARRAYS[storage(local)]}(${local.length});`,
    );
    declared.push(
      ...constants.map(
        (constant) =>
          `  const ${this.#memory(constant)} = new ${JS_ARRAYS[storage(constant)]}(bytesOf('${toHexadecimal(constant.contents ?? new Uint8Array())}'));`,
      ),
    );
    const identifier = `kernel_${name.replace(/[^A-Za-z0-9_]/g, '_')}`;
    return [
      "'use strict';",
      '  const f32 = Math.fround;',
      ...declared,
      `  return function ${identifier}(args, begin, end, thread) {`,
      ...this.#lines,
      '  };',
    ].join('\n');
  }

  #line(text: string): void {
    this.#lines.push(this.#indent + text);
  }

  #memory(memory: Memory): string {
    return `${memory.kind}${memory.position}`;
  }

  /** The expression of one lane of a value. */
  #lane(value: Value, lane: number): string {
    if (value.op === 'const') return literal(value);
    let name = this.#names.get(value);
    if (name === undefined) this.#names.set(value, (name = `v${this.#names.size}`));
    return value.type.lanes === 1 ? name : `${name}_${lane}`;
  }

  #block(block: Block): void {
    for (const statement of block.statements) this.#statement(statement);
  }

  #nested(body: () => void): void {
    const outside = this.#indent;
    this.#indent += '  ';
    body();
    this.#indent = outside;
  }

  #statement(s: Statement): void {
    switch (s.kind) {
      case 'let':
        if (s.value.op !== 'const' && this.#live.has(s.value)) this.#define(s.value);
        return;
      case 'store':
        this.#store(s.memory, (lane) => this.#at(s.index, lane), s.value, s.mask);
        return;
      case 'scatter':
        this.#store(s.memory, (lane) => this.#lane(s.indices, lane), s.value, s.mask);
        return;
      case 'prefetch':
        return;
      case 'for':
        this.#loop(s);
        return;
      case 'if':
        this.#line(`if (${this.#lane(s.condition, 0)}) {`);
        this.#nested(() => this.#block(s.then));
        if (s.otherwise !== null) {
          const { otherwise } = s;
          this.#line('} else {');
          this.#nested(() => this.#block(otherwise));
        }
        this.#line('}');
        return;
      default:
        s satisfies never;
    }
  }

  #at(index: Value, lane: number): string {
    return lane === 0 ? this.#lane(index, 0) : `${this.#lane(index, 0)} + ${lane}`;
  }

  #element(memory: Memory, index: string): string {
    const name = this.#memory(memory);
    return this.#options.bounds
      ? `${name}[${index} >= 0 && ${index} < ${name}.length ? ${index} : outside('${memory.name}', ${index}, ${name}.length)]`
      : `${name}[${index}]`;
  }

  #store(memory: Memory, at: (lane: number) => string, value: Value, mask: Value | null): void {
    for (let lane = 0; lane < value.type.lanes; lane++) {
      const condition = mask === null ? '' : `if (${this.#lane(mask, lane)}) `;
      this.#line(`${condition}${this.#element(memory, at(lane))} = ${this.#lane(value, lane)};`);
    }
  }

  #loop(loop: Loop): void {
    const carried = loop.carried.filter((c) => this.#live.has(c.inner) || this.#live.has(c.result));
    const lanes = carried.flatMap((c) => Array.from({ length: c.inner.type.lanes }, (_, lane) => ({ c, lane })));
    for (const { c, lane } of lanes) this.#line(`let ${this.#lane(c.result, lane)} = ${this.#lane(c.initial, lane)};`);
    const variable = this.#lane(loop.variable, 0);
    this.#line(
      `for (let ${variable} = ${this.#lane(loop.start, 0)}; ${variable} < ${this.#lane(loop.end, 0)}; ${variable} += ${loop.step}) {`,
    );
    this.#nested(() => {
      for (const { c, lane } of lanes)
        this.#line(`const ${this.#lane(c.inner, lane)} = ${this.#lane(c.result, lane)};`);
      this.#block(loop.body);
      for (const { c, lane } of lanes) this.#line(`${this.#lane(c.result, lane)} = ${this.#lane(c.next, lane)};`);
    });
    this.#line('}');
  }

  #define(value: Value): void {
    const { lanes } = value.type;
    for (let lane = 0; lane < lanes; lane++)
      this.#line(`const ${this.#lane(value, lane)} = ${this.#expression(value, lane)};`);
  }

  #expression(value: Value, lane: number): string {
    const { op, args, memory } = value;
    const { scalar } = value.type;
    const arg = (i: number): string => this.#lane(args[i], lane);
    if (isUnary(op)) return unary(op, scalar, arg(0));
    if (isBinary(op)) return binary(op, scalar, arg(0), arg(1));
    if (isComparison(op)) return `(${arg(0)} ${COMPARE[op]} ${arg(1)})`;
    if (isHorizontal(op)) return this.#reduce(HORIZONTAL[op], args[0]);
    switch (op) {
      case 'const':
        return literal(value);
      case 'param':
        return `args[${value.parameter?.position}]`;
      case 'builtin':
        return value.builtin ?? '';
      case 'mulAdd':
        return this.#mulAdd(scalar, arg(0), arg(1), arg(2));
      case 'select':
        return `(${arg(0)} ? ${arg(1)} : ${arg(2)})`;
      case 'cast':
        return cast(args[0].type.scalar, scalar, arg(0));
      case 'bitcast':
        return args[0].type.lanes === value.type.lanes
          ? bitcast(args[0].type.scalar, scalar, arg(0))
          : this.#relane(value, lane);
      case 'splat':
        return this.#lane(args[0], 0);
      case 'extract':
        return this.#lane(args[0], value.lane ?? 0);
      case 'iota':
        return scalar === 'i64'
          ? `${lane}n`
          : scalar === 'f16'
            ? String(floatToHalfBits(lane))
            : scalar === 'bf16'
              ? String(floatToBfloatBits(lane))
              : scalar === 'bool'
                ? String(lane !== 0)
                : wrap(scalar, String(lane));
      case 'shuffle': {
        const from = value.pattern?.[lane] ?? 0;
        const { lanes } = args[0].type;
        return from < lanes ? this.#lane(args[0], from) : this.#lane(args[1], from - lanes);
      }
      case 'dot4':
        return `(${[0, 1, 2, 3].map((k) => `${this.#lane(args[1], 4 * lane + k)} * ${this.#lane(args[2], 4 * lane + k)}`).join(' + ')} + ${arg(0)} | 0)`;
      case 'load':
      case 'gather': {
        if (memory === undefined) return 'undefined';
        const element = this.#element(memory, op === 'load' ? this.#at(args[0], lane) : arg(0));
        const read = scalar === 'bool' ? `${element} !== 0` : element;
        const zero = scalar === 'bool' ? 'false' : scalar === 'i64' ? '0n' : '0';
        return args.length === 1 ? read : `(${arg(1)} ? ${read} : ${zero})`;
      }
      case 'loopVariable':
      case 'carried':
      case 'result':
      case 'tileDot':
        throw new ProjError('kernel-compilation', `kernel ${this.#kernel.name}: ${op} has no place`);
      default:
        return op satisfies never;
    }
  }

  /** A lane of a bitcast that changes their width: part of a wider lane, or several narrower ones side by side. */
  #relane(value: Value, lane: number): string {
    const [x] = value.args;
    const { scalar } = value.type;
    const from = SCALARS[x.type.scalar].bytes;
    const to = SCALARS[scalar].bytes;
    if (from > to)
      return wrap(scalar, `${this.#lane(x, Math.floor((lane * to) / from))} >> ${8 * ((lane * to) % from)}`);
    const mask = 2 ** (8 * from) - 1;
    const parts = Array.from(
      { length: to / from },
      (_, i) => `(${this.#lane(x, (lane * to) / from + i)} & ${mask}) << ${8 * from * i}`,
    );
    return wrap(scalar, parts.join(' | '));
  }

  #mulAdd(type: ScalarType, a: string, b: string, c: string): string {
    const { mulAdd } = this.#options;
    if (type === 'f32' && mulAdd !== 'separate')
      return mulAdd === 'fused' ? `f32(fma64(${a}, ${b}, ${c}))` : `f32(${a} * ${b} + ${c})`;
    if (type === 'f64' && mulAdd === 'fused') return `fma64(${a}, ${b}, ${c})`;
    return binary('add', type, binary('mul', type, a, b), c);
  }

  /** Halves first: lane i with lane i + lanes / 2, as {@link HorizontalOp} says. */
  #reduce(op: BinaryOp, value: Value): string {
    let terms = Array.from({ length: value.type.lanes }, (_, lane) => this.#lane(value, lane));
    while (terms.length > 1) {
      const half = terms.length / 2;
      terms = terms.slice(0, half).map((term, i) => {
        const name = `t${this.#names.size}_${this.#lines.length}`;
        this.#line(`const ${name} = ${binary(op, value.type.scalar, term, terms[i + half])};`);
        return name;
      });
    }
    return terms[0];
  }
}

function storage(memory: Memory): Exclude<ScalarType, 'index'> {
  if (memory.element === 'index')
    throw new ProjError('kernel-verification', `${memory.name}: memory of index elements`);
  return memory.element;
}
