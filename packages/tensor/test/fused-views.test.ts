/** Nests of loops that read through views of views: what random programs (tooling/conformance/scripts/cases/random_programs.py) once found wrong. */
import { constantPadNd, flip, fromArray, repeatInterleave, sign, tensor, type Tensor } from '@proj/tensor';
import { describe, expect, it } from 'vitest';

const range = (shape: readonly number[]): Tensor => {
  const count = shape.reduce((product, size) => product * size, 1);
  return fromArray(
    Float32Array.from({ length: count }, (_, i) => ((7 * i) % 11) - 5),
    shape,
  );
};

describe('fused views', () => {
  it('repeated elements in reverse order', () => {
    const turned = flip(repeatInterleave(tensor([3, 1, -5, 2]), 2, { dim: 0 }), [0]);
    expect(turned.eq(turned.amin([0])).toArray()).toEqual([false, false, true, true, false, false, false, false]);
    expect(turned.mul(1).toArray()).toEqual([2, 2, -5, -5, 1, 1, 3, 3]);
  });
  it('padding that lies behind all of the memory', () => {
    const x = tensor([
      [1, 2, 3],
      [4, 5, 6],
    ]).realize();
    expect(constantPadNd(x, [0, 0, 0, 3], 7).narrow(0, 3, 2).mul(2).toFlatArray()).toEqual(new Array(6).fill(14));
    expect(constantPadNd(x, [0, 5], 7).narrow(1, 4, 3).add(x).toArray()).toEqual([
      [8, 9, 10],
      [11, 12, 13],
    ]);
  });
  // A sum over windows of one element is read by what is written into a part of its result, at other rows.
  it.each([[[1, 1, 7]], [[3, 1, 7]], [[1, 3, 1, 5]], [[2, 1, 1, 6]], [[4, 1]]])(
    'reductions read at rows of their own, of shape %j',
    (shape) => {
      const x = range(shape);
      const sums = x.reshape([...shape, 1]).sum(-1);
      const signs = sign(sums);
      const changed = signs.mul(1.5);
      changed.narrow(-1, 0, Math.ceil((shape.at(-1) ?? 1) / 2)).mul_(-1);
      expect(signs.toFlatArray()).toEqual(x.toFlatArray().map(Math.sign));
      const width = shape.at(-1) ?? 1;
      expect(changed.toFlatArray()).toEqual(
        x.toFlatArray().map((v, i) => Math.sign(v) * (i % width < Math.ceil(width / 2) ? -1.5 : 1.5)),
      );
    },
  );
});
