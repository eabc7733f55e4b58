/** The base class of optimisers: groups, gradients, hooks, errors; and the schedulers that have no fixture. */
import '@proj/autograd';
import { ProjError } from '@proj/kernel';
import { tensor, type Tensor } from '@proj/tensor';
import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import {
  Adam,
  AdamW,
  ChainedScheduler,
  ConstantLR,
  CosineAnnealingLR,
  CyclicLR,
  ExponentialLR,
  LambdaLR,
  LBFGS,
  LinearLR,
  MultiplicativeLR,
  OneCycleLR,
  ReduceLROnPlateau,
  SequentialLR,
  SGD,
  SparseAdam,
  StepLR,
} from '../src/index.ts';

const parameter = (values: number[]): Tensor => tensor(values, { dtype: 'float32', requiresGrad: true });

describe('Optimizer', () => {
  it('gives each group its own hyper-parameters and the rest from the options', () => {
    const [a, b] = [parameter([1]), parameter([1])];
    const optimizer = new SGD([{ params: [a] }, { params: b, lr: 1 }], { lr: 0.5 });
    a.grad = tensor([1.5], { dtype: 'float32' });
    b.grad = tensor([1.5], { dtype: 'float32' });
    optimizer.step();
    expect([a.item(), b.item()]).toEqual([0.25, -0.5]);
  });

  it('leaves parameters without gradient and their step counts alone', () => {
    const [a, b] = [parameter([1]), parameter([1])];
    const optimizer = new Adam([a, b], { lr: 0.1 });
    a.grad = tensor([2], { dtype: 'float32' });
    optimizer.step();
    optimizer.step();
    b.grad = tensor([2], { dtype: 'float32' });
    optimizer.step();
    // The first step of Adam is lr·sign(g) whatever the gradient.
    expect(b.item()).toBeCloseTo(0.9, 6);
    expect([optimizer.state.get(a)?.step, optimizer.state.get(b)?.step]).toEqual([3, 1]);
  });

  it('zeroGrad drops gradients, or zeroes them', () => {
    const a = parameter([1, 2]);
    const optimizer = new SGD([a], { lr: 1 });
    a.grad = tensor([1, 1], { dtype: 'float32' });
    optimizer.zeroGrad({ setToNone: false });
    expect((a.grad as Tensor).toFlatArray()).toEqual([0, 0]);
    optimizer.zeroGrad();
    expect(a.grad).toBeNull();
  });

  it('calls hooks around the step and the closure inside', () => {
    const a = parameter([1]);
    const optimizer = new SGD([a], { lr: 0.5 });
    const calls: string[] = [];
    optimizer.registerStepPreHook(() => calls.push('before'));
    const after = optimizer.registerStepPostHook(() => calls.push('after'));
    const closure = (): number => {
      calls.push('closure');
      return 7;
    };
    expect(optimizer.step(closure)).toBe(7);
    after.remove();
    optimizer.step(closure);
    expect(calls).toEqual(['before', 'closure', 'after', 'before', 'closure']);
  });

  it.each([
    ['no parameters', () => new SGD([], { lr: 1 }), /empty/],
    ['no learning rate', () => new SGD([parameter([1])]), /lr is NaN.*learning rate/],
    ['a negative learning rate', () => new Adam([parameter([1])], { lr: -1 }), /lr is -1/],
    ['a beta of 1', () => new Adam([parameter([1])], { betas: [0.9, 1] }), /betas\[1\] is 1/],
    ['a computed tensor', () => new Adam([parameter([1]).mul(2)]), /not a leaf/],
    [
      'a parameter twice',
      () => {
        const a = parameter([1]);
        return new Adam([{ params: a }, { params: a }]);
      },
      /twice/,
    ],
    ['Nesterov without momentum', () => new SGD([parameter([1])], { lr: 1, nesterov: true }), /Nesterov/],
  ])('refuses %s', (_, make, message) => {
    expect(make).toThrow(ProjError);
    expect(make).toThrow(message);
  });

  it('says what its first argument must be', () => {
    const a = parameter([1]);
    expect(() => new Adam(a as unknown as Tensor[])).toThrow(/params is a tensor/);
    expect(() => new Adam(undefined as unknown as Tensor[])).toThrow(/params is undefined/);
    expect(() => new Adam([{ lr: 1 } as never])).toThrow(/a group has no params/);
  });

  it('prints its groups', () => {
    expect(inspect(new SGD([parameter([1])], { lr: 0.5 }))).toBe(
      'SGD (\nParameter Group 0\n    params: 1\n    lr: 0.5\n    momentum: 0\n    dampening: 0\n    weightDecay: 0\n    nesterov: false\n    maximize: false\n)',
    );
  });

  it('refuses the state of other groups and other shapes', () => {
    const saved = new Adam([parameter([1, 2])]);
    saved.paramGroups[0].params[0].grad = tensor([1, 1], { dtype: 'float32' });
    saved.step();
    expect(() => new Adam([parameter([1]), parameter([1])]).loadStateDict(saved.stateDict())).toThrow(
      /groups of 1 parameters, this optimiser of 2/,
    );
    expect(() => new Adam([parameter([1, 2, 3])]).loadStateDict(saved.stateDict())).toThrow(/"exp_avg" does not fit/);
  });

  it("takes PyTorch's options that say how an update is computed, without effect", () => {
    const [a, b] = [parameter([1]), parameter([1])];
    const options = { lr: 0.5, foreach: true, capturable: false, differentiable: false, fused: null };
    const optimizer = new Adam([{ params: [a], ...options }], options);
    const plain = new Adam([b], { lr: 0.5 });
    a.grad = b.grad = tensor([1.5], { dtype: 'float32' });
    optimizer.step();
    plain.step();
    expect(a.item()).toBe(b.item());
  });

  it('the state dicts of LBFGS and SparseAdam have the form that PyTorch gives them', () => {
    const x = parameter([3, -2]);
    const lbfgs = new LBFGS([x], { lr: 0.1, maxIter: 3, historySize: 5 });
    lbfgs.step(() => {
      lbfgs.zeroGrad();
      const loss = x
        .square()
        .mul(tensor([1, 4], { dtype: 'float32' }))
        .sum();
      loss.backward();
      return loss;
    });
    // A place for each pair that may be kept, filled from the first on.
    const { al, n_iter: iterations } = lbfgs.stateDict().state[0] as { al: (Tensor | null)[]; n_iter: number };
    expect(iterations).toBe(2);
    expect(al.map((entry) => entry !== null)).toEqual([true, false, false, false, false]);

    const table = parameter([1, 2]);
    const sparse = new SparseAdam([table]);
    table.grad = tensor([1, 0], { dtype: 'float32' });
    sparse.step();
    expect(sparse.stateDict().state[0]['step']).toBe(1);
  });

  it('SparseAdam leaves rows without gradient alone', () => {
    const table = tensor(
      [
        [1, 1],
        [1, 1],
        [1, 1],
      ],
      { dtype: 'float32', requiresGrad: true },
    );
    const optimizer = new SparseAdam([table], { lr: 0.1 });
    const gradient = (rows: number[][]): void => {
      table.grad = tensor(rows, { dtype: 'float32' });
      optimizer.step();
    };
    gradient([
      [1, 0],
      [0, 0],
      [0, 0],
    ]);
    gradient([
      [0, 0],
      [0, 0],
      [3, 3],
    ]);
    const [a, , b, , c] = table.toFlatArray();
    expect(a).toBeCloseTo(0.9, 5);
    expect(b).toBe(1);
    // Second step, first moment: 0.1·√(1-0.999²)/(1-0.9²) · 0.1·3/√(0.001·9).
    expect(c).toBeCloseTo(1 - ((0.1 * Math.sqrt(1 - 0.999 ** 2)) / (1 - 0.81)) * (0.3 / Math.sqrt(0.009)), 5);
  });
});

