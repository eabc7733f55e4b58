import { describe, expect, test } from 'vitest';
import { buildKernel, math, type JsOptions, type KernelBuilder, type Value } from '../src/index.ts';
import angles from './fixtures/trigonometric.json' with { type: 'json' };
import table from './fixtures/special-functions.json' with { type: 'json' };
import { between, evaluate, everyExponent, generator, worst, type FloatType } from './ulp.ts';

type FunctionOf = (b: KernelBuilder, ...args: Value[]) => Value;
type Range = readonly [number, number];

interface Row {
  readonly f: FunctionOf;
  /** The function in f64. */
  readonly reference: (x: number) => number;
  /** Greatest error in f32, in ulp. */
  readonly single: number;
  /** Greatest error in f64 against `Math`, whose own error is up to 1 ulp. */
  readonly double: number;
  readonly ranges: readonly Range[];
  /** Arguments that count. */
  readonly domain?: (x: number, type: FloatType) => boolean;
}

const periodic: readonly Range[] = [
  [-10, 10],
  [-1e4, 1e4],
  [-1e8, 1e8],
];

const rows: Record<string, Row> = {
  exp: {
    f: math.exp,
    reference: Math.exp,
    single: 1,
    double: 2,
    ranges: [
      [-104, 89],
      [-1, 1],
      [-0.01, 0.01],
    ],
  },
  exp2: {
    f: math.exp2,
    reference: (x) => 2 ** x,
    single: 1.25,
    double: 2,
    ranges: [
      [-150, 129],
      [-1, 1],
    ],
  },
  expm1: {
    f: math.expm1,
    reference: Math.expm1,
    single: 2,
    double: 3,
    ranges: [
      [-30, 89],
      [-2, 3],
      [-0.1, 0.1],
    ],
  },
  sigmoid: {
    f: math.sigmoid,
    reference: (x) => 1 / (1 + Math.exp(-x)),
    single: 3,
    double: 4,
    ranges: [
      [-87, 88],
      [-4, 4],
    ],
    domain: (x, type) => x > (type === 'f32' ? -87 : -708),
  },
  log: {
    f: math.log,
    reference: Math.log,
    single: 1,
    double: 2,
    ranges: [
      [0, 3],
      [0.5, 2],
      [0.99, 1.01],
    ],
  },
  log2: {
    f: math.log2,
    reference: Math.log2,
    single: 2,
    double: 2,
    ranges: [
      [0, 3],
      [0.5, 2],
      [0.99, 1.01],
    ],
  },
  log10: {
    f: math.log10,
    reference: Math.log10,
    single: 1,
    double: 2,
    ranges: [
      [0, 3],
      [0.5, 2],
      [0.99, 1.01],
    ],
  },
  log1p: {
    f: math.log1p,
    reference: Math.log1p,
    single: 2,
    double: 2,
    ranges: [
      [-1, 3],
      [-0.5, 0.5],
      [0, 1000],
    ],
  },
  sin: { f: math.sin, reference: Math.sin, single: 2, double: 2, ranges: periodic },
  cos: { f: math.cos, reference: Math.cos, single: 2, double: 2, ranges: periodic },
  tan: { f: math.tan, reference: Math.tan, single: 4, double: 3, ranges: periodic },
  asin: { f: math.asin, reference: Math.asin, single: 3, double: 3, ranges: [[-1, 1]] },
  acos: { f: math.acos, reference: Math.acos, single: 2, double: 2, ranges: [[-1, 1]] },
  atan: {
    f: math.atan,
    reference: Math.atan,
    single: 2,
    double: 2,
    ranges: [
      [-5, 5],
      [-1, 1],
    ],
  },
  sinh: {
    f: math.sinh,
    reference: Math.sinh,
    single: 1,
    double: 3,
    ranges: [
      [-90, 90],
      [-2, 2],
    ],
  },
  cosh: {
    f: math.cosh,
    reference: Math.cosh,
    single: 1,
    double: 3,
    ranges: [
      [-90, 90],
      [-2, 2],
    ],
  },
  tanh: {
    f: math.tanh,
    reference: Math.tanh,
    single: 2,
    double: 4,
    ranges: [
      [-10, 10],
      [-2, 2],
      [-0.1, 0.1],
    ],
  },
  asinh: {
    f: math.asinh,
    reference: Math.asinh,
    single: 1,
    double: 3,
    ranges: [
      [-10, 10],
      [-2, 2],
    ],
  },
  acosh: {
    f: math.acosh,
    reference: Math.acosh,
    single: 1,
    double: 3,
    ranges: [
      [1, 10],
      [1, 2],
    ],
  },
  atanh: { f: math.atanh, reference: Math.atanh, single: 1, double: 3, ranges: [[-1, 1]] },
};

