/** Operations of the language that JavaScript has no operator for, on numbers: shared by constant folding and the JavaScript target. */

/** Nearest integer, ties to even; keeps the sign of zero. */
export function roundHalfEven(x: number): number {
  const magnitude = Math.abs(x);
  if (!(magnitude < 2 ** 52)) return x;
  const rounded = magnitude + 2 ** 52 - 2 ** 52;
  return x < 0 || Object.is(x, -0) ? -rounded : rounded;
}

/** Set bits of 32. */
export function popcount32(x: number): number {
  let v = x - ((x >>> 1) & 0x55555555);
  v = (v & 0x33333333) + ((v >>> 2) & 0x33333333);
  return Math.imul((v + (v >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

/** i64 to f32 with one rounding: bits that f64 would lose are kept as a sticky bit. */
export function bigintToF32(x: bigint): number {
  const magnitude = x < 0n ? -x : x;
  if (magnitude < 2n ** 53n) return Math.fround(Number(x));
  const kept = (magnitude >> 11n) | ((magnitude & 0x7ffn) === 0n ? 0n : 1n);
  const rounded = Math.fround(Number(kept) * 2048);
  return x < 0n ? -rounded : rounded;
}
