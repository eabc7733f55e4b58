// torch.nn.utils: weights that are computed from others. Their numbers against PyTorch's stand in tooling/conformance (`recorded/nn/utils`); here is what records
// cannot say: copies, captured steps, conversions, gradients by finite differences, one change on top of another, and wrong use.
import { describe, expect, it } from 'vitest';
import { gradcheck, noGrad } from '@proj/autograd';
import * as t from '@proj/tensor';
import type { Tensor } from '@proj/tensor';
import { matrixRank, svdvals } from '@proj/tensor/linalg';
import {
  BatchNorm1d,
  Conv2d,
  GRU,
  LazyLinear,
  Linear,
  LSTM,
  Module,
  Parameter,
  ReLU,
  RNN,
  RNNCell,
  RNNCellBase,
  Sequential,
} from '@proj/nn';
import {
  fuseConvBnEval,
  fusion,
  parametrizations,
  parametrize,
  prune,
  removeSpectralNorm,
  removeWeightNorm,
  skipInit,
  spectralNorm,
  stateless,
  weightNorm,
} from '@proj/nn/utils';

const names = (module: Module): string[] => Object.keys(module.stateDict());
const close = (a: Tensor, b: Tensor, atol = 1e-6): boolean => a.detach().allclose(b.detach(), { atol, rtol: 1e-5 });
const identity = (n: number): Tensor => t.eye(n);

/** The upper triangle, mirrored. */
class Symmetric extends Module {
  override forward(x: Tensor): Tensor {
    return x.triu().add(x.triu(1).t());
  }
  rightInverse(x: Tensor): Tensor {
    return x.triu();
  }
}
/** The product of a column and a row. */
class RankOne extends Module {
  override forward(x: Tensor, y: Tensor): Tensor {
    return x.unsqueeze(-1).matmul(y.unsqueeze(-2));
  }
  rightInverse(z: Tensor): readonly Tensor[] {
    return [z.select(1, 0), z.select(0, 0)];
  }
}
class Doubled extends Module {
  calls = 0;
  override forward(x: Tensor): Tensor {
    this.calls++;
    return x.mul(2);
  }
}