describe.each(['f32', 'f64'] as const)('%s functions over every exponent, special values included', (type) => {
  const modes: readonly JsOptions['mulAdd'][] = type === 'f32' ? ['separate', 'nearest'] : ['separate', 'fused'];
  test.each(Object.keys(rows))('%s', (name) => {
    const { f, reference, single, double, ranges, domain } = rows[name];
    const points = [
      everyExponent(type, type === 'f32' ? 100 : 8),
      ...ranges.map(([a, b]) => between(type, a, b, type === 'f32' ? 50_000 : 20_000)),
    ];
    const xs = points.map((list) => list.filter((x) => domain === undefined || domain(x, type)));
    for (const mulAdd of modes) {
      for (const x of xs) {
        // Exact fused multiply-add is emulated, slowly.
        const sample = mulAdd === 'fused' ? x.filter((_, i) => i % 8 === 0) : x;
        const result = worst(type, [sample], evaluate(f, type, [sample], mulAdd), reference);
        expect(result.error, `${name} ${type} ${mulAdd} ${JSON.stringify(result)}`).toBeLessThanOrEqual(
          type === 'f32' ? single : double,
        );
      }
    }
  });
});

/** Greatest error in f64 in ulp, or an absolute error where the function has zeros that the argument's rounding hides. */
const published: Record<
  keyof typeof table,
  { readonly f: FunctionOf; readonly ulp: number; readonly absolute?: number }
> = {
  exp: { f: math.exp, ulp: 1 },
  exp2: { f: math.exp2, ulp: 1 },
  expm1: { f: math.expm1, ulp: 2 },
  sigmoid: { f: math.sigmoid, ulp: 3 },
  log: { f: math.log, ulp: 1 },
  log2: { f: math.log2, ulp: 1 },
  log10: { f: math.log10, ulp: 1 },
  log1p: { f: math.log1p, ulp: 2 },
  sin: { f: math.sin, ulp: 1 },
  cos: { f: math.cos, ulp: 1 },
  tan: { f: math.tan, ulp: 2 },
  asin: { f: math.asin, ulp: 2 },
  acos: { f: math.acos, ulp: 2 },
  atan: { f: math.atan, ulp: 1 },
  atan2: { f: math.atan2, ulp: 2 },
  sinh: { f: math.sinh, ulp: 2 },
  cosh: { f: math.cosh, ulp: 2 },
  tanh: { f: math.tanh, ulp: 3 },
  asinh: { f: math.asinh, ulp: 2 },
  acosh: { f: math.acosh, ulp: 2 },
  atanh: { f: math.atanh, ulp: 2 },
  erf: { f: math.erf, ulp: 2 },
  erfc: { f: math.erfc, ulp: 4 },
  erfinv: { f: math.erfinv, ulp: 8 },
  ndtr: { f: math.ndtr, ulp: 6 },
  logNdtr: { f: math.logNdtr, ulp: 8 },
  ndtri: { f: math.ndtri, ulp: 8 },
  lgamma: { f: math.lgamma, ulp: 16, absolute: 2 ** -48 },
  digamma: { f: math.digamma, ulp: 16, absolute: 2 ** -47 },
  polygamma1: { f: (b, x) => math.polygamma(b, 1, x), ulp: 16 },
  polygamma3: { f: (b, x) => math.polygamma(b, 3, x), ulp: 16 },
  i0: { f: math.i0, ulp: 8 },
  i0e: { f: math.i0e, ulp: 8 },
  i1: { f: math.i1, ulp: 8 },
  i1e: { f: math.i1e, ulp: 8 },
  entr: { f: math.entr, ulp: 2 },
  sinc: { f: math.sinc, ulp: 4 },
  pow: { f: math.pow, ulp: 1 },
  zeta: { f: math.zeta, ulp: 16 },
};

