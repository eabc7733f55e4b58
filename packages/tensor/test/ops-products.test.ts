/** Products against figures of PyTorch 1.13. */
import * as T from '@proj/tensor';
import { describe, it } from 'vitest';
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

describe('products', () => {
  it('einsum with a repeated label', () => {
    expectTensor(T.einsum('ii->i', s), 'float32', [3], [4, 3, 5]);
  });
  it('einsum with an ellipsis', () => {
    expectTensor(
      T.einsum('...ij,jk->...k', T.arange(12).reshape(2, 2, 3).float(), s),
      'float32',
      [2, 3],
      [20.5, 11, 31.5, 86.5, 47, 85.5],
    );
  });
  it('einsum of three', () => {
    expectTensor(
      T.einsum('ij,jk,k->i', a, a.t(), T.tensor([1, -1, 2]).float()),
      'float32',
      [3],
      [6.625, -10.1875, 41.75],
    );
  });
  it('tensordot over listed dims', () => {
    expectTensor(
      T.tensordot(a, a, [
        [0, 1],
        [0, 1],
      ]),
      'float32',
      [],
      [42.6875],
    );
  });
  it('Kronecker product', () => {
    expectTensor(
      T.kron(
        T.tensor([[1, 2]]),
        T.tensor([
          [0, 3],
          [1, 1],
        ]),
      ),
      'int64',
      [2, 4],
      [0, 3, 0, 6, 1, 1, 2, 2],
    );
  });
  it('cross product', () => {
    expectTensor(T.tensor([1, 2, 3]).cross(T.tensor([4, -5, 6])), 'int64', [3], [27, 6, -13]);
  });
  it('a scaled sum with a product', () => {
    expectTensor(
      s.addmm(s, s, { beta: 0.5, alpha: 2 }),
      'float32',
      [3, 3],
      [36.5, 13.5, 7.25, 13.5, 23.5, -15.5, 7.25, -15.5, 55],
    );
  });
});