describe('schedulers', () => {
  const sgd = (): SGD => new SGD([parameter([1])], { lr: 1 });

  it('LambdaLR scales the initial rate, MultiplicativeLR the present one', () => {
    const a = sgd();
    const lambda = new LambdaLR(a, (epoch) => 1 / (1 + epoch));
    lambda.step();
    lambda.step();
    expect(lambda.getLastLr()[0]).toBeCloseTo(1 / 3, 12);
    const b = sgd();
    const product = new MultiplicativeLR(b, () => 0.5);
    product.step();
    product.step();
    expect(b.paramGroups[0].lr).toBe(0.25);
  });

  it('ChainedScheduler multiplies, SequentialLR hands over', () => {
    const chained = sgd();
    const chain = new ChainedScheduler([
      new ConstantLR(chained, { factor: 0.1, totalIters: 2 }),
      new ExponentialLR(chained, 0.9),
    ]);
    const seen = [chained.paramGroups[0].lr];
    for (let k = 0; k < 3; k++) {
      chain.step();
      seen.push(chained.paramGroups[0].lr);
    }
    // From the documentation of torch.optim.lr_scheduler.ChainedScheduler.
    [0.1, 0.09, 0.81, 0.729].forEach((wanted, k) => expect(seen[k]).toBeCloseTo(wanted, 12));

    const followed = sgd();
    const sequence = new SequentialLR(
      followed,
      [new ConstantLR(followed, { factor: 0.1, totalIters: 2 }), new ExponentialLR(followed, 0.9)],
      [2],
    );
    const rates = [followed.paramGroups[0].lr];
    for (let k = 0; k < 4; k++) {
      sequence.step();
      rates.push(followed.paramGroups[0].lr);
    }
    [0.1, 0.1, 1, 0.9, 0.81].forEach((wanted, k) => expect(rates[k]).toBeCloseTo(wanted, 12));
  });

  it('refuse factors and periods that would give rates that are not numbers', () => {
    const optimizer = new SGD([parameter([1])], { lr: 1, momentum: 0.9 });
    expect(() => new LinearLR(optimizer, { startFactor: 0 })).toThrow(/startFactor is 0/);
    expect(() => new ConstantLR(optimizer, { factor: 0 })).toThrow(/factor is 0/);
    expect(() => new StepLR(optimizer, 0)).toThrow(/stepSize is 0/);
    expect(() => new CosineAnnealingLR(optimizer, 0)).toThrow(/TMax is 0/);
    expect(() => new CyclicLR(optimizer, 0.1, 1, { stepSizeUp: 0 })).toThrow(/stepSizeUp is 0/);
  });

  it('OneCycleLR begins at its peak when the rise takes no step', () => {
    const optimizer = new SGD([parameter([1])], { lr: 1, momentum: 0.9 });
    const scheduler = new OneCycleLR(optimizer, 2, { totalSteps: 10, pctStart: 0.1 });
    expect(scheduler.getLastLr()).toEqual([2]);
    scheduler.step();
    // Half a cosine of nine steps from 2 to 2 / 25 / 1e4.
    expect(scheduler.getLastLr()[0]).toBeCloseTo(8e-6 + ((2 - 8e-6) / 2) * (1 + Math.cos(Math.PI / 9)), 12);
  });

  it('ReduceLROnPlateau waits for its patience, then reduces', () => {
    const optimizer = sgd();
    const plateau = new ReduceLROnPlateau(optimizer, { patience: 1, factor: 0.5 });
    for (const metric of [3, 2, 2, 2, 1, 1, 1]) plateau.step(metric);
    expect(optimizer.paramGroups[0].lr).toBe(0.25);
  });
});