describe('a computed weight', () => {
  it.each<[string, (layer: Linear) => Module, string[]]>([
    ['weightNorm', (layer) => weightNorm(layer), ['bias', 'weight_g', 'weight_v']],
    ['spectralNorm', (layer) => spectralNorm(layer), ['bias', 'weight_orig', 'weight_u', 'weight_v']],
    ['prune', (layer) => prune.l1Unstructured(layer, 'weight', 4), ['bias', 'weight_orig', 'weight_mask']],
    [
      'orthogonal',
      (layer) => parametrizations.orthogonal(layer),
      ['bias', 'parametrizations.weight.original', 'parametrizations.weight.0.base'],
    ],
    [
      'parametrizations.spectralNorm',
      (layer) => parametrizations.spectralNorm(layer),
      ['bias', 'parametrizations.weight.original', 'parametrizations.weight.0._u', 'parametrizations.weight.0._v'],
    ],
  ])('%s: is copied, converted, loaded and captured with its module', (_, change, state) => {
    t.manualSeed(3);
    const layer = new Linear(3, 4);
    expect(change(layer)).toBe(layer);
    expect(names(layer)).toEqual(state);
    layer.eval();
    const x = t.randn(5, 3);
    const before = layer.call(x).toFlatArray();

    const copy = layer.copy();
    noGrad(() => copy.getParameter('bias').fill_(7));
    expect(layer.call(x).toFlatArray()).toEqual(before);
    expect(copy.weight).not.toBe(layer.weight);
    expect(close(copy.weight, layer.weight)).toBe(true);
    expect(names(copy)).toEqual(state);

    const other = new Linear(3, 4);
    change(other);
    other.eval().loadStateDict(layer.stateDict());
    expect(other.call(x).toFlatArray()).toEqual(before);
    expect(() => other.loadStateDict({ weight: t.zeros(4, 3), bias: t.zeros(4) })).toThrow(/Missing key/);

    const double = layer.copy().double();
    expect(double.weight.dtype).toBe('float64');
    expect(close(double.call(x.double()).float(), layer.call(x), 1e-5)).toBe(true);
  });

  it.each<[string, (layer: Linear) => Module]>([
    ['weightNorm', (layer) => weightNorm(layer)],
    ['spectralNorm', (layer) => spectralNorm(layer)],
    ['parametrizations.spectralNorm', (layer) => parametrizations.spectralNorm(layer)],
    ['orthogonal', (layer) => parametrizations.orthogonal(layer, { orthogonalMap: 'cayley' })],
    ['prune', (layer) => prune.l1Unstructured(layer, 'weight', 4)],
  ])('%s: a captured training step moves originals and buffers as an eager one', (_, change) => {
    t.manualSeed(4);
    const eager = new Linear(3, 4);
    change(eager);
    const captured = eager.copy();
    const train = (layer: Linear) => (x: Tensor) => {
      const loss = layer.call(x).square().sum();
      layer.zeroGrad();
      loss.backward();
      noGrad(() => {
        for (const parameter of layer.parameters())
          if (parameter.grad !== null) parameter.sub_(parameter.grad.detach().mul(0.01));
      });
      return loss.detach();
    };
    const captures: string[] = [];
    const step = t.compile(train(captured), { onCapture: (reason) => captures.push(reason) });
    const start = eager.stateDict();
    const first = Object.fromEntries(Object.entries(start).map(([name, value]) => [name, value.toFlatArray()]));
    for (let k = 0; k < 5; k++) {
      const x = t.randn(6, 3);
      expect(close(step(x), train(eager)(x), 1e-4)).toBe(true);
    }
    expect(captures.length).toBe(1);
    const after = captured.stateDict();
    for (const [name, value] of Object.entries(eager.stateDict())) {
      expect(close(after[name], value, 1e-5), name).toBe(true);
      const fixed = name === 'weight_mask' || name.endsWith('base');
      expect(value.toFlatArray().join() === first[name].join(), name).toBe(fixed);
    }
  });

  it('has gradients for its originals that agree with finite differences', () => {
    t.manualSeed(6);
    const check = (layer: Module & { forward(x: Tensor): Tensor }): void => {
      layer.eval();
      const originals = [...layer.namedParameters()].map(([name]) => name);
      const x = t.randn(4, 3, { dtype: 'float64' });
      const result = (...values: Tensor[]): Tensor =>
        stateless.functionalCall(layer, Object.fromEntries(originals.map((name, i) => [name, values[i]])), x);
      const values = [...layer.parameters()].map((parameter) => parameter.detach().clone().requiresGrad_());
      expect(gradcheck(result, values)).toBe(true);
    };
    const square = (): Linear => new Linear(3, 3, { dtype: 'float64', bias: false });
    check(weightNorm(square()));
    check(spectralNorm(square()));
    check(parametrizations.spectralNorm(square()));
    check(parametrizations.orthogonal(square()));
    check(parametrizations.orthogonal(square(), { orthogonalMap: 'cayley' }));
    check(
      parametrizations.orthogonal(new Linear(3, 5, { dtype: 'float64', bias: false }), { orthogonalMap: 'cayley' }),
    );
  });

  it('may be changed in several ways, one on top of the other', () => {
    const layer = weightNorm(new Linear(3, 4));
    prune.l1Unstructured(layer, 'weight_v', 2);
    expect(names(layer)).toEqual(['bias', 'weight_g', 'weight_v_orig', 'weight_v_mask']);
    expect(layer.weight.eq(0).sum().item()).toBe(2);
    prune.remove(layer, 'weight_v');
    removeWeightNorm(layer);
    expect(names(layer)).toEqual(['bias', 'weight']);
    expect(layer.weight).toBeInstanceOf(Parameter);
    expect(layer.weight.eq(0).sum().item()).toBe(2);
  });

  it('refuses values, except where they can be inverted', () => {
    const layer = weightNorm(new Linear(3, 3));
    expect(() => (layer.weight = new Parameter(t.ones(3, 3)))).toThrow(/weight is computed from other fields.*remove/);
    const symmetric = parametrize.registerParametrization(new Linear(3, 3), 'weight', new Symmetric());
    const value = t.tensor([
      [1, 2, 3],
      [2, 4.5, 5],
      [3, 5, 6],
    ]);
    symmetric.weight = value as Parameter;
    expect(symmetric.weight.toArray()).toEqual(value.toArray());
    const doubled = parametrize.registerParametrization(new Linear(3, 3), 'weight', new Doubled());
    expect(() => (doubled.weight = value as Parameter)).toThrow(/Doubled has no rightInverse/);
  });

  it('serves recurrent layers by both spellings of the name', () => {
    t.manualSeed(1);
    const x = t.randn(4, 2, 3);
    const output = (layer: LSTM | GRU | RNN): Tensor =>
      layer instanceof LSTM ? layer.call(x)[0] : layer instanceof GRU ? layer.call(x)[0] : layer.call(x)[0];
    for (const layer of [
      new LSTM(3, 2, { numLayers: 2 }),
      new GRU(3, 2, { numLayers: 2 }),
      new RNN(3, 2, { numLayers: 2 }),
    ]) {
      const before = output(layer).detach();
      weightNorm(layer, 'weight_hh_l0');
      weightNorm(layer, { name: 'weightIhL1', dim: null });
      expect(names(layer).slice(-4)).toEqual(['weight_hh_l0_g', 'weight_hh_l0_v', 'weight_ih_l1_g', 'weight_ih_l1_v']);
      expect(close(output(layer), before)).toBe(true);
      noGrad(() => layer.getParameter('weight_ih_l1_g').zero_());
      expect(close(output(layer), before)).toBe(false);
    }
    const lstm = new LSTM(3, 2);
    parametrizations.orthogonal(lstm, 'weight_hh_l0');
    const [y] = lstm.call(x);
    y.sum().backward();
    const list = (lstm as LSTM & parametrize.Parametrized).parametrizations.get('weight_hh_l0');
    expect(list.originals[0].grad).not.toBeNull();
    expect(new RNNCell(2, 3)).toBeInstanceOf(RNNCellBase);
  });
});

