// Recurrent layers against the equations written out with plain numbers, packed sequences against padded ones, gradients by finite differences.
import { describe, expect, it } from 'vitest';
import * as t from '@proj/tensor';
import type { Tensor } from '@proj/tensor';
import { gradcheck } from '@proj/autograd';
import { GRU, GRUCell, LSTM, LSTMCell, type Module, RNN } from '@proj/nn';
import {
  clipGradNorm_,
  packPaddedSequence,
  padPackedSequence,
  parametersToVector,
  vectorToParameters,
} from '@proj/nn/utils';

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const rows = (x: Tensor): number[][] => x.toArray() as number[][];
const dot = (a: readonly number[], b: readonly number[]): number => a.reduce((sum, x, i) => sum + x * b[i], 0);

describe('equations', () => {
  it('LSTM', () => {
    t.manualSeed(5);
    const net = new LSTM(3, 2, { dtype: 'float64' });
    const [wi, wh, bi, bh] = Object.values(net.stateDict());
    const x = t.randn(4, 1, 3, { dtype: 'float64' });
    const [y, [h, c]] = net.call(x as Tensor);
    let [hidden, cell] = [
      [0, 0],
      [0, 0],
    ];
    (x.toArray() as number[][][]).forEach(([input], step) => {
      const gates = rows(wi).map(
        (row, k) => dot(row, input) + dot(rows(wh)[k], hidden) + bi.toFlatArray()[k] + bh.toFlatArray()[k],
      );
      cell = cell.map((old, k) => sigmoid(gates[2 + k]) * old + sigmoid(gates[k]) * Math.tanh(gates[4 + k]));
      hidden = cell.map((now, k) => sigmoid(gates[6 + k]) * Math.tanh(now));
      y.select(0, step)
        .toFlatArray()
        .forEach((value, k) => expect(value).toBeCloseTo(hidden[k], 12));
    });
    h.toFlatArray().forEach((value, k) => expect(value).toBeCloseTo(hidden[k], 12));
    c.toFlatArray().forEach((value, k) => expect(value).toBeCloseTo(cell[k], 12));
  });
  it('cells agree with layers', () => {
    const check = (layer: Module, cell: Module, first: (x: Tensor) => Tensor, one: (x: Tensor) => Tensor): void => {
      cell.loadStateDict(
        Object.fromEntries(
          Object.entries(layer.stateDict()).map(([name, value]) => [name.replace('_l0', ''), value] as const),
        ),
      );
      const x = t.randn(1, 2, 3);
      const expected = first(x).toFlatArray();
      one(x.select(0, 0))
        .toFlatArray()
        .forEach((value, i) => expect(value).toBeCloseTo(expected[i], 6));
    };
    const [lstm, lstmCell, gru, gruCell] = [new LSTM(3, 2), new LSTMCell(3, 2), new GRU(3, 2), new GRUCell(3, 2)];
    check(
      lstm,
      lstmCell,
      (x) => lstm.call(x)[0],
      (x) => lstmCell.call(x)[0],
    );
    check(
      gru,
      gruCell,
      (x) => gru.forward(x)[0],
      (x) => gruCell.call(x),
    );
  });
});

describe('sequences', () => {
  it('packed sequences give what each sequence gives alone, in both directions', () => {
    t.manualSeed(6);
    const net = new GRU(2, 3, { bidirectional: true, numLayers: 2 });
    const x = t.randn(4, 3, 2);
    const lengths = [2, 4, 3];
    const [packed, states] = net.call(packPaddedSequence(x, lengths, { enforceSorted: false }) as never) as unknown as [
      never,
      Tensor,
    ];
    const [padded, sizes] = padPackedSequence(packed);
    expect(sizes.toArray()).toEqual(lengths);
    lengths.forEach((length, n) => {
      const [alone, final] = net.call(x.narrow(0, 0, length).select(1, n) as never) as unknown as [Tensor, Tensor];
      const part = padded.select(1, n).narrow(0, 0, length);
      part.toFlatArray().forEach((value, i) => expect(value).toBeCloseTo(alone.toFlatArray()[i], 5));
      states
        .select(1, n)
        .toFlatArray()
        .forEach((value, i) => expect(value).toBeCloseTo(final.toFlatArray()[i], 5));
    });
  });
  it('batchFirst turns both ends', () => {
    const net = new RNN(2, 3, { batchFirst: true });
    const [y, h] = net.call(t.randn(5, 4, 2) as never) as unknown as [Tensor, Tensor];
    expect(y.shape).toEqual([5, 4, 3]);
    expect(h.shape).toEqual([1, 5, 3]);
  });
  it('gradients through time', () => {
    const net = new LSTM(2, 2, { dtype: 'float64' });
    const x = t.randn(4, 2, 2, { dtype: 'float64', requiresGrad: true });
    const weights = [...net.parameters()];
    expect(gradcheck(((a: Tensor) => net.call(a)[0]) as never, [x])).toBe(true);
    net.call(x)[0].sum().backward();
    // The recurrent weight, by differences.
    const loss = (): number => net.call(x.detach())[0].sum().item();
    const analytic = weights[1].grad?.toFlatArray() ?? [];
    const eps = 1e-6;
    const shift = (delta: number): void => void weights[1].detach().select(0, 3).select(0, 1).add_(delta);
    shift(eps);
    const up = loss();
    shift(-2 * eps);
    const down = loss();
    expect(analytic[7]).toBeCloseTo((up - down) / (2 * eps), 6);
  });
});

describe('utilities', () => {
  it('clipGradNorm_ scales all gradients to the norm', () => {
    const p = t.zeros([2], { requiresGrad: true });
    p.mul(t.tensor([3, 4]))
      .sum()
      .backward();
    expect(clipGradNorm_([p], 1).item()).toBeCloseTo(5, 6);
    const [a, b] = p.grad?.toFlatArray() ?? [];
    expect(a).toBeCloseTo(0.6, 5);
    expect(b).toBeCloseTo(0.8, 5);
  });
  it.each([
    [3, 4.5, [0.6666665, -0.8888887], 0.1111111],
    [1, 7.5, [0.3999999, -0.5333332], 0.0666667],
    [0, 2, [1.4999993, -1.999999], 0.2499999],
    [Infinity, 4, [0.7499998, -0.9999998], 0.125],
    [-Infinity, 0.5, [3, -4], 0.5],
  ])('clipGradNorm_ with norm %d gives what PyTorch 1.13 gives', (normType, norm, first, second) => {
    const [a, b] = [t.zeros([2], { requiresGrad: true }), t.zeros([1], { requiresGrad: true })];
    [a.grad, b.grad] = [t.tensor([3, -4], { dtype: 'float32' }), t.tensor([0.5])];
    expect(clipGradNorm_([a, b], 1, { normType }).item()).toBeCloseTo(norm, 6);
    const clipped = [...(a.grad?.toFlatArray() ?? []), ...(b.grad?.toFlatArray() ?? [])];
    [...first, second].forEach((value, i) => expect(clipped[i]).toBeCloseTo(value, 6));
  });
  it('clipGradNorm_ of parameters without gradients is 0', () => {
    expect(clipGradNorm_(new RNN(2, 2).parameters(), 1).item()).toBe(0);
  });
  it('parameters to a vector and back', () => {
    const net = new RNN(2, 2);
    const vector = parametersToVector(net.parameters());
    vectorToParameters(vector.mul(0).add(2), net.parameters());
    expect([...net.parameters()].every((p) => p.toFlatArray().every((x) => x === 2))).toBe(true);
  });
});