describe('options that do not exist', () => {
  const parameter = (): Tensor => tensor([1], { dtype: 'float32', requiresGrad: true });
  it('are refused by optimisers, their groups and schedulers', () => {
    const given = { learningrate: 1 } as object;
    expect(() => new Adam([parameter()], given)).toThrow(/Adam: unknown option 'learningrate'. Did you mean 'lr'\?/);
    expect(() => new SGD([parameter()], 0.1 as never)).toThrow(/SGD: 0.1 where an object of options belongs/);
    expect(() => new LBFGS([parameter()], { max_iter: 3 } as object)).toThrow(/Did you mean 'maxIter'/);
    const group = { params: [parameter()], weight_decay: 1 };
    expect(() => new AdamW([group])).toThrow(/unknown option 'weight_decay'. Did you mean 'weightDecay'/);
    const optimizer = new SGD([{ params: [parameter()], name: 'head' } as object as { params: Tensor[] }], { lr: 1 });
    expect(() => new StepLR(optimizer, 3, { lastepoch: 2 } as object)).toThrow(/StepLR: .*'lastEpoch'/);
    expect(() => new OneCycleLR(optimizer, 1, { total_steps: 2 } as object)).toThrow(/OneCycleLR: .*'totalSteps'/);
    // Groups that a scheduler has written into still fit.
    new OneCycleLR(optimizer, 1, { totalSteps: 10, cycleMomentum: false });
    expect(new SGD(optimizer.paramGroups).paramGroups[0].lr).toBe(optimizer.paramGroups[0].lr);
  });
});