describe('spectral norm', () => {
  it('reaches the largest singular value by calls in training alone', () => {
    t.manualSeed(2);
    for (const layer of [spectralNorm(new Linear(6, 5)), parametrizations.spectralNorm(new Linear(6, 5))]) {
      layer.eval();
      const still = Object.values(layer.stateDict()).map((value) => value.toFlatArray());
      layer.call(t.ones(2, 6));
      expect(Object.values(layer.stateDict()).map((value) => value.toFlatArray())).toEqual(still);
      layer.train();
      for (let k = 0; k < 200; k++) layer.call(t.ones(2, 6)).realize();
      layer.eval();
      expect(svdvals(layer.weight.detach()).select(0, 0).item()).toBeCloseTo(1, 5);
    }
  });
  it('lets two forwards of one step be differentiated', () => {
    const layer = spectralNorm(new Linear(3, 2));
    layer
      .call(t.ones(1, 3))
      .sum()
      .sub(layer.call(t.zeros(1, 3)).sum())
      .backward();
    expect(layer.getParameter('weight_orig').grad).not.toBeNull();
  });
});

describe('parametrize', () => {
  it('keeps the parameter itself as the original, and gives it back', () => {
    const layer = new Linear(3, 3);
    const parameter = layer.weight;
    const changed = parametrize.registerParametrization(layer, 'weight', new Symmetric());
    parametrize.registerParametrization(layer, 'weight', new Doubled());
    expect(parametrize.isParametrized(layer)).toBe(true);
    expect([parametrize.isParametrized(layer, 'weight'), parametrize.isParametrized(layer, 'bias')]).toEqual([
      true,
      false,
    ]);
    expect(changed.parametrizations.get('weight').length).toBe(2);
    expect(changed.parametrizations.get('weight').originals[0]).toBe(parameter);
    const value = layer.weight.toArray();
    expect(close(layer.weight, layer.weight.t())).toBe(true);
    parametrize.removeParametrizations(layer, 'weight');
    expect(layer.weight).toBe(parameter);
    expect(layer.weight.toArray()).toEqual(value);
    expect(names(layer)).toEqual(['bias', 'weight']);
    expect(parametrize.isParametrized(layer)).toBe(false);
  });
  it('takes parametrizations of several tensors, and buffers', () => {
    const layer = new Linear(3, 4);
    const changed = parametrize.registerParametrization(layer, 'weight', new RankOne());
    expect(names(layer)).toEqual(['bias', 'parametrizations.weight.original0', 'parametrizations.weight.original1']);
    layer.call(t.ones(1, 3)).sum().backward();
    for (const original of changed.parametrizations.get('weight').originals) expect(original.grad).not.toBeNull();
    expect(() => parametrize.removeParametrizations(layer, 'weight', { leaveParametrized: false })).toThrow(
      /2 originals/,
    );
    parametrize.removeParametrizations(layer, 'weight');
    expect(matrixRank(layer.weight.detach()).item()).toBe(1);
    const norm = new BatchNorm1d(2);
    parametrize.registerParametrization(norm, 'running_mean', new Doubled());
    expect([...norm.namedBuffers()].map(([name]) => name)).toContain('parametrizations.running_mean.original');
  });
  it('refuses an async function in cached, which is over before the function is', () => {
    expect(() => parametrize.cached(async () => undefined)).toThrow(/cached: the function is async/);
  });
  it('computes once inside cached', () => {
    const layer = new Linear(2, 2);
    const doubled = new Doubled();
    parametrize.registerParametrization(layer, 'weight', doubled);
    doubled.calls = 0;
    parametrize.cached(() => {
      for (let k = 0; k < 3; k++) layer.call(t.ones(1, 2));
      parametrize.cached(() => layer.weight);
      return layer.weight;
    });
    expect(doubled.calls).toBe(1);
    layer.call(t.ones(1, 2));
    expect(doubled.calls).toBe(2);
  });
  it('checks shape and dtype unless it is told not to', () => {
    class Narrowed extends Module {
      override forward(x: Tensor): Tensor {
        return x.narrow(0, 0, 1);
      }
    }
    const layer = new Linear(2, 3);
    expect(() => parametrize.registerParametrization(layer, 'weight', new Narrowed())).toThrow(
      /shape or dtype.*unsafe/,
    );
    expect(names(layer)).toEqual(['weight', 'bias']);
    parametrize.registerParametrization(layer, 'weight', new Doubled());
    expect(() => parametrize.registerParametrization(layer, 'weight', new Narrowed())).toThrow(/unsafe/);
    parametrize.registerParametrization(layer, 'weight', new Narrowed(), { unsafe: true });
    expect(layer.weight.shape).toEqual([1, 2]);
  });
});

