/** What computing takes: the launches that fusion leaves, told by `explain`. */
import type { Tensor } from '@proj/tensor';
import { cat, explain, fromArray, getDevice, setDefaultDevice, stack } from '@proj/tensor';
import { beforeAll, describe, expect, it } from 'vitest';

beforeAll(() => setDefaultDevice(getDevice('js')));

const data = (...shape: number[]): Tensor =>
  fromArray(
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(i)),
    shape,
  );
/** Launches of the plan for these tensors. */
function launches(...tensors: Tensor[]): number {
  const found = /^(\d+) launches/.exec(explain(tensors));
  return found === null ? 0 : Number(found[1]);
}
function layerNorm(x: Tensor, weight: Tensor, bias: Tensor): Tensor {
  const centred = x.sub(x.mean(-1, { keepdim: true }));
  return centred
    .mul(centred.square().mean(-1, { keepdim: true }).add(1e-5).rsqrt())
    .mul(weight)
    .add(bias);
}

describe('fusion', () => {
  const x = (): Tensor => data(64, 100);
  it('makes one launch of elementwise chains, whatever their shape', () => {
    expect(launches(x().mul(2).add(data(100)).exp().sub(data(64, 1)).clamp(0, 1))).toBe(1);
    expect(launches(x().t().reshape([100, 8, 8]).permute(2, 0, 1).neg())).toBe(1);
  });
  it('makes one launch of softmax, log-softmax and log-sum-exp', () => {
    expect(launches(x().softmax(-1))).toBe(1);
    expect(launches(x().div(8).add(data(100)).softmax(-1).mul(3))).toBe(1);
    expect(launches(x().logSoftmax(-1))).toBe(1);
    expect(launches(x().logsumexp(-1))).toBe(1);
  });
  it('makes one launch of layer norm, with a residual before it', () => {
    expect(launches(layerNorm(x().add(data(64, 100)), data(100), data(100)))).toBe(1);
  });
  it('makes one launch of a maximum with its index, and of variance', () => {
    const { values, indices } = x().max(1);
    expect(launches(values, indices)).toBe(1);
    expect(launches(x().var(1))).toBe(1);
    expect(launches(x().square().sum(1).sqrt())).toBe(1);
  });
  it('stores a product with its bias, activation and residual', () => {
    const [w, b] = [data(100, 50), data(50)];
    expect(launches(x().matmul(w).add(b).relu())).toBe(1);
    expect(launches(x().matmul(w).add(b).tanh().add(data(64, 50)))).toBe(1);
    expect(launches(x().matmul(w).add(b).mul(0.5).sigmoid())).toBe(1);
  });
  it('makes one launch of an Adam update: both moments and the parameter', () => {
    const [p, m, v, g] = [data(999), data(999), data(999), data(999)];
    m.mul_(0.9).add_(g.mul(0.1));
    v.mul_(0.999).add_(g.square().mul(0.001));
    p.sub_(m.div(v.sqrt().add(1e-8)).mul(0.001));
    expect(launches(p, m, v)).toBe(1);
  });
  it('makes two launches of cross-entropy', () => {
    const target = fromArray(
      Array.from({ length: 64 }, (_, i) => i),
      [64, 1],
      'int64',
    );
    expect(launches(x().logSoftmax(1).gather(1, target).mean().neg())).toBe(2);
  });
  it('makes three launches of attention', () => {
    const [q, k, v] = [data(2, 4, 16, 8), data(2, 4, 16, 8), data(2, 4, 16, 8)];
    expect(
      launches(q.matmul(k.transpose(-1, -2)).mul(0.35).maskedFill(data(16, 16).gt(0), -Infinity).softmax(-1).matmul(v)),
    ).toBe(3);
  });
  it('reads views in place: no launch of their own', () => {
    const y = x();
    expect(launches(y.slice(0, 3, 30).t().slice(0, 1, null, 2).add(1))).toBe(1);
    expect(launches(y.t().matmul(data(64, 7)))).toBe(1);
    expect(launches(y.reshape(16, 4, 100).transpose(0, 1).matmul(data(100, 5)))).toBeLessThanOrEqual(2);
  });
  it('writes parts of a concatenation where they belong, computed on the way', () => {
    expect(launches(cat([x().exp(), x().neg(), x()], 1))).toBe(3);
    expect(launches(stack([x().add(1), x().sub(1)]))).toBe(2);
  });
  it('bounds the size of a kernel', () => {
    let y = data(8);
    for (let i = 0; i < 2000; i++) y = y.mul(0.999).add(0.001);
    expect(launches(y)).toBeGreaterThan(1);
    expect(launches(y)).toBeLessThan(100);
  });
});

describe('explain', () => {
  it('names launches, bytes and the arena, and computes nothing', () => {
    const x = data(64, 100);
    const product = x.matmul(data(100, 50)).exp();
    const text = explain(product.sum(1));
    expect(text).toMatch(/launches on js, arena/);
    expect(text).toMatch(/0\.6 MFLOP/);
    expect(text).toMatch(/KiB/);
    expect(product.node.data).toBeNull();
    expect(explain(x)).toMatch(/nothing to compute/);
  });
  it('shows the kernels when asked', () => {
    expect(explain(data(4).exp(), { kernels: true })).toMatch(/kernel|func|loop|for/);
  });
});
