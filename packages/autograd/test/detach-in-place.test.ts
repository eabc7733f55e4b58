/** `detach_`: what PyTorch says of leaves, gradients and views afterwards. */
import '../src/index.ts';
import { evaluate, ones, tensor } from '@proj/tensor';
import { describe, expect, it } from 'vitest';

describe('detach_', () => {
  it('makes a leaf of a value; what was computed from it before keeps its gradient', () => {
    const x = tensor([1, 2], { dtype: 'float32', requiresGrad: true });
    const y = x.mul(3);
    const before = y.square().sum();
    expect(y.detach_()).toBe(y);
    expect([y.requiresGrad, y.isLeaf, y.toArray()]).toEqual([false, true, [3, 6]]);
    before.add(y.sum()).backward();
    expect(x.grad?.toArray()).toEqual([18, 36]);
    // Later in-place operations begin a new history.
    y.add_(x);
    expect([y.requiresGrad, y.toArray()]).toEqual([true, [4, 8]]);
  });
  it('cuts a chain of states: memory and gradients reach back one step', () => {
    const w = tensor(2, { dtype: 'float32', requiresGrad: true });
    let state = tensor(1, { dtype: 'float32' });
    for (let step = 0; step < 5; step++) {
      state = state.mul(w);
      if (step < 4) state.detach_();
    }
    state.backward();
    expect([state.item(), w.grad?.item()]).toEqual([32, 16]);
  });
  it('works on values that are computed already, and that change afterwards', () => {
    const x = tensor([1, 2], { dtype: 'float32', requiresGrad: true });
    const y = x.mul(3).realize();
    const seen = y.detach();
    y.detach_().mul_(2);
    evaluate([y]);
    expect([y.toArray(), seen.toArray()]).toEqual([
      [6, 12],
      [6, 12],
    ]);
  });
  it('is requiresGrad_(false) on a leaf and refused on a view', () => {
    const x = ones([3]).requiresGrad_();
    expect(x.detach_().requiresGrad).toBe(false);
    const y = ones([3]).requiresGrad_().mul(2);
    expect(() => y.narrow(0, 0, 2).detach_()).toThrow(/view cannot be detached in place/);
    expect(y.requiresGrad).toBe(true);
  });
});
