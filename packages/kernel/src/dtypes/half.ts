/**
 * The two 16-bit float formats as bit patterns: IEEE binary16 (`f16`) and bfloat16 (`bf16`, the upper half of an f32). Conversions from f32
 * round to nearest, ties to even, and keep infinities, signed zeros, subnormals and NaN.
 */
const floatView = new Float32Array(1);
const bitsView = new Uint32Array(floatView.buffer);

/** Bits of the f16 nearest to `x` (first rounded to f32, as every target does). */
export function floatToHalfBits(x: number): number {
  floatView[0] = x;
  const bits = bitsView[0];
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00 | ((magnitude >>> 13) & 0x3ff);
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude >= 0x38800000) return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
  // Adding 1/2 shifts a subnormal's bits to the end of the mantissa, and the addition rounds it.
  bitsView[0] = magnitude;
  floatView[0] = floatView[0] + 0.5;
  return sign | (bitsView[0] - 0x3f000000);
}

/** The number whose f16 bits are `bits`. */
export function halfBitsToFloat(bits: number): number {
  const sign = (bits & 0x8000) === 0 ? 1 : -1;
  const exponent = (bits >>> 10) & 31;
  const mantissa = bits & 0x3ff;
  if (exponent === 31) return mantissa === 0 ? sign * Infinity : NaN;
  return exponent === 0 ? sign * mantissa * 2 ** -24 : sign * (1024 + mantissa) * 2 ** (exponent - 25);
}

/** Bits of the bf16 nearest to `x` (first rounded to f32). */
export function floatToBfloatBits(x: number): number {
  floatView[0] = x;
  const bits = bitsView[0];
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits >>> 16) | 0x40;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

/** The number whose bf16 bits are `bits`. */
export function bfloatBitsToFloat(bits: number): number {
  bitsView[0] = bits << 16;
  return floatView[0];
}
