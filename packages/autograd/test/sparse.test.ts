/** Gradients of sparse tensors, which are those of their values: against finite differences, twice. */
import { describe, expect, it } from 'vitest';
import { gradcheck, gradgradcheck } from '@proj/autograd';
import { fromArray, type Tensor, tensor } from '@proj/tensor';
import * as sparse from '@proj/tensor/sparse';
import type { SparseTensor } from '@proj/tensor/sparse';

const values = (shape: readonly number[], seed = 1): Tensor => {
  const count = shape.reduce((a, b) => a * b, 1);
  const numbers = Float64Array.from({ length: count }, (_, i) => (((i + seed) * 0.6180339887498949) % 1) * 1.6 - 0.8);
  return fromArray(numbers, shape, 'float64').requiresGrad_();
};
const places = tensor([
  [0, 1, 1, 2, 1, 0],
  [2, 0, 2, 1, 0, 2],
]);
const others = tensor([
  [0, 0, 1, 2],
  [1, 2, 2, 0],
]);
const first = (v: Tensor): SparseTensor => sparse.sparseCooTensor(places, v, [3, 3]);
const second = (v: Tensor): SparseTensor => sparse.sparseCooTensor(others, v, [3, 3]);

const cases: readonly [string, (...inputs: Tensor[]) => Tensor, readonly Tensor[]][] = [
  ['toDense', (v) => first(v).toDense(), [values([6])]],
  ['coalesce', (v) => first(v).coalesce().values().square(), [values([6])]],
  [
    'values of several dimensions',
    (v) =>
      sparse
        .sparseCooTensor(tensor([[0, 2, 0]]), v, [3, 2])
        .coalesce()
        .values()
        .square(),
    [values([3, 2])],
  ],
  ['mm with dense', (v, d) => sparse.mm(first(v), d), [values([6]), values([3, 4], 3)]],
  ['mm of csr', (v, d) => sparse.mm(first(v).toSparseCsr(), d), [values([6]), values([3, 4], 3)]],
  ['mm of csc', (v, d) => sparse.mm(first(v).toSparseCsc(), d), [values([6]), values([3, 4], 3)]],
  ['dense times sparse', (v, d) => sparse.mm(d, first(v)), [values([6]), values([2, 3], 3)]],
  ['mv', (v, d) => sparse.mv(first(v), d), [values([6]), values([3], 3)]],
  ['mm with sparse', (v, w) => sparse.mm(first(v), second(w)).toDense(), [values([6]), values([4], 3)]],
  [
    'addmm',
    (m, v, d) => sparse.addmm(m, first(v), d, { beta: 0.5, alpha: 2 }),
    [values([3, 4], 5), values([6]), values([3, 4], 3)],
  ],
  [
    'sampledAddmm',
    (v, a, b) => sparse.sampledAddmm(second(v), a, b).storedValues,
    [values([4]), values([3, 5], 3), values([5, 3], 5)],
  ],
  ['add', (v, w) => sparse.add(first(v), second(w), { alpha: 3 }).toDense(), [values([6]), values([4], 3)]],
  ['mul', (v, w) => sparse.mul(first(v), second(w)).toDense(), [values([6]), values([4], 3)]],
  ['mul with dense', (v, d) => sparse.mul(first(v), d).toDense(), [values([6]), values([3, 3], 3)]],
  ['sin', (v) => sparse.sin(first(v)).toDense(), [values([6])]],
  ['sum over a dimension', (v) => (sparse.sum(first(v), 0) as SparseTensor).toDense(), [values([6])]],
  ['softmax', (v) => sparse.softmax(first(v), 1).toDense(), [values([6])]],
  ['logSoftmax', (v) => sparse.logSoftmax(first(v), 0).toDense(), [values([6])]],
  ['toSparse', (d) => sparse.toSparse(d).toDense().square(), [values([3, 3])]],
  ['sparseMask', (d) => sparse.sparseMask(d, second(values([4]).detach()).coalesce()).toDense(), [values([3, 3])]],
  [
    'parts',
    (v) => sparse.narrowCopy(sparse.indexSelect(first(v), 0, tensor([2, 0, 0])), 1, 1, 2).toDense(),
    [values([6])],
  ],
];

describe('gradients of sparse operations', () => {
  for (const [name, fn, inputs] of cases) {
    it(`${name} passes gradcheck`, () => expect(gradcheck(fn, inputs)).toBe(true));
    it(`${name} passes gradgradcheck`, () => expect(gradgradcheck(fn, inputs)).toBe(true));
  }

  it('are sparse where the tensor is a leaf', () => {
    const x = sparse.sparseCooTensor(others, fromArray([1, 2, 3, 4], [4], 'float32'), [3, 3], { requiresGrad: true });
    const d = fromArray([1, 2, 3, 4, 5, 6], [3, 2], 'float32');
    sparse.mm(x, d).sum().backward();
    // d(Σ x d)/dx[i, j] = Σ_n d[j, n], at the places of x only.
    expect(x.grad?.storedIndices.toArray()).toEqual(others.toArray());
    expect(x.grad?.storedValues.toArray()).toEqual([7, 11, 11, 3]);
  });
  it('have one value for a place that occurs twice', () => {
    const x = sparse.sparseCooTensor(tensor([[1, 0, 1]]), fromArray([1, 2, 3], [3], 'float32'), [2], {
      requiresGrad: true,
    });
    x.toDense()
      .mul(fromArray([5, 7], [2], 'float32'))
      .sum()
      .backward();
    expect(x.grad?.toDense().toArray()).toEqual([5, 7]);
  });
  it('take memory for the values of a matrix of 10^6 × 10^6', () => {
    const size = 1_000_000;
    const at = tensor([
      [3, 999_999, 500_000],
      [7, 12, 999_998],
    ]);
    const v = fromArray([1, 2, 3], [3], 'float32').requiresGrad_();
    const x = sparse.sparseCooTensor(at, v, [size, size]);
    (sparse.sum(sparse.mm(x, sparse.t(x))) as Tensor).backward();
    // Σ (x xᵀ) = Σ_j (Σ_i x[i, j])²; every column has one value.
    expect(v.grad?.toArray()).toEqual([2, 4, 6]);
  });
});
