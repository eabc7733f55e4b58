/** Evaluates a function of the language on the JavaScript target and measures its error in units in the last place. */
import { buildKernel, compileJs, verifyKernel, type JsOptions, type KernelBuilder, type Value } from '../src/index.ts';

export type FloatType = 'f32' | 'f64';
type Floats = Float32Array | Float64Array;
type FunctionOf = (b: KernelBuilder, ...args: Value[]) => Value;

const allocate = (type: FloatType, n: number): Floats => (type === 'f32' ? new Float32Array(n) : new Float64Array(n));

/** f of each element. */
export function evaluate(
  f: FunctionOf,
  type: FloatType,
  inputs: readonly (readonly number[] | Floats)[],
  mulAdd: JsOptions['mulAdd'] = 'nearest',
): Floats {
  const kernel = buildKernel('f', (b) => {
    const memories = inputs.map((_, i) => b.buffer(`x${i}`, type));
    const out = b.buffer('out', type, 'write');
    b.for(b.begin, b.end, 1, [], (i) => b.store(out, i, f(b, ...memories.map((memory) => b.load(memory, i)))));
  });
  verifyKernel(kernel);
  const n = inputs[0].length;
  const result = allocate(type, n);
  const arrays = inputs.map((values) => {
    const array = allocate(type, n);
    array.set(values);
    return array;
  });
  compileJs(kernel, { mulAdd })([...arrays, result], 0, n, 0);
  return result;
}

const view = new DataView(new ArrayBuffer(8));

/** Distance between neighbouring floats of the type at `x`. */
export function ulp(x: number, type: FloatType): number {
  const magnitude = Math.abs(x);
  view.setFloat64(0, magnitude);
  const exponent = Math.max(((view.getUint32(0) >>> 20) & 0x7ff) - 1023, type === 'f32' ? -126 : -1022);
  return 2 ** Math.max(exponent - (type === 'f32' ? 23 : 52), -1074);
}

export interface Worst {
  readonly error: number;
  readonly at: readonly number[];
  readonly got: number;
  readonly expected: number;
}

/** Largest error of `got` against `expected`; a NaN or infinity that does not match counts as Infinity. */
export function worst(
  type: FloatType,
  inputs: readonly (readonly number[] | Floats)[],
  got: Floats,
  expected: (...x: number[]) => number,
): Worst {
  let result: Worst = { error: 0, at: [], got: 0, expected: 0 };
  for (let i = 0; i < got.length; i++) {
    const at = inputs.map((values) => values[i]);
    const reference = expected(...at);
    const rounded = type === 'f32' ? Math.fround(reference) : reference;
    let error = Math.abs(got[i] - reference) / ulp(reference, type);
    if (Object.is(got[i], rounded) || (got[i] === rounded && rounded !== 0))
      error = Number.isFinite(reference) && Number.isFinite(error) ? error : 0;
    else if (!Number.isFinite(rounded) || !Number.isFinite(got[i])) {
      const limit = type === 'f32' ? 3.4028234e38 : Number.MAX_VALUE;
      error =
        Math.abs(reference) >= limit * (1 - 1e-6) &&
        Math.abs(got[i]) >= limit * (1 - 1e-6) &&
        Math.sign(reference) === Math.sign(got[i])
          ? 0
          : Infinity;
    } else if (rounded === 0 && got[i] === 0) error = Infinity;
    if (error > result.error) result = { error, at, got: got[i], expected: reference };
  }
  return result;
}

/** Floats of every exponent and both signs, with the special values; `perExponent` of each. */
export function everyExponent(type: FloatType, perExponent: number, seed = 1): Float64Array {
  const values = [
    0,
    -0,
    Infinity,
    -Infinity,
    NaN,
    1,
    -1,
    0.5,
    -0.5,
    2,
    -2,
    type === 'f32' ? 2 ** -149 : 2 ** -1074,
    type === 'f32' ? 3.4028234663852886e38 : Number.MAX_VALUE,
  ];
  const random = generator(seed);
  const [least, most] = type === 'f32' ? [-149, 127] : [-1074, 1023];
  for (let e = least; e <= most; e++) {
    for (let i = 0; i < perExponent; i++) {
      const value = (1 + random()) * 2 ** e;
      values.push(type === 'f32' ? Math.fround(value) : value, type === 'f32' ? -Math.fround(value) : -value);
    }
  }
  return Float64Array.from(values);
}

/** `n` floats from a to b at random. */
export function between(type: FloatType, a: number, b: number, n: number, seed = 2): Float64Array {
  const random = generator(seed);
  return Float64Array.from({ length: n }, () => {
    const value = a + (b - a) * random();
    return type === 'f32' ? Math.fround(value) : value;
  });
}

/** Numbers in [0, 1) that depend on the seed only (mulberry32). */
export function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
