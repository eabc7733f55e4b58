/** First and second derivatives of every differentiable row of the op table, by finite differences in float64; and those at corners, by PyTorch's conventions. */
import { gradcheck, gradgradcheck } from '@proj/autograd';
import { getDevice, opTable, setDefaultDevice, Tensor, tensor } from '@proj/tensor';
import { type OpSample, SampleMaker, samplesOf } from '@proj/tensor/testing';
import { beforeAll, describe, expect, it } from 'vitest';

const device = getDevice('js');
beforeAll(() => setDefaultDevice(device));

function tensorsOf(value: unknown): Tensor[] {
  if (value instanceof Tensor) return [value];
  if (Array.isArray(value)) return value.flatMap(tensorsOf);
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(tensorsOf) : [];
}

/** The sample as a function of its floating-point tensors, and those tensors. */
function asFunction(
  fn: (...args: unknown[]) => unknown,
  sample: OpSample,
): { f: (...leaves: Tensor[]) => Tensor[]; leaves: Tensor[] } {
  const make = new SampleMaker(device, 'float64');
  sample.args(make);
  const leaves = make.leaves.map((leaf) => leaf.detach().clone().requiresGrad_());
  return { leaves, f: (...given) => tensorsOf(fn(...sample.args(new SampleMaker(device, 'float64', given)))) };
}

/** Differentiable rows without finite differences, and why. */
const UNCHECKED = new Set([
  // Results of other dtypes than float64.
  'float',
  'half',
  'bfloat16',
  'long',
  'int',
  'short',
  'char',
  'byte',
  'bool',
  'typeAs',
  'cfloat',
  // Changes of the shape of a leaf in place.
  'transpose_',
  'swapaxes_',
  'swapdims_',
  // A mode moves only where values are equal; factors that are unique up to signs are checked below; random projections.
  'mode',
  'linalg.eigh',
  'linalg.svd',
  'svd',
  'svdLowrank',
  'pcaLowrank',
  'linalg.geqrf',
  'geqrf',
  'linalg.ormqr',
  'ormqr',
  'linalg.lstsq',
  'linalg.matrixRank',
]);
const rows = opTable.filter((row) => row.differentiable);
const samplesWith = (row: (typeof rows)[number], ...kinds: OpSample['derivatives'][]): OpSample[] =>
  (samplesOf(row)?.samples ?? []).filter((sample) => kinds.includes(sample.derivatives));

describe('derivatives by finite differences', () => {
  const checked = rows.filter((row) => samplesWith(row, 'all', 'first').length > 0);
  it('cover the differentiable rows', () => {
    expect(checked.length).toBeGreaterThan(230);
    const unchecked = rows.filter((row) => !checked.includes(row)).map((row) => row.name);
    expect(unchecked.filter((name) => !UNCHECKED.has(name))).toEqual([]);
  });
  it.each(checked.map((row) => [`${row.name}(${row.signature})`, row] as const))(
    '%s',
    { timeout: 180_000 },
    (_, row) => {
      const failures: string[] = [];
      for (const sample of samplesWith(row, 'all', 'first')) {
        const { f, leaves } = asFunction(row.fn as unknown as (...args: unknown[]) => unknown, sample);
        try {
          gradcheck(f as never, leaves);
          if (sample.derivatives === 'all') gradgradcheck(f as never, leaves);
        } catch (error) {
          failures.push(`${sample.name}: ${String(error)}`);
        }
      }
      expect(failures).toEqual([]);
    },
  );
});

describe('derivatives of factors, which are unique up to signs', () => {
  const matrix = (): Tensor =>
    tensor(
      [
        [2, 0.5, -0.3],
        [0.5, 5, 0.7],
        [-0.3, 0.7, 9],
      ],
      { dtype: 'float64', requiresGrad: true },
    );
  const row = (name: string): ((...args: unknown[]) => unknown) =>
    opTable.find((one) => one.name === name)?.fn as unknown as (...args: unknown[]) => unknown;
  const magnitudes = (value: unknown): Tensor[] => tensorsOf(value).map((one) => one.abs());
  it('eigh', () => {
    expect(gradcheck(((a: Tensor) => magnitudes(row('linalg.eigh')(a.add(a.t())))) as never, [matrix()])).toBe(true);
  });
  it('svd', () => {
    expect(
      gradcheck(((a: Tensor) => magnitudes(row('linalg.svd')(a, { fullMatrices: false }))) as never, [matrix()]),
    ).toBe(true);
  });
});