describe('orthogonal', () => {
  it.each(['matrix_exp', 'cayley', 'householder'] as const)('%s: stays so while it is trained', (orthogonalMap) => {
    t.manualSeed(8);
    for (const [columns, rows] of [
      [4, 4],
      [3, 5],
      [5, 3],
    ]) {
      const layer = parametrizations.orthogonal(new Linear(columns, rows), { orthogonalMap });
      const start = layer.weight.toArray();
      for (let k = 0; k < 4; k++) {
        layer.zeroGrad();
        layer.call(t.randn(4, columns)).square().sum().backward();
        noGrad(() => {
          for (const parameter of layer.parameters())
            if (parameter.grad !== null) parameter.sub_(parameter.grad.detach().mul(0.05));
        });
      }
      const q = rows >= columns ? layer.weight : layer.weight.t();
      expect(close(q.t().matmul(q), identity(Math.min(rows, columns)), 1e-5)).toBe(true);
      if (rows !== columns) expect(layer.weight.toArray()).not.toEqual(start);
    }
  });
  it('keeps a matrix that is orthogonal already, and takes others by assigning', () => {
    const layer = new Linear(2, 2);
    noGrad(() =>
      layer.weight.copy_(
        t.tensor([
          [0.6, -0.8],
          [0.8, 0.6],
        ]),
      ),
    );
    parametrizations.orthogonal(layer);
    expect(
      close(
        layer.weight,
        t.tensor([
          [0.6, -0.8],
          [0.8, 0.6],
        ]),
      ),
    ).toBe(true);
    layer.weight = t.tensor(
      [
        [0, 1],
        [1, 0],
      ],
      { dtype: 'float32' },
    ) as Parameter;
    expect(
      close(
        layer.weight,
        t.tensor(
          [
            [0, 1],
            [1, 0],
          ],
          { dtype: 'float32' },
        ),
      ),
    ).toBe(true);
    const plain = parametrizations.orthogonal(new Linear(2, 2), { useTrivialization: false });
    expect(() => (plain.weight = layer.weight)).toThrow(/matrix_exp has no inverse/);
  });
});