describe('f64 functions against 50 digits (test/fixtures/special-functions.py)', () => {
  test.each(Object.keys(published) as (keyof typeof table)[])('%s', (name) => {
    const { f, ulp, absolute = 0 } = published[name];
    const data: readonly (readonly number[])[] = table[name];
    expect(data.length).toBeGreaterThan(50);
    const expected = data.map((row) => row[row.length - 1]);
    const inputs = data[0].slice(0, -1).map((_, k) => data.map((row) => row[k]));
    for (const mulAdd of ['separate', 'fused'] as const) {
      const got = evaluate(f, 'f64', inputs, mulAdd).map((value, i) =>
        Math.abs(value - expected[i]) <= absolute ? expected[i] : value,
      );
      let i = 0;
      const result = worst('f64', inputs, got, () => expected[i++]);
      expect(result.error, `${name} ${mulAdd} ${JSON.stringify(result)}`).toBeLessThanOrEqual(ulp);
    }
  });
});

describe.each(['f32', 'f64'] as const)('%s angles of every size (test/fixtures/trigonometric.py)', (type) => {
  const rows: readonly (readonly number[])[] = angles[type];
  const x = rows.map((row) => row[0]);
  const functions = { sin: [math.sin, 2, 1], cos: [math.cos, 2, 1], tan: [math.tan, 4, 2] } as const;
  test('the least sines and cosines are there', () => {
    expect(rows.length).toBeGreaterThan(200);
    expect(Math.min(...rows.map((row) => Math.abs(row[2])))).toBeLessThan(type === 'f32' ? 2e-9 : 1e-18);
  });
  test.each(Object.keys(functions) as (keyof typeof functions)[])('%s', (name) => {
    const [f, single, double] = functions[name];
    const column = 1 + Object.keys(functions).indexOf(name);
    for (const mulAdd of ['separate', 'fused'] as const) {
      let i = 0;
      const result = worst(type, [x], evaluate(f, type, [x], mulAdd), () => rows[i++][column]);
      expect(result.error, `${name} ${mulAdd} ${JSON.stringify(result)}`).toBeLessThanOrEqual(
        type === 'f32' ? single : double,
      );
    }
  });
});

test('a sine and a cosine of one f64 angle share its reduction', () => {
  const count = (f: (b: KernelBuilder, x: Value) => Value): number => {
    const kernel = buildKernel('f', (b) => {
      const x = b.load(b.buffer('x', 'f64'), 0, 4);
      b.store(b.buffer('out', 'f64', 'write'), 0, f(b, x));
    });
    return kernel.body.statements.filter((statement) => statement.kind === 'for').length;
  };
  expect(count((b, x) => b.add(math.sin(b, x), math.cos(b, b.neg(x))))).toBe(2);
  expect(count((b, x) => b.add(math.sin(b, x), math.cos(b, x)))).toBe(1);
});