/** The gradient of the sum of `f` at `values`. */
function gradientAt(f: (x: Tensor) => Tensor, values: readonly number[]): number[] {
  const x = tensor([...values], { dtype: 'float64', requiresGrad: true });
  f(x).sum().backward();
  return x.grad?.toFlatArray() ?? [];
}
const of = (...values: number[]): Tensor => tensor(values, { dtype: 'float64' });

// Values: PyTorch 1.13.1.
describe('gradients at corners', () => {
  it.each<[string, (x: Tensor) => Tensor, number[], number[]]>([
    ['sqrt at 0', (x) => x.sqrt(), [0, 4], [Infinity, 0.25]],
    ['abs at 0', (x) => x.abs(), [0, -2, 3], [0, -1, 1]],
    ['relu at 0', (x) => x.relu(), [0, -1, 1], [0, 0, 1]],
    ['clamp at its bounds', (x) => x.clamp(-1, 1), [-2, -1, 0, 1, 2], [0, 1, 1, 1, 0]],
    ['clamp between tensors at them', (x) => x.clamp(of(-1, -1, -1), of(1, 1, 1)), [-1, 1, 2], [1, 1, 0]],
    ['amax with ties', (x) => x.amax(), [1, 3, 3, 3], [0, 1 / 3, 1 / 3, 1 / 3]],
    ['max of all with ties', (x) => x.max(), [3, 1, 3], [0.5, 0, 0.5]],
    ['max along a dim with ties', (x) => x.max(0).values, [1, 3, 3], [0, 1, 0]],
    ['min along a dim with ties', (x) => x.min(0).values, [0, 3, 0], [1, 0, 0]],
    ['maximum of equal numbers', (x) => x.maximum(of(1, 1, 1)), [1, 2, 0], [0.5, 1, 0]],
    ['prod with one zero', (x) => x.prod(), [2, 0, 5], [0, 10, 0]],
    ['prod with two zeros', (x) => x.prod(), [0, 0, 5], [0, 0, 0]],
    ['cumprod with a zero', (x) => x.cumprod(0), [2, 0, 5], [1, 12, 0]],
    ['square at 0', (x) => x.pow(2), [0, 3], [0, 6]],
    ['power 0 at 0', (x) => x.pow(0), [0, 3], [0, 0]],
    ['the exponent of 0', (x) => of(0, 0, 2).pow(x), [2, 0, 1], [0, 0, 2 * Math.LN2]],
    ['norm of zeros', (x) => x.norm(), [0, 0], [0, 0]],
    ['std of equal numbers', (x) => x.std(), [2, 2, 2], [0, 0, 0]],
    ['sigmoid far out', (x) => x.sigmoid(), [1000, -1000], [0, 0]],
    ['sort with ties', (x) => x.sort().values.mul(of(1, 10, 100)), [2, 1, 2], [10, 1, 100]],
    ['median of an even number', (x) => x.median(), [4, 1, 3, 2], [0, 0, 0, 1]],
    [
      'where with an infinite branch not taken',
      (x) => x.gt(0).logicalNot().maskedFill(of(0, 0).eq(1), 0).mul(0).add(x.clamp(0.5).log()),
      [0, 2],
      [0, 0.5],
    ],
  ])('%s', (_, f, at, expected) => {
    gradientAt(f, at).forEach((value, i) =>
      Number.isFinite(expected[i]) ? expect(value).toBeCloseTo(expected[i], 12) : expect(value).toBe(expected[i]),
    );
    expect(gradientAt(f, at)).toHaveLength(expected.length);
  });
});
