/** Arithmetic of single complex numbers, for the algorithms that run on the host. */

export type Complex = readonly [re: number, im: number];
export const add = (a: Complex, b: Complex): Complex => [a[0] + b[0], a[1] + b[1]];
export const sub = (a: Complex, b: Complex): Complex => [a[0] - b[0], a[1] - b[1]];
export const mul = (a: Complex, b: Complex): Complex => [a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]];
export const conj = (a: Complex): Complex => [a[0], -a[1]];
export const size = (a: Complex): number => Math.hypot(a[0], a[1]);
export const div = (a: Complex, b: Complex): Complex => {
  const scale = 1 / (b[0] * b[0] + b[1] * b[1]);
  const product = mul(a, conj(b));
  return [product[0] * scale, product[1] * scale];
};