describe('f32 functions against the f64 ones', () => {
  const single: Record<string, { readonly f: FunctionOf; readonly ulp: number; readonly ranges: readonly Range[] }> = {
    erf: {
      f: math.erf,
      ulp: 2,
      ranges: [
        [-4.2, 4.2],
        [-1, 1],
        [-0.01, 0.01],
      ],
    },
    erfc: { f: math.erfc, ulp: 1, ranges: [[-4, 9]] },
    erfinv: { f: math.erfinv, ulp: 1, ranges: [[-1, 1]] },
    ndtri: { f: math.ndtri, ulp: 1, ranges: [[0, 1]] },
    lgamma: {
      f: math.lgamma,
      ulp: 1,
      ranges: [
        [0, 100],
        [0.9, 2.1],
      ],
    },
    digamma: { f: math.digamma, ulp: 1, ranges: [[0, 100]] },
    i0e: { f: math.i0e, ulp: 1, ranges: [[-100, 100]] },
  };
  test.each(Object.keys(single))('%s', (name) => {
    const { f, ulp, ranges } = single[name];
    for (const [a, b] of ranges) {
      const x = between('f32', a, b, 30_000);
      const exact = evaluate(f, 'f64', [x]);
      for (const mulAdd of ['separate', 'nearest'] as const) {
        let i = 0;
        const result = worst('f32', [x], evaluate(f, 'f32', [x], mulAdd), () => exact[i++]);
        expect(result.error, `${name} ${mulAdd} ${JSON.stringify(result)}`).toBeLessThanOrEqual(ulp);
      }
    }
  });
});

describe('special values', () => {
  const at = (f: FunctionOf, ...xs: number[]): number[] => [...evaluate(f, 'f64', [xs])];
  test('poles, limits and domains', () => {
    expect(at(math.lgamma, 0, -1, -2, 1, 2, Infinity, -Infinity, NaN)).toEqual([
      Infinity,
      Infinity,
      Infinity,
      expect.closeTo(0, 300),
      expect.closeTo(0, 300),
      Infinity,
      Infinity,
      NaN,
    ]);
    expect(at(math.digamma, 0, -0, -1, -2, NaN)).toEqual([-Infinity, Infinity, NaN, NaN, NaN]);
    expect(at(math.erfinv, 1, -1, 0, -0, 1.5, NaN)).toEqual([Infinity, -Infinity, 0, -0, NaN, NaN]);
    expect(at(math.ndtri, 0, 1, 0.5, -0.1, 1.1)).toEqual([-Infinity, Infinity, expect.closeTo(0, 15), NaN, NaN]);
    expect(at(math.erf, Infinity, -Infinity, -0, NaN)).toEqual([1, -1, -0, NaN]);
    expect(at(math.erfc, Infinity, -Infinity, 0, NaN)).toEqual([0, 2, 1, NaN]);
    expect(at(math.entr, 0, -1, NaN)).toEqual([0, -Infinity, NaN]);
    expect(at(math.i0, 0, 800)).toEqual([expect.closeTo(1, 14), Infinity]);
    expect(at(math.sinc, 0, 1, -2)).toEqual([1, expect.closeTo(0, 15), expect.closeTo(0, 15)]);
  });
  test("digamma(1) is minus Euler's constant, trigamma(1) is π²/6, zeta(2) is π²/6", () => {
    expect(at(math.digamma, 1)[0]).toBeCloseTo(-0.5772156649015329, 14);
    expect(at((b, x) => math.polygamma(b, 1, x), 1)[0]).toBeCloseTo(Math.PI ** 2 / 6, 14);
    expect([
      ...evaluate(math.zeta, 'f64', [
        [2, 4, 1, 0.5],
        [1, 1, 1, 1],
      ]),
    ]).toEqual([expect.closeTo(Math.PI ** 2 / 6, 14), expect.closeTo(Math.PI ** 4 / 90, 14), Infinity, NaN]);
  });
  test('xlogy and xlog1p are 0 at x = 0 unless y is NaN', () => {
    expect([
      ...evaluate(math.xlogy, 'f64', [
        [0, 0, 2, 0],
        [0, Infinity, Math.E, NaN],
      ]),
    ]).toEqual([0, 0, expect.closeTo(2, 14), NaN]);
    expect([
      ...evaluate(math.xlog1p, 'f64', [
        [0, 3],
        [-1, Math.E - 1],
      ]),
    ]).toEqual([0, expect.closeTo(3, 14)]);
  });
});

