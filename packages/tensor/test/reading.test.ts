/** Reading and printing values: what a tensor looks like as text and as a single element; which names the package has. */
import * as torch from '@proj/tensor';
import { attempt, broadcastShapes, tensor } from '@proj/tensor';
import { describe, expect, it } from 'vitest';

describe('reading', () => {
  it('item() is true or false of a bool tensor and a number of others', () => {
    expect([
      tensor(true).item(),
      tensor([1, 2])
        .eq(tensor([1, 3]))
        .all()
        .item(),
    ]).toEqual([true, false]);
    expect([tensor(1).item(), tensor(2.5).item()]).toEqual([1, 2.5]);
  });

  it('item() refuses an integer that a number cannot hold', () => {
    const result = attempt(() => tensor(2n ** 60n).item());
    expect(result.ok ? result.value : result.error.code).toBe('dtype');
  });

  it('prints integers of 64 bits exactly', () => {
    expect(String(tensor([2n ** 60n + 1n, -3]))).toBe('tensor([1152921504606846977, -3])');
  });

  it('prints floats, negative zero, booleans and nested dimensions as PyTorch does', () => {
    expect(
      String(
        tensor([
          [1.5, 2],
          [-1, 0],
        ]).neg(),
      ),
    ).toBe('tensor([[-1.500, -2.],\n        [1., -0.]])');
    expect(String(tensor([true, false]))).toBe('tensor([true, false])');
    expect(String(tensor([[[1, 2]], [[3, 4]]]))).toBe('tensor([[[1, 2]],\n        [[3, 4]]])');
    expect(String(tensor(3))).toBe('tensor(3)');
  });
});

describe('the names of the package', () => {
  it('are operations, not the tables and helpers that they are made of', () => {
    const rows = new Set(torch.opTable.map(({ name }) => name));
    const others = Object.keys(torch).filter((name) => !rows.has(name));
    expect(others.filter((name) => /^[A-Z_]+$/.test(name) || /(Step|Nodes|Along|Of)$/.test(name))).toEqual([]);
    expect(broadcastShapes([2, 1], [3])).toEqual([2, 3]);
  });
});
