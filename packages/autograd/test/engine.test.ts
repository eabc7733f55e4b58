// The engine: accumulation, freeing, versions, hooks, modes, functions of one's own, and the products and matrices of torch.autograd.functional.
import { describe, expect, it } from 'vitest';
import * as t from '@proj/tensor';
import type { Tensor } from '@proj/tensor';
import {
  backward,
  checkpoint,
  customGradient,
  detectAnomaly,
  dualLevel,
  enableGrad,
  Function as CustomFunction,
  type FunctionContext,
  grad,
  gradcheck,
  gradgradcheck,
  hessian,
  hvp,
  inferenceMode,
  isGradEnabled,
  jacobian,
  jvp,
  makeDual,
  noGrad,
  setGradEnabled,
  unpackDual,
  vhp,
  vjp,
} from '@proj/autograd';

const leaf = (data: readonly number[]): Tensor => t.tensor([...data], { dtype: 'float64', requiresGrad: true });

describe('backward', () => {
  it('accumulates into leaves, once for each call', () => {
    const x = leaf([1, 2]);
    x.mul(x).sum().backward();
    x.mul(3).sum().backward();
    expect(x.grad?.toArray()).toEqual([5, 7]);
  });
  it('keeps the same gradient tensor while accumulating', () => {
    const x = leaf([1]);
    x.mul(2).backward();
    const first = x.grad;
    x.mul(2).backward();
    expect(x.grad).toBe(first);
    expect(first?.toArray()).toEqual([4]);
  });
  it('needs a gradient for more than one element, of the right shape', () => {
    const x = leaf([1, 2]);
    expect(() => x.mul(2).backward()).toThrow(/one element/);
    expect(() => x.mul(2).backward(t.ones([3]))).toThrow(/another shape/);
    x.mul(2).backward(t.tensor([1, 10]));
    expect(x.grad?.toArray()).toEqual([2, 20]);
  });
  it('refuses values that require no gradient', () => {
    expect(() => t.ones([]).backward()).toThrow(/requires no gradient/);
    const x = leaf([1]);
    expect(() => noGrad(() => x.mul(2)).backward()).toThrow(/requires no gradient/);
    expect(() => x.detach().mul(2).backward()).toThrow(/requires no gradient/);
  });
  it('throws the second time, unless the graph is retained', () => {
    const x = leaf([2]);
    const y = x.exp();
    y.backward();
    expect(() => y.backward()).toThrow(/second backward/);
    const z = x.exp();
    z.backward(null, { retainGraph: true });
    z.backward();
    expect(x.grad?.item()).toBeCloseTo(3 * Math.exp(2), 10);
  });
  it('throws the second time also when the value has been computed in between', () => {
    const x = leaf([2]);
    const y = x.mul(x);
    y.backward();
    y.item();
    expect(() => y.backward()).toThrow(/second backward/);
  });
  it('accumulates into the given inputs only', () => {
    const [a, b] = [leaf([1]), leaf([2])];
    a.mul(b).backward(null, { inputs: [a] });
    expect(a.grad?.item()).toBe(2);
    expect(b.grad).toBeNull();
  });
  it('takes several roots', () => {
    const x = leaf([1, 2]);
    backward([x.mul(2).sum(), x.mul(x)], [null, t.tensor([1, 1])]);
    expect(x.grad?.toArray()).toEqual([4, 6]);
  });
});

describe('the second derivative of a function with kinks', () => {
  it.each([
    ['relu', (x: Tensor) => x.relu()],
    ['leakyRelu', (x: Tensor) => t.where(x.gt(0), x, x.mul(0.1))],
    ['abs', (x: Tensor) => x.abs()],
  ])('%s: zeros, not none', (_, fn) => {
    const x = leaf([-1.5, 2]);
    const [first] = grad([fn(x).sum()], [x], { createGraph: true });
    expect(grad([first.square().sum()], [x]).map((g) => g.toArray())).toEqual([[0, 0]]);
    backward([fn(x).sum()], [null], { createGraph: true });
    expect(x.grad?.requiresGrad).toBe(true);
  });
  it('of a sum there is none', () => {
    const x = leaf([-1.5, 2]);
    const [first] = grad([x.sum()], [x], { createGraph: true });
    expect(first.requiresGrad).toBe(false);
  });
});