describe('prune', () => {
  it('compares elements across parameters when it is global', () => {
    const [a, b] = [new Linear(2, 2, { bias: false }), new Linear(2, 2, { bias: false })];
    noGrad(() => {
      a.weight.copy_(
        t.tensor(
          [
            [1, -8],
            [3, 7],
          ],
          { dtype: 'float32' },
        ),
      );
      b.weight.copy_(
        t.tensor(
          [
            [-2, 6],
            [5, 4],
          ],
          { dtype: 'float32' },
        ),
      );
    });
    const all = [
      [a, 'weight'],
      [b, 'weight'],
    ] as const;
    prune.globalUnstructured(all, prune.L1Unstructured, { amount: 3 });
    expect([a.weight, b.weight].map((weight) => weight.add(0).toArray())).toEqual([
      [
        [0, -8],
        [0, 7],
      ],
      [
        [0, 6],
        [5, 4],
      ],
    ]);
    // 0.4 of the five that are left.
    prune.globalUnstructured(all, prune.L1Unstructured, {
      amount: 0.4,
      importanceScores: [
        [
          a,
          'weight',
          t.tensor([
            [9, 1],
            [9, 2],
          ]),
        ],
      ],
    });
    expect(a.weight.ne(0).sum().item()).toBe(0);
    expect(prune.isPruned(new Sequential(new ReLU(), a))).toBe(true);
    expect(() => prune.globalUnstructured(all, prune.RandomStructured, { amount: 1 })).toThrow(/structured method/);
  });
  it('removes as many as it is told, at random too', () => {
    t.manualSeed(9);
    const layer = new Linear(10, 8);
    prune.randomUnstructured(layer, 'weight', 0.25);
    expect(layer.getBuffer('weight_mask').eq(0).sum().item()).toBe(20);
    // Of the 60 that are left.
    prune.randomUnstructured(layer, 'weight', 0.5);
    expect(layer.getBuffer('weight_mask').eq(0).sum().item()).toBe(50);
    const conv = prune.randomStructured(new Conv2d(3, 6, 2), 'weight', 0.5, 0);
    const channels = conv.getBuffer('weight_mask').flatten(1).sum(1).toFlatArray();
    expect([channels.filter((sum) => sum === 0).length, channels.filter((sum) => sum === 12).length]).toEqual([3, 3]);
    const everything = prune.l1Unstructured(new Linear(3, 3), 'weight', new t.FloatScalar(1));
    expect(everything.weight.ne(0).sum().item()).toBe(0);
  });
  it('takes methods of one’s own', () => {
    class EveryOther extends prune.BasePruningMethod {
      readonly pruningType = 'unstructured';
      override computeMask(_t: Tensor, defaultMask: Tensor): Tensor {
        const flat = defaultMask.flatten();
        return flat.mul(t.arange(flat.numel()).remainder(2)).reshape([...defaultMask.shape]);
      }
    }
    const layer = new Linear(3, 2);
    const parameter = layer.weight;
    EveryOther.apply(layer, 'weight');
    expect(layer.getBuffer('weight_mask').toFlatArray()).toEqual([0, 1, 0, 1, 0, 1]);
    EveryOther.apply(layer, 'weight');
    expect(layer.getBuffer('weight_mask').toFlatArray()).toEqual([0, 0, 0, 1, 0, 0]);
    layer.call(t.ones(1, 3)).sum().backward();
    expect(parameter.grad?.toFlatArray()).toEqual([0, 0, 0, 1, 0, 0]);
    prune.remove(layer, 'weight');
    expect(layer.weight).toBe(parameter);
    expect(prune.isPruned(layer)).toBe(false);
    expect(new EveryOther().prune(t.tensor([1.5, 2.5])).toArray()).toEqual([0, 2.5]);
  });
});

describe('other utilities', () => {
  it('functionalCall computes with the given tensors, differentiates them, and leaves the module alone', () => {
    const net = new Sequential(new Linear(2, 2), new BatchNorm1d(2));
    const before = names(net);
    const weight = t
      .tensor(
        [
          [1, 2],
          [3, 4],
        ],
        { dtype: 'float32' },
      )
      .requiresGrad_();
    const mean = t.zeros(2);
    const own = net.getBuffer('1.running_mean').toArray();
    const x = t.tensor([
      [1.5, 0],
      [0, 1],
    ]);
    stateless.functionalCall(net, { '0.weight': weight, '1.running_mean': mean }, x).square().sum().backward();
    expect(weight.grad).not.toBeNull();
    expect(mean.toArray()).not.toEqual([0, 0]);
    expect(net.getBuffer('1.running_mean').toArray()).toEqual(own);
    expect(names(net)).toEqual(before);
    const normed = weightNorm(new Linear(2, 2, { bias: false }));
    expect(stateless.functionalCall(normed, { weight: t.eye(2) }, [x]).toArray()).toEqual(x.toArray());
    expect(names(normed)).toEqual(['weight_g', 'weight_v']);
    expect(() => stateless.functionalCall(net, { '0.wait': weight }, x)).toThrow(/Linear has no field for "0.wait"/);
  });
  it('skipInit gives zeros and draws no random number', () => {
    t.manualSeed(5);
    const state = t.getRngState().toArray();
    const layer = skipInit(Linear, 5, 2, { bias: false });
    expect([layer.weight.shape, layer.weight.abs().sum().item(), layer.bias]).toEqual([[2, 5], 0, null]);
    expect(t.getRngState().toArray()).toEqual(state);
    expect(() => skipInit(Object as unknown as typeof ReLU)).toThrow(/no class of modules/);
  });
  it('fusing wants evaluation', () => {
    const [linear, norm] = [new Linear(2, 2), new BatchNorm1d(2)];
    expect(() => fusion.fuseLinearBnEval(linear, norm)).toThrow(/in training.*eval\(\)/);
    const still = new BatchNorm1d(2, { trackRunningStats: false });
    expect(() => fuseConvBnEval(linear.eval(), still.eval())).toThrow(/no running statistics/);
  });
});

