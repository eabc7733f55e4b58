/** The vocabulary of LLVM assembly that the renderer writes: names of types and intrinsics, constants, and one function under construction. */
import { type Constant, type ScalarType, SCALARS, type ValueType } from '@proj/kernel';

/** What the renderer has to know of the processor. */
export interface RenderFeatures {
  /** `mulAdd` becomes one fused instruction. */
  readonly fused: boolean;
  /** AVX512-VNNI or AVX-VNNI (`vpdpbusd`), by vector bytes for which the instruction exists. */
  readonly dotBytes: readonly number[];
}

/** Types of values. `bool` is a bit; the 16-bit floats are their bits, because arithmetic never happens in them. */
const VALUE_TYPES: Record<ScalarType, string> = {
  bool: 'i1', i8: 'i8', u8: 'i8', i16: 'i16', u16: 'i16', i32: 'i32', u32: 'i32', i64: 'i64', f16: 'i16', bf16: 'i16', f32: 'float', f64: 'double', index: 'i64',
};

const SUFFIXES: Record<string, string> = { float: 'f32', double: 'f64', half: 'f16', ptr: 'p0' };

/** `<4 x float>`, or `float` for one lane. */
export const vectorOf = (element: string, lanes: number): string => (lanes === 1 ? element : `<${lanes} x ${element}>`);

export const elementType = (scalar: ScalarType): string => VALUE_TYPES[scalar];
export const memoryType = (scalar: ScalarType): string => (scalar === 'bool' ? 'i8' : VALUE_TYPES[scalar]);
export const typeText = (type: ValueType): string => vectorOf(VALUE_TYPES[type.scalar], type.lanes);

/** The part of an intrinsic's name that stands for a type, e.g. `v4f32`. */
export const suffixOf = (element: string, lanes: number): string => `${lanes === 1 ? '' : `v${lanes}`}${SUFFIXES[element] ?? element}`;

const float64 = new Float64Array(1);
const bits64 = new BigUint64Array(float64.buffer);
const float32 = new Float32Array(1);
const bits32 = new Uint32Array(float32.buffer);

/** A float constant: LLVM wants the bits of the double of the same value, also for `float`. */
export function floatConstant(value: number): string {
  float64[0] = value;
  return `0x${bits64[0].toString(16).padStart(16, '0').toUpperCase()}`;
}

/** One lane of a constant of type `scalar`. */
export function constantText(value: Constant, scalar: ScalarType): string {
  switch (scalar) {
    case 'bool': return value === false || value === 0 || value === 0n ? 'false' : 'true';
    case 'f64': return floatConstant(Number(value));
    case 'f32': return floatConstant(Math.fround(Number(value)));
    case 'f16': return String(halfBits(Number(value)));
    case 'bf16': return String(brainBits(Number(value)));
    case 'i8': case 'u8': case 'i16': case 'u16': case 'i32': case 'u32':
      return String(BigInt.asIntN(8 * SCALARS[scalar].bytes, BigInt(value)));
    case 'i64': case 'index': return String(BigInt(value));
    default: return scalar satisfies never;
  }
}

/** All lanes of a constant as one operand. */
export function splatText(lane: string, element: string, lanes: number): string {
  if (lanes === 1) return lane;
  return lane === '0' || lane === '0x0000000000000000' ? 'zeroinitializer' : laneList(new Array<string>(lanes).fill(lane), element);
}

export const laneList = (lanes: readonly string[], element: string): string => `<${lanes.map((lane) => `${element} ${lane}`).join(', ')}>`;

/** Bits of the nearest binary16, ties to even. */
function halfBits(value: number): number {
  if (Number.isNaN(value)) return 0x7e00;
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const magnitude = Math.abs(value);
  if (magnitude >= 65520) return sign | 0x7c00;
  const exponent = Math.max(-14, Math.floor(Math.log2(magnitude || 1e-30)));
  const exact = magnitude >= 2 ** (exponent + 1) ? exponent + 1 : magnitude < 2 ** exponent && exponent > -14 ? exponent - 1 : exponent;
  const steps = nearestEven(magnitude / 2 ** (exact - 10));
  return sign | (steps + (magnitude < 2 ** -14 ? 0 : (exact + 14) << 10));
}

/** Bits of the nearest bfloat16, ties to even. */
function brainBits(value: number): number {
  float32[0] = value;
  if (Number.isNaN(value)) return 0x7fc0;
  return ((bits32[0] + 0x7fff + ((bits32[0] >>> 16) & 1)) >>> 16) & 0xffff;
}

function nearestEven(x: number): number {
  const below = Math.floor(x);
  const rest = x - below;
  return rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? below + 1 : below;
}

/** Lines of one function, with fresh names, the label of the current block, and the intrinsics that the module must declare. */
export class FunctionText {
  readonly lines: string[] = [];
  readonly declarations: Set<string>;
  #fresh = 0;
  #label = 'entry';

  constructor(declarations: Set<string>) {
    this.declarations = declarations;
  }

  get label(): string {
    return this.#label;
  }
  /** A name that no other value or block of the function has. */
  fresh(prefix: string): string {
    return `${prefix}${this.#fresh++}`;
  }
  line(text: string): void {
    this.lines.push(`  ${text}`);
  }
  /** Ends no block: the line before has to be a terminator. */
  begin(label: string): void {
    this.lines.push(`${label}:`);
    this.#label = label;
  }
  /** A new value computed by `text`. */
  value(text: string): string {
    const name = this.fresh('%t');
    this.line(`${name} = ${text}`);
    return name;
  }
  /** A call of an intrinsic; `args` are pairs of type and operand. */
  call(name: string, result: string, args: readonly (readonly [string, string])[]): string {
    this.declare(name, result, args);
    const text = `call ${result} @${name}(${args.map(([type, operand]) => `${type} ${operand}`).join(', ')})`;
    if (result !== 'void') return this.value(text);
    this.line(text);
    return '';
  }
  declare(name: string, result: string, args: readonly (readonly [string, string])[]): void {
    this.declarations.add(`declare ${result} @${name}(${args.map(([type]) => type).join(', ')})`);
  }
}