describe('forward mode', () => {
  it('unpacks a value and then another one made of it', () => {
    const [x, ones] = [t.tensor([0.5, 1]), t.tensor([1, 1], { dtype: 'float32' })];
    dualLevel(() => {
      // checkpoint is one of the functions that are computed again for their gradients.
      const y = checkpoint((a: Tensor) => a.square(), makeDual(x, ones)) as Tensor;
      const z = y.mul(y).tanh();
      expect(unpackDual(z).tangent?.toFlatArray()[1]).toBeCloseTo(4 * (1 - Math.tanh(1) ** 2), 6);
      expect(unpackDual(z.mul(2)).tangent?.toFlatArray()[1]).toBeCloseTo(8 * (1 - Math.tanh(1) ** 2), 6);
    });
  });
});

describe('gradients of slices', () => {
  it('are put side by side in their own shapes, whatever they were reshaped from', () => {
    const x = t.arange(1, 7, { dtype: 'float32' }).reshape([1, 3, 2]);
    dualLevel(() => {
      const product = makeDual(x, t.ones([1, 3, 2])).prod(2);
      const { tangent } = unpackDual(t.stack([product, product], 1));
      expect(tangent?.toArray()).toEqual([
        [
          [3, 7, 11],
          [3, 7, 11],
        ],
      ]);
    });
  });
});

describe('values changed in place', () => {
  it('a saved input that was overwritten is an error', () => {
    const x = leaf([1, 2]);
    const y = x.mul(2);
    const z = y.mul(y);
    y.add_(1);
    expect(() => z.sum().backward()).toThrow(/in-place/);
  });
  it('a saved output that was overwritten is an error', () => {
    const y = leaf([1]).exp();
    const z = y.mul(3);
    y.mul_(2);
    expect(() => z.backward()).toThrow(/in-place/);
  });
  it('operations that keep nothing may be followed by writes', () => {
    const x = leaf([1, 2]);
    const y = x.mul(2);
    const z = y.add(1);
    y.add_(5);
    z.sum().backward();
    expect(x.grad?.toArray()).toEqual([2, 2]);
  });
  it('the write itself is differentiated', () => {
    const x = leaf([1, 2]);
    const y = x.mul(2);
    y.mul_(y).exp_();
    y.sum().backward();
    expect(x.grad?.toFlatArray()[0]).toBeCloseTo(8 * Math.exp(4), 8);
  });
  it('writing through a view changes the base', () => {
    const x = leaf([1, 2, 3]);
    const y = x.mul(1);
    y.narrow(0, 1, 1).mul_(10);
    y.sum().backward();
    expect(x.grad?.toArray()).toEqual([1, 10, 1]);
  });
  it('a leaf cannot be written outside noGrad', () => {
    const x = leaf([1]);
    expect(() => x.add_(1)).toThrow(/leaf/);
    noGrad(() => x.add_(1));
    expect(x.toArray()).toEqual([2]);
  });
  it('a parameter updated between two backward passes of one graph is an error', () => {
    const x = leaf([1]);
    const y = x.mul(x);
    y.backward(null, { retainGraph: true });
    noGrad(() => x.sub_(0.1));
    expect(() => y.backward()).toThrow(/in-place/);
  });
});

describe('leaves and views', () => {
  it('a detached tensor can be a leaf of its own', () => {
    const x = leaf([1, 2]);
    const d = x.detach().requiresGrad_();
    d.mul(3).sum().backward();
    expect(d.grad?.toArray()).toEqual([3, 3]);
    expect(x.grad).toBeNull();
    expect(d.isLeaf).toBe(true);
  });
  it('retainGrad keeps the gradient of a value between', () => {
    const x = leaf([2]);
    const y = x.mul(3);
    y.retainGrad();
    y.mul(y).backward();
    expect(y.grad?.item()).toBe(12);
  });
  it('gradients of views and of copies are told apart', () => {
    const x = leaf([1, 2]);
    const y = x.clone();
    const [gx] = grad(x.mul(y).sum(), [y]);
    expect(gx.toArray()).toEqual([1, 2]);
    const a = x.reshape([2, 1]);
    const b = a.reshape([1, 2]);
    expect(grad(b.mul(5).sum(), [a])[0].toArray()).toEqual([[5], [5]]);
  });
  it('hooks see and replace gradients, also after the leaf was updated', () => {
    const x = leaf([1]);
    const handle = x.registerHook((g) => g.mul(10));
    noGrad(() => x.add_(1));
    x.mul(2).backward();
    expect(x.grad?.item()).toBe(20);
    handle.remove();
    x.mul(2).backward();
    expect(x.grad?.item()).toBe(22);
  });
});