test('powers that are f64 themselves are exact', () => {
  // Base, and the least and greatest exponent whose power 53 bits hold (integer arithmetic tells them).
  const bases: readonly (readonly [number, number, number])[] = [
    [2, -1074, 1023],
    [-2, -1074, 1023],
    [0.25, -511, 537],
    [3, 0, 33],
    [5, 0, 22],
    [-7, 0, 18],
    [10, 0, 22],
    [1.5, 0, 33],
    [2 ** 26 + 1, 0, 1],
    [94906265, 0, 2],
  ];
  for (const [base, least, greatest] of bases) {
    const exponents = Array.from({ length: greatest - least + 1 }, (_, i) => least + i);
    const expected = exponents.map((n) => {
      let power = 1;
      for (let i = 0; i < Math.abs(n); i++) power = n > 0 ? power * base : power / base;
      return power;
    });
    for (const mulAdd of ['separate', 'fused'] as const) {
      const got = evaluate(math.pow, 'f64', [exponents.map(() => base), exponents], mulAdd);
      expect([...got], `${base} ${mulAdd}`).toEqual(expected);
    }
  }
});

describe.each(['f32', 'f64'] as const)('%s functions of two arguments over every exponent', (type) => {
  const values = everyExponent(type, type === 'f32' ? 20 : 2, 5);
  const random = generator(9);
  const pick = (): number => values[Math.floor(random() * values.length)];
  const x = Array.from({ length: 8000 }, (_, i) => (i % 2 === 0 ? pick() : Math.fround((random() - 0.5) * 100)));
  const y = Array.from({ length: 8000 }, (_, i) => (i % 2 === 0 ? pick() : Math.fround((random() - 0.5) * 10)));
  const list = [0, -0, 1, -1, 2, -2, 0.5, -0.5, Infinity, -Infinity, NaN, 3, -3];
  for (const p of list)
    for (const q of list) {
      x.push(p);
      y.push(q);
    }
  const check = (f: FunctionOf, reference: (p: number, q: number) => number, bound: number): void => {
    for (const mulAdd of ['separate', 'nearest'] as const) {
      const result = worst(type, [x, y], evaluate(f, type, [x, y], mulAdd), reference);
      expect(result.error, JSON.stringify(result)).toBeLessThanOrEqual(bound);
    }
  };
  test('fmod is exact', () => check(math.fmod, (p, q) => p % q, 0));
  test('pow has the special cases of C', () =>
    check(
      math.pow,
      (p, q) => (p === 1 || q === 0 || (p === -1 && Math.abs(q) === Infinity) ? 1 : p ** q),
      type === 'f32' ? 1 : 2,
    ));
  test('atan2 has the special cases of C', () => check(math.atan2, Math.atan2, 3));
  test('remainder has the sign of the divisor', () => {
    check(
      math.remainder,
      (p, q) => {
        const rest = p % q;
        return rest !== 0 && rest < 0 !== q < 0 ? rest + q : rest;
      },
      1,
    );
  });
  test('maximum and minimum carry NaN through', () => {
    check(math.maximum, (p, q) => (Number.isNaN(p) || Number.isNaN(q) ? NaN : p > q ? p : q), 0);
    check(math.minimum, (p, q) => (Number.isNaN(p) || Number.isNaN(q) ? NaN : p < q ? p : q), 0);
  });
  test("floorDiv is Python's //", () => {
    const got = evaluate(math.floorDiv, type, [
      [7, -7, 7, -7, 1, -1, 0, -0, -1, 1, 0.5],
      [2, 2, -2, -2, 0, 0, 3, 3, Infinity, Infinity, 0.125],
    ]);
    expect([...got]).toEqual([3, -4, -4, 3, Infinity, -Infinity, 0, -0, -1, 0, 4]);
  });
});