describe('wrong use', () => {
  it.each<[string, () => unknown, RegExp]>([
    [
      'no such parameter',
      () => weightNorm(new Linear(2, 2), 'wait'),
      /weightNorm: Linear has no parameter "wait".*weight, bias/,
    ],
    [
      'a parameter that is left out',
      () => spectralNorm(new Linear(2, 2, { bias: false }), 'bias'),
      /has no parameter "bias"/,
    ],
    ['nothing to change', () => prune.identity(new ReLU(), 'weight'), /no parameters of its own/],
    ['a lazy layer', () => weightNorm(new LazyLinear(2)), /Call it once/],
    ['twice', () => weightNorm(weightNorm(new Linear(2, 2))), /computed by weightNorm/],
    ['spectral norm twice', () => spectralNorm(spectralNorm(new Linear(2, 2))), /computed by spectralNorm/],
    ['a dimension', () => weightNorm(new Linear(2, 2), { dim: 2 }), /weightNorm.*dim/i],
    ['an unknown option', () => weightNorm(new Linear(2, 2), { dims: 2 } as object), /unknown option 'dims'.*'dim'/],
    ['no iterations', () => spectralNorm(new Linear(2, 2), { nPowerIterations: 0 }), /nPowerIterations is 0/],
    ['nothing to remove', () => removeWeightNorm(new Linear(2, 2)), /has no weight norm/],
    ['nothing spectral to remove', () => removeSpectralNorm(weightNorm(new Linear(2, 2))), /has no spectral norm/],
    ['a vector', () => parametrizations.orthogonal(new Linear(2, 2), 'bias'), /a matrix or a batch/],
    [
      'a map',
      () => parametrizations.orthogonal(new Linear(2, 2), { orthogonalMap: 'exp' as 'cayley' }),
      /"exp" does not exist.*matrix_exp, cayley, householder/,
    ],
    [
      'nothing parametrised',
      () => parametrize.removeParametrizations(new Linear(2, 2), 'weight'),
      /is not parametrised/,
    ],
    ['a share', () => prune.l1Unstructured(new Linear(2, 2), 'weight', 1.5), /amount 1.5 is out of range/],
    ['a negative amount', () => prune.randomUnstructured(new Linear(2, 2), 'weight', -1), /amount -1 is out of range/],
    ['an amount', () => prune.l1Unstructured(new Linear(2, 2), 'weight', 5), /amount 5 of 4/],
    ['channels', () => prune.lnStructured(new Linear(2, 2), 'bias', 1, 2, 0), /two dimensions or more/],
    [
      'scores',
      () => prune.l1Unstructured(new Linear(2, 2), 'weight', 1, { importanceScores: t.ones(3) }),
      /shape of the tensor/,
    ],
    ['a mask', () => prune.customFromMask(new Linear(2, 2), 'weight', t.ones(3)), /shape of the tensor/],
    [
      'an option of pruning',
      () => prune.l1Unstructured(new Linear(2, 2), 'weight', 1, { scores: null } as object),
      /unknown option 'scores'/,
    ],
    [
      'no pruning method',
      () => new prune.PruningContainer(prune.L1Unstructured as unknown as prune.BasePruningMethod),
      /a function is no pruning method/,
    ],
    ['nothing pruned', () => prune.remove(new Linear(2, 2), 'weight'), /"weight" of Linear is not pruned/],
  ])('%s', (_, run, message) => {
    expect(run).toThrow(
      expect.objectContaining({ name: 'ProjError', message: expect.stringMatching(message) as string }),
    );
  });
});
