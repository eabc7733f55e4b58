/** Linear algebra against figures of PyTorch 1.13. */
import * as T from '@proj/tensor';
import * as linalg from '@proj/tensor/linalg';
import { describe, expect, it } from 'vitest';
import { expectTensor } from './support/expect-tensor.ts';

const a = T.tensor([
  [0.5, -1.25, 3, 2],
  [1.5, 0.25, -0.75, 2],
  [-2, 4, 1, 0],
]);
const s = T.tensor([
  [4, 1, 0.5],
  [1, 3, -1],
  [0.5, -1, 5],
]);

describe('linear algebra', () => {
  it('determinant', () => {
    expectTensor(linalg.det(s), 'float32', [], [49.2499962]);
  });
  it('inverse', () => {
    expectTensor(
      linalg.inv(s),
      'float32',
      [3, 3],
      [
        0.284263968, -0.111675136, -0.0507614277, -0.111675136, 0.401015252, 0.0913705751, -0.0507614277, 0.0913705751,
        0.223350272,
      ],
    );
  });
  it('solution', () => {
    expectTensor(
      linalg.solve(s, T.tensor([1, 2, 3]).float()),
      'float32',
      [3],
      [-0.0913705826, 0.964467049, 0.802030504],
    );
  });
  it('Cholesky factor', () => {
    expectTensor(linalg.cholesky(s), 'float32', [3, 3], [2, 0, 0, 0.5, 1.65831244, 0, 0.25, -0.678400517, 2.11595678]);
  });
  it('eigenvalues', () => {
    expectTensor(linalg.eigvalsh(s), 'float32', [3], [1.97196949, 4.60741901, 5.42061043]);
  });
  it('singular values', () => {
    expectTensor(linalg.svdvals(a), 'float32', [3], [4.78831482, 3.70374632, 2.45800734]);
  });
  it('pseudo-inverse', () => {
    expectTensor(
      linalg.pinv(a),
      'float32',
      [4, 3],
      [
        -0.00912701432, 0.192555308, -0.0713264272, -0.0642015338, 0.136461154, 0.199174479, 0.238552228, -0.160734102,
        0.0606494993, 0.104327507, 0.278250545, 0.0513414927,
      ],
    );
  });
  it('rank of a deficient matrix', () => {
    expectTensor(
      linalg.matrixRank(
        T.tensor([
          [1, 2],
          [2, 4],
        ]).float(),
      ),
      'int64',
      [],
      [1],
    );
  });
  it('nuclear norm', () => {
    expectTensor(linalg.matrixNorm(a, 'nuc'), 'float32', [], [10.9500694]);
  });
  it('condition number', () => {
    expectTensor(linalg.cond(s), 'float32', [], [2.74883056]);
  });
  it('matrix exponential', () => {
    expectTensor(
      linalg.matrixExp(s),
      'float32',
      [3, 3],
      [79.4090118, 32.5550995, 24.9321098, 32.5550919, 55.5084686, -67.173317, 24.9321098, -67.1733093, 198.509628],
    );
  });
  it('a negative power', () => {
    expectTensor(
      linalg.matrixPower(s, -3),
      'float32',
      [3, 3],
      [
        0.0381381027, -0.0465403162, -0.0203160848, -0.0465403162, 0.0876324996, 0.0347240195, -0.020316083,
        0.0347240157, 0.0211385433,
      ],
    );
  });
  it('compact LU', () => {
    expectTensor(
      linalg.luFactor(s).LU,
      'float32',
      [3, 3],
      [4, 1, 0.5, 0.25, 2.75, -1.125, 0.125, -0.409090936, 4.47727251],
    );
  });
  it('row swaps', () => {
    expectTensor(
      linalg.luFactor(
        T.tensor([
          [0, 1],
          [2, 3],
        ]).float(),
      ).pivots,
      'int32',
      [2],
      [2, 2],
    );
  });
  it('least squares', () => {
    expectTensor(
      linalg.lstsq(a.t(), T.tensor([[1], [2], [3], [4]]).float()).solution,
      'float32',
      [3, 1],
      [0.995436609, 1.09627759, 0.714336812],
    );
  });
});

describe('eigenvalues of general matrices', () => {
  it('of a quarter turn are ±i', () => {
    const { eigenvalues } = linalg.eig(
      T.tensor([
        [0, 1],
        [-1, 0],
      ]).float(),
    );
    expect(eigenvalues.dtype).toBe('complex64');
    expect(Array.from(eigenvalues.toTypedArray(), Number).map((x) => x + 0)).toEqual([0, 1, 0, -1]);
  });

  it('satisfy A v = λ v for twenty rows', () => {
    T.manualSeed(1);
    const n = 20;
    const A = T.randn(n, n, { dtype: 'float64' });
    const a = A.toFlatArray();
    const { eigenvalues, eigenvectors } = linalg.eig(A);
    const [l, v] = [eigenvalues, eigenvectors].map((x) => Array.from(x.toTypedArray(), Number));
    for (let k = 0; k < n; k++) {
      for (let i = 0; i < n; i++) {
        let [re, im] = [0, 0];
        for (let j = 0; j < n; j++) {
          re += a[i * n + j] * v[2 * (j * n + k)];
          im += a[i * n + j] * v[2 * (j * n + k) + 1];
        }
        const [x, y] = [v[2 * (i * n + k)], v[2 * (i * n + k) + 1]];
        expect(Math.hypot(re - (l[2 * k] * x - l[2 * k + 1] * y), im - (l[2 * k] * y + l[2 * k + 1] * x))).toBeLessThan(
          1e-11,
        );
      }
    }
  });
});

describe('symmetric indefinite factors', () => {
  it('have the pivots and entries of LAPACK', () => {
    const { LD, pivots } = linalg.ldlFactor(
      T.tensor([
        [0, 2, 3],
        [2, 0, 1],
        [3, 1, 4],
      ]).float(),
    );
    expect(pivots.toArray()).toEqual([3, 3, 3]);
    expectTensor(LD, 'float32', [3, 3], [4, 0, 0, 0.25, -2.25, 0, 0.75, -0.555555556, 0.444444444]);
    expectTensor(linalg.ldlSolve(LD, pivots, T.ones(3, 1)), 'float32', [3, 1], [1, 2, -1]);
  });
});
