/** How the types and constants of the kernel language are spelled in LLVM IR. */
import { floatToBfloatBits, floatToHalfBits, type Constant, type ScalarType, type ValueType } from '@proj/kernel';

/** As values: booleans are single bits; `f16` and `bf16` travel as their 16 bits. */
const VALUE_TYPES: Readonly<Record<ScalarType, string>> = {
  bool: 'i1',
  i8: 'i8',
  u8: 'i8',
  i16: 'i16',
  u16: 'i16',
  i32: 'i32',
  u32: 'i32',
  i64: 'i64',
  index: 'i64',
  f16: 'i16',
  bf16: 'i16',
  f32: 'float',
  f64: 'double',
};

const spell = (element: string, lanes: number): string => (lanes === 1 ? element : `<${lanes} x ${element}>`);

/** The LLVM type of a value. */
export const llvmType = ({ scalar, lanes }: ValueType): string => spell(VALUE_TYPES[scalar], lanes);

/** The LLVM type of elements in memory: booleans are bytes there. */
export const memoryType = ({ scalar, lanes }: ValueType): string =>
  spell(scalar === 'bool' ? 'i8' : VALUE_TYPES[scalar], lanes);

/** The same lanes of another LLVM element type. */
export const lanesOf = (element: string, { lanes }: ValueType): string => spell(element, lanes);

/** The suffix of an overloaded intrinsic: `v16f32`, `i32`. */
export function mangled(type: string): string {
  const vector = /^<(\d+) x (\w+)>$/.exec(type);
  if (vector !== null) return `v${vector[1]}${mangled(vector[2] ?? '')}`;
  return type === 'float' ? 'f32' : type === 'double' ? 'f64' : type === 'half' ? 'f16' : type === 'ptr' ? 'p0' : type;
}

const bits = new DataView(new ArrayBuffer(8));

/** A float literal: LLVM spells both widths as the bits of a double. */
function floatLiteral(value: number): string {
  if (Number.isNaN(value)) return '0x7FF8000000000000';
  bits.setFloat64(0, value);
  return `0x${bits.getBigUint64(0).toString(16).toUpperCase().padStart(16, '0')}`;
}

/** One lane of a constant. */
export function scalarLiteral(value: Constant, scalar: ScalarType): string {
  switch (scalar) {
    case 'bool':
      return value === true || (value !== false && Number(value) !== 0) ? 'true' : 'false';
    case 'f32':
      return floatLiteral(Math.fround(Number(value)));
    case 'f64':
      return floatLiteral(Number(value));
    case 'f16':
      return String(floatToHalfBits(Number(value)));
    case 'bf16':
      return String(floatToBfloatBits(Number(value)));
    case 'i8':
    case 'u8':
    case 'i16':
    case 'u16':
    case 'i32':
    case 'u32':
    case 'i64':
    case 'index':
      return String(BigInt(value));
    default:
      return scalar satisfies never;
  }
}

/** A constant of any type. */
export function literal(value: Constant, type: ValueType): string {
  const lane = scalarLiteral(value, type.scalar);
  if (type.lanes === 1) return lane;
  return lane === '0' || lane === 'false' || lane === '0x0000000000000000'
    ? 'zeroinitializer'
    : vectorLiteral(
        VALUE_TYPES[type.scalar],
        Array.from({ length: type.lanes }, () => lane),
      );
}

/** `<float 1.0, float 2.0>`. */
export const vectorLiteral = (element: string, lanes: readonly (string | number)[]): string =>
  `<${lanes.map((lane) => `${element} ${lane}`).join(', ')}>`;

const ESCAPED = Array.from({ length: 256 }, (_, byte) => `\\${byte.toString(16).padStart(2, '0').toUpperCase()}`);

/** Bytes as the inside of a string constant. */
export function bytesLiteral(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += ESCAPED[byte];
  return text;
}