describe('grad', () => {
  it('gives null for unused inputs only where allowed', () => {
    const [a, b] = [leaf([1]), leaf([1])];
    expect(() => grad(a.mul(2), [b])).toThrow(/not used/);
    expect(grad(a.mul(2), [a, b], { allowUnused: true })[1]).toBeNull();
  });
  it('does not accumulate', () => {
    const a = leaf([1]);
    grad(a.mul(2), [a]);
    expect(a.grad).toBeNull();
  });
  it('third derivatives', () => {
    const x = leaf([0.7]);
    const d = (y: Tensor): Tensor => grad(y, [x], { createGraph: true })[0];
    expect(d(d(d(x.sin()))).item()).toBeCloseTo(-Math.cos(0.7), 12);
  });
  it('batches of cotangents', () => {
    const x = leaf([1, 2]);
    const [g] = grad(x.mul(x), [x], { gradOutputs: t.eye(2, { dtype: 'float64' }), isGradsBatched: true });
    expect(g.toArray()).toEqual([
      [2, 0],
      [0, 4],
    ]);
  });
});

describe('modes', () => {
  it('nest and are restored after errors', () => {
    noGrad(() => {
      expect(isGradEnabled()).toBe(false);
      enableGrad(() => expect(isGradEnabled()).toBe(true));
      expect(isGradEnabled()).toBe(false);
    });
    expect(() =>
      noGrad(() => {
        throw new Error('x');
      }),
    ).toThrow('x');
    expect(isGradEnabled()).toBe(true);
    expect(inferenceMode(() => leaf([1]).mul(2).requiresGrad)).toBe(false);
    setGradEnabled(false);
    setGradEnabled(true);
  });
  it('refuse async functions, whose awaits would leave others without gradients', async () => {
    for (const [name, mode] of Object.entries({ noGrad, enableGrad, detectAnomaly })) {
      let ran = false;
      expect(() =>
        mode(async () => {
          ran = true;
        }),
      ).toThrow(`${name}: the function is async`);
      expect(ran).toBe(false);
      expect(() => mode(() => Promise.reject(new Error('nobody waits for it')))).toThrow(
        /gives a promise.*Await first/,
      );
    }
    expect(isGradEnabled()).toBe(true);
    await new Promise((done) => setTimeout(done));
  });
  it('anomalies are named', () => {
    const x = leaf([0]);
    expect(() => detectAnomaly(() => x.mul(0).sqrt().mul(0).sum().backward())).toThrow(/NaN/);
  });
});

