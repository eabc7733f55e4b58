/** Poisson numbers from random bits, on the host: how many uniforms one needs is not known beforehand. */

/** One Poisson number: products of uniforms for small rates, PTRS (Hörmann 1993) for large ones; a 32-bit mixer (splitmix) gives the uniforms. */
export function poissonSample(rate: number, seedBits: number): number {
  let state = seedBits >>> 0;
  const uniform = (): number => {
    state = (state + 0x9e3779b9) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
    return ((z ^ (z >>> 16)) >>> 0) / 2 ** 32;
  };
  if (rate === 0) return 0;
  if (rate < 10) {
    const limit = Math.exp(-rate);
    let [k, p] = [0, uniform()];
    while (p > limit) [k, p] = [k + 1, p * uniform()];
    return k;
  }
  const logRate = Math.log(rate);
  const b = 0.931 + 2.53 * Math.sqrt(rate);
  const a = -0.059 + 0.02483 * b;
  const inverseAlpha = 1.1239 + 1.1328 / (b - 3.4);
  const acceptance = 0.9277 - 3.6224 / (b - 2);
  for (;;) {
    const u = uniform() - 0.5;
    const v = uniform();
    const us = 0.5 - Math.abs(u);
    const k = Math.floor(((2 * a) / us + b) * u + rate + 0.43);
    if (us >= 0.07 && v <= acceptance) return k;
    if (k < 0 || (us < 0.013 && v > us)) continue;
    if (Math.log(v) + Math.log(inverseAlpha) - Math.log(a / (us * us) + b) <= -rate + k * logRate - logFactorial(k))
      return k;
  }
}
/** ln k! by Stirling's series, exact enough from 10 on; a product below. */
function logFactorial(k: number): number {
  if (k < 10) {
    let product = 1;
    for (let i = 2; i <= k; i++) product *= i;
    return Math.log(product);
  }
  const n = k + 1;
  return (
    (n - 0.5) * Math.log(n) - n + 0.5 * Math.log(2 * Math.PI) + 1 / (12 * n) - 1 / (360 * n ** 3) + 1 / (1260 * n ** 5)
  );
}
