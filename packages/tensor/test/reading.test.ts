/** Reading values: what a tensor is as a single element; which names the package has. */
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
});

describe('the names of the package', () => {
  it('are operations, not the tables and helpers that they are made of', () => {
    const rows = new Set(torch.opTable.map(({ name }) => name));
    const others = Object.keys(torch).filter((name) => !rows.has(name));
    expect(others.filter((name) => /^[A-Z_]+$/.test(name) || /(Step|Nodes|Along|Of)$/.test(name))).toEqual([]);
    expect(broadcastShapes([2, 1], [3])).toEqual([2, 3]);
  });
});
