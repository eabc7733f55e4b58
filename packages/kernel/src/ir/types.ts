/** Types of the kernel language: scalars, and vectors of a fixed number of lanes. */

/**
 * Element types. `index` addresses memory: 64 bits on native targets, 32 on WebAssembly and JavaScript.
 * `bool` is one byte (0 or 1) in memory and a mask as a value.
 * `f16` and `bf16` exist in memory and in casts only; arithmetic happens in `f32`.
 */
export type ScalarType =
  'bool' | 'i8' | 'u8' | 'i16' | 'u16' | 'i32' | 'u32' | 'i64' | 'f16' | 'bf16' | 'f32' | 'f64' | 'index';

export interface ValueType {
  readonly scalar: ScalarType;
  /** 1 for a scalar, else a power of two. */
  readonly lanes: number;
}

interface ScalarInfo {
  /** Bytes in memory. */
  readonly bytes: number;
  readonly kind: 'bool' | 'signed' | 'unsigned' | 'float';
}

export const SCALARS: Record<ScalarType, ScalarInfo> = {
  bool: { bytes: 1, kind: 'bool' },
  i8: { bytes: 1, kind: 'signed' },
  u8: { bytes: 1, kind: 'unsigned' },
  i16: { bytes: 2, kind: 'signed' },
  u16: { bytes: 2, kind: 'unsigned' },
  i32: { bytes: 4, kind: 'signed' },
  u32: { bytes: 4, kind: 'unsigned' },
  i64: { bytes: 8, kind: 'signed' },
  f16: { bytes: 2, kind: 'float' },
  bf16: { bytes: 2, kind: 'float' },
  f32: { bytes: 4, kind: 'float' },
  f64: { bytes: 8, kind: 'float' },
  index: { bytes: 8, kind: 'signed' },
};

/** Rows of a tile, and columns of the one that holds sums. */
export const TILE_ROWS = 16;
/** Bytes of a tile. */
export const TILE_BYTES = 1024;

const interned = new Map<string, ValueType>();

/** The (interned) type of `lanes` lanes of `scalar`: types can be compared with `===`. */
export function valueType(scalar: ScalarType, lanes = 1): ValueType {
  const key = `${scalar}x${lanes}`;
  let type = interned.get(key);
  if (type === undefined) interned.set(key, (type = Object.freeze({ scalar, lanes })));
  return type;
}

/**
 * Tiles are vectors of 1,024 bytes, 16 rows of 64: matrices for `tileDot`, which processors keep in registers of their own. They are loaded and
 * stored whole, carried by loops and multiplied; zero is the only constant.
 */
export const isTile = ({ scalar, lanes }: ValueType): boolean => SCALARS[scalar].bytes * lanes === TILE_BYTES;

export const isFloat = (scalar: ScalarType): boolean => SCALARS[scalar].kind === 'float';
export const isInteger = (scalar: ScalarType): boolean =>
  SCALARS[scalar].kind === 'signed' || SCALARS[scalar].kind === 'unsigned';
export const isUnsigned = (scalar: ScalarType): boolean => SCALARS[scalar].kind === 'unsigned';
export const isStorageOnly = (scalar: ScalarType): boolean => scalar === 'f16' || scalar === 'bf16';

export const typeName = (type: ValueType): string => (type.lanes === 1 ? type.scalar : `${type.scalar}x${type.lanes}`);