describe('functions with their own gradient', () => {
  it('customGradient', () => {
    const clipped = customGradient((x) => ({ value: x.exp(), gradFunc: (g) => g.clamp(-1, 1) }));
    const x = leaf([3]);
    clipped(x).mul(5).backward();
    expect(x.grad?.item()).toBe(1);
  });
  it('Function with saved values and several outputs', () => {
    class MulAdd extends CustomFunction {
      static override forward(context: FunctionContext, a: Tensor, b: Tensor): Tensor[] {
        context.saveForBackward(a, b);
        return [a.mul(b), a.add(b)];
      }
      static override backward(context: FunctionContext, g0: Tensor, g1: Tensor): Tensor[] {
        const [a, b] = context.savedTensors;
        return [g0.mul(b).add(g1), g0.mul(a).add(g1)];
      }
    }
    const inputs = [leaf([1, 2]), leaf([3, 4])];
    const run = (a: Tensor, b: Tensor): Tensor[] => MulAdd.apply(a, b) as Tensor[];
    expect(gradcheck(run as never, inputs)).toBe(true);
    expect(gradgradcheck(((a: Tensor, b: Tensor) => run(a, b)[0]) as never, inputs)).toBe(true);
    const second = run(inputs[0], inputs[1])[1];
    second.sum().backward();
    expect(inputs[0].grad?.toArray()).toEqual([1, 1]);
    expect(() => second.sum().backward()).toThrow(/second backward/);
  });
  it('Function gets zeros for the gradients of unused outputs, whatever their values', () => {
    class Both extends CustomFunction {
      static override forward(_: FunctionContext, a: Tensor): Tensor[] {
        return [a.log(), a.mul(2)];
      }
      static override backward(_: FunctionContext, g0: Tensor, g1: Tensor): Tensor[] {
        return [g0.add(g1.mul(2))];
      }
    }
    const x = leaf([0, 1]);
    (Both.apply(x) as Tensor[])[1].sum().backward();
    expect(x.grad?.toArray()).toEqual([2, 2]);
  });
  it('checkpoint gives the same gradients, also to parameters that the function closes over', () => {
    const w = leaf([2]);
    const x = leaf([3]);
    let calls = 0;
    const y = checkpoint((a) => {
      calls++;
      return a.mul(w).sin().mul(a);
    }, x.mul(1));
    y.backward();
    expect(calls).toBe(2);
    expect(x.grad?.item()).toBeCloseTo(Math.sin(6) + 3 * 2 * Math.cos(6), 12);
    expect(w.grad?.item()).toBeCloseTo(9 * Math.cos(6), 12);
  });
});

describe('checkpoint', () => {
  it('requires no gradient where nothing in it does', () => {
    expect(checkpoint((a) => a.exp(), t.ones([2])).requiresGrad).toBe(false);
    const w = leaf([2]);
    expect(checkpoint((a) => a.mul(w), t.ones([1], { dtype: 'float64' })).requiresGrad).toBe(true);
  });
  it('does not see later writes to its inputs', () => {
    const x = leaf([1]);
    const a = x.mul(1);
    const y = checkpoint((b) => b.mul(b), a);
    a.add_(10);
    y.backward();
    expect(x.grad?.item()).toBe(2);
  });
});

describe('checkpoint and random numbers', () => {
  it('draws the same numbers again, and leaves the generator where it was', () => {
    const x = t.ones([1000], { requiresGrad: true });
    t.manualSeed(4);
    const y = checkpoint((a) => a.mul(t.rand(1000).gt(0.5)).mul(a), x);
    const after = t.rand(3).toArray();
    y.sum().backward();
    expect(x.grad?.toArray()).toEqual(y.mul(2).toArray());
    t.manualSeed(4);
    t.rand(1000);
    expect(t.rand(3).toArray()).toEqual(after);
  });
});

describe('functional', () => {
  const f = (x: Tensor): Tensor => x.pow(3).sum();
  const x = t.tensor([1, 2], { dtype: 'float64' });
  const v = t.tensor([1, 0.5], { dtype: 'float64' });
  it('jacobian and hessian', () => {
    expect((jacobian((a) => a.mul(a), x) as Tensor).toArray()).toEqual([
      [2, 0],
      [0, 4],
    ]);
    expect((hessian(f, x) as Tensor).toArray()).toEqual([
      [6, 0],
      [0, 12],
    ]);
  });
  it('vjp, jvp, hvp and vhp', () => {
    expect((vjp((a) => a.mul(a), x, v)[1] as Tensor).toArray()).toEqual([2, 2]);
    expect((jvp((a) => a.mul(a), x, v)[1] as Tensor).toArray()).toEqual([2, 2]);
    expect((hvp(f, x, v)[1] as Tensor).toArray()).toEqual([6, 6]);
    expect((vhp(f, x, v)[1] as Tensor).toArray()).toEqual([6, 6]);
  });
  it('forward mode', () => {
    dualLevel(() => {
      const { primal, tangent } = unpackDual(makeDual(x, v).sin());
      primal.toFlatArray().forEach((y, i) => expect(y).toBeCloseTo(Math.sin(i + 1), 12));
      const [first, second] = tangent?.toFlatArray() ?? [];
      expect(first).toBeCloseTo(Math.cos(1), 12);
      expect(second).toBeCloseTo(0.5 * Math.cos(2), 12);
    });
  });
});
