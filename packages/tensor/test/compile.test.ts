/** compile(): captured functions against the same functions run eagerly, bit for bit. */
import type { Tensor } from '@proj/tensor';
import {
  arange,
  compile,
  type CompileOptions,
  fromArray,
  manualSeed,
  onReplay,
  ones,
  ProjError,
  rand,
  randn,
  scalarInput,
  setDefaultDevice,
  stack,
  tensor,
  tidy,
  zeros,
} from '@proj/tensor';
import { beforeEach, describe, expect, it } from 'vitest';
import { CountingDevice } from './support/counting-device.ts';

let device: CountingDevice;
beforeEach(() => {
  device = new CountingDevice();
  setDefaultDevice(device);
});

/** Parameters, momentum and a step that changes both in place: what an optimiser does. */
function momentumStep(): { step: (x: Tensor, y: Tensor) => Tensor; state: Tensor[] } {
  const [w, b, v] = [
    fromArray(
      Float32Array.from({ length: 12 }, (_, i) => Math.sin(i)),
      [4, 3],
    ),
    zeros(3),
    zeros(4, 3),
  ];
  const step = (x: Tensor, y: Tensor): Tensor => {
    const error = x.matmul(w).add(b).tanh().sub(y);
    const gradient = x.t().matmul(error.mul(error.square().rsub(1)));
    v.mul_(0.9).add_(gradient);
    w.sub_(v.mul(0.05));
    b.sub_(error.sum(0).mul(0.05));
    return error.square().mean();
  };
  return { step, state: [w, b, v] };
}
const batch = (k: number, rows = 5): [Tensor, Tensor] => [
  fromArray(
    Float32Array.from({ length: 4 * rows }, (_, i) => Math.cos(i + k)),
    [rows, 4],
  ),
  fromArray(
    Float32Array.from({ length: 3 * rows }, (_, i) => 0.5 * Math.sin(i * k)),
    [rows, 3],
  ),
];

function captures(options: CompileOptions = {}): { reasons: string[]; options: CompileOptions } {
  const reasons: string[] = [];
  return { reasons, options: { ...options, onCapture: (reason) => reasons.push(reason) } };
}

describe('compile', () => {
  it('refuses async functions', () => {
    expect(() => compile(async (x: Tensor) => x)).toThrow(/compile: the function is async.*Await before/);
  });

  it('a captured step equals the eager step bit for bit, results and state', () => {
    const [eager, traced] = [momentumStep(), momentumStep()];
    const step = compile(traced.step);
    for (let k = 0; k < 12; k++) {
      const [a, b] = [eager.step(...batch(k)), step(...batch(k))];
      expect(b.toTypedArray()).toEqual(a.toTypedArray());
      traced.state.forEach((tensor, i) => expect(tensor.toTypedArray()).toEqual(eager.state[i].toTypedArray()));
    }
  });

  it('replays without building or planning anything: one run of one program a call', () => {
    const { step, state } = momentumStep();
    const compiled = compile(step);
    for (let k = 0; k < 3; k++) compiled(...batch(k));
    state.forEach((s) => s.realize());
    const inputs = [3, 4, 5].map((k) => batch(k));
    const { programs, runs } = device;
    for (const input of inputs) compiled(...input);
    expect(device.programs).toBe(programs);
    expect(device.runs).toBe(runs + 3);
  });

  it('updates state in its own memory', () => {
    const { step, state } = momentumStep();
    const compiled = compile(step);
    const inputs = [0, 1, 2, 3, 4, 5, 6].map((k) => batch(k));
    inputs.forEach(([x, y]) => [x.realize(), y.realize()]);
    for (const input of inputs.slice(0, 4)) compiled(...input);
    const memory = state.map((s) => s.node.data);
    const { allocations } = device;
    for (const input of inputs.slice(4)) compiled(...input);
    state.forEach((s, i) => expect(s.node.data).toBe(memory[i]));
    // Only the three results are new.
    expect(device.allocations - allocations).toBe(3);
  });

  it('captures anew for new shapes, dtypes and other arguments, says so, and keeps the old captures', () => {
    const { reasons, options } = captures();
    const f = compile((x: Tensor, scale: number) => x.mul(scale).sum(), options);
    const three = (): Tensor => tensor([1, 2, 3], { dtype: 'float32' });
    expect([f(three(), 2), f(three(), 2), f(three(), 2)].map((y) => y.item())).toEqual([12, 12, 12]);
    expect(f(tensor([1, 2], { dtype: 'float32' }), 2).item()).toBe(6);
    expect(f(tensor([1, 2, 3], { dtype: 'float64' }), 2).dtype).toBe('float64');
    expect(f(three(), 3).item()).toBe(18);
    expect(f(three(), 2).item()).toBe(12);
    expect(reasons).toHaveLength(4);
    expect(reasons[0]).toBe('first capture');
    expect(reasons.slice(1).every((reason) => reason.startsWith('new shapes'))).toBe(true);
    expect(reasons[1]).toContain('float32[2]');
  });

  it('refuses to read values while capturing, with the cure, and leaves the state as it was', () => {
    const w = ones(2);
    let reads = false;
    const f = compile((x: Tensor) => {
      w.add_(x);
      if (reads && w.sum().item() > 100) w.zero_();
      return w.mul(2);
    });
    const x = ones(2);
    f(x);
    reads = true;
    let caught: unknown;
    try {
      f(x);
    } catch (error) {
      caught = error;
    }
    expect(caught).toBeInstanceOf(ProjError);
    expect((caught as ProjError).code).toBe('capture');
    expect((caught as ProjError).message).toMatch(/captured.*[Rr]eturn/s);
    expect(w.toFlatArray()).toEqual([2, 2]);
    reads = false;
    expect([f(x), f(x), f(x)].map((y) => y.toFlatArray())).toEqual([
      [6, 6],
      [8, 8],
      [10, 10],
    ]);
  });

  it('an error inside leaves nothing behind', () => {
    let fails = false;
    const w = zeros(2);
    const f = compile((x: Tensor) => {
      w.add_(x);
      return fails ? x.matmul(ones(7)) : w.add(0);
    });
    f(ones(2));
    fails = true;
    expect(() => f(ones(2))).toThrow(/inner sizes/);
    fails = false;
    expect(w.toFlatArray()).toEqual([1, 1]);
    expect(f(ones(2)).toFlatArray()).toEqual([2, 2]);
    expect(f(ones(2)).toFlatArray()).toEqual([3, 3]);
  });

  it('random numbers advance on replay, as they do eagerly', () => {
    const noisy = (x: Tensor): Tensor => x.add(rand(4)).mul(randn(4));
    manualSeed(3);
    const expected = [0, 1, 2, 3, 4].map(() => noisy(ones(4)).toFlatArray());
    manualSeed(3);
    const f = compile(noisy);
    expect([0, 1, 2, 3, 4].map(() => f(ones(4)).toFlatArray())).toEqual(expected);
    expect(new Set(expected.map(String)).size).toBe(5);
    // Seeding anew starts the captured function anew.
    manualSeed(3);
    expect(f(ones(4)).toFlatArray()).toEqual(expected[0]);
  });

  it('scalarInput is asked at every call', () => {
    let rate = 1;
    const w = zeros(2);
    const f = compile((g: Tensor) => w.sub_(g.mul(scalarInput(() => rate))));
    for (let k = 1; k <= 5; k++) {
      rate = k;
      f(ones(2));
    }
    expect(w.toFlatArray()).toEqual([-15, -15]);
  });

  it('onReplay hooks run once before each replay', () => {
    let steps = 0;
    const count = (): void => void steps++;
    const f = compile((x: Tensor) => {
      count();
      onReplay(count);
      return x.add(scalarInput(() => steps));
    });
    expect([1, 2, 3, 4].map(() => f(zeros(1)).item())).toEqual([1, 2, 3, 4]);
    expect(steps).toBe(4);
  });

  it('sees state that was written outside between calls', () => {
    const w = ones(3);
    const f = compile((x: Tensor) => w.mul(x).sum());
    const x = ones(3);
    expect([f(x).item(), f(x).item()]).toEqual([3, 3]);
    w.add_(1);
    expect(f(x).item()).toBe(6);
    w.slice(0, 0, 1).zero_();
    expect(f(x).item()).toBe(4);
  });

  it('results of calls do not overwrite each other, unless reuseOutputs says so', () => {
    const f = compile((x: Tensor) => x.mul(2));
    const results = [1, 2, 3, 4].map((v) => f(tensor([v])));
    expect(results.map((r) => r.item())).toEqual([2, 4, 6, 8]);
    const g = compile((x: Tensor) => x.mul(2), { reuseOutputs: true });
    const reused = [1, 2, 3, 4].map((v) => g(tensor([v])));
    expect(reused.slice(1).map((r) => r.item())).toEqual([8, 8, 8]);
  });

  it('a result that is kept is not overwritten by the state update that made it', () => {
    const w = zeros(2);
    const f = compile((x: Tensor) => {
      w.add_(x);
      return w.mul(1);
    });
    const kept = [1, 2, 3, 4].map(() => f(ones(2)));
    expect(kept.map((k) => k.toFlatArray())).toEqual([
      [1, 1],
      [2, 2],
      [3, 3],
      [4, 4],
    ]);
    const snapshots: Tensor[] = [];
    for (let i = 0; i < 3; i++) {
      snapshots.push(w.clone());
      f(ones(2));
    }
    expect(snapshots.map((s) => s.toFlatArray())).toEqual([
      [4, 4],
      [5, 5],
      [6, 6],
    ]);
  });

  it('takes and gives structures of tensors', () => {
    const f = compile(({ a, list }: { a: Tensor; list: Tensor[] }) => ({
      sum: a.add(list[0]),
      parts: [list[1].mul(2), { deep: a.neg() }] as const,
      note: 'kept',
    }));
    for (let i = 0; i < 3; i++) {
      const result = f({ a: tensor([i + 1]), list: [tensor([10]), tensor([20])] });
      expect([result.sum.item(), result.parts[0].item(), result.parts[1].deep.item(), result.note]).toEqual([
        11 + i,
        40,
        -i - 1,
        'kept',
      ]);
    }
  });

  it('arguments may be views, the same tensor twice, or unrealised', () => {
    const f = compile((x: Tensor, y: Tensor) => x.sub(y.mul(2)));
    const x = arange(1, 7, { dtype: 'float32' }).reshape(2, 3);
    for (let i = 0; i < 3; i++) {
      expect(f(x, x).toArray()).toEqual(x.neg().toArray());
      expect(f(x.add(i), x.flip(0)).toArray()).toEqual(x.add(i).sub(x.flip(0).mul(2)).toArray());
    }
    const g = compile((v: Tensor) => v.mul(3));
    for (let i = 0; i < 3; i++) expect(g(x.t().select(0, i)).toFlatArray()).toEqual([3 * i + 3, 3 * (i + 4)]);
  });

  it('may give back its arguments and its state as they are', () => {
    const w = zeros(2);
    const f = compile((x: Tensor) => {
      w.add_(x);
      return [x, w, w.reshape(1, 2)] as const;
    });
    for (let i = 1; i <= 4; i++) {
      const [x, state, view] = f(tensor([1, 2], { dtype: 'float32' }));
      expect([x.toFlatArray(), state.toFlatArray(), view.toArray()]).toEqual([[1, 2], [i, 2 * i], [[i, 2 * i]]]);
    }
  });

  it('writes into parts of its state', () => {
    const cache = zeros(6, 2);
    let position = 0;
    const f = compile((x: Tensor, at: Tensor) => {
      cache.indexCopy_(0, at, x);
      return cache.sum(0);
    });
    for (; position < 6; position++) f(fromArray(Float32Array.of(position, 1), [1, 2]), tensor([position]));
    expect(cache.toArray()).toEqual([
      [0, 1],
      [1, 1],
      [2, 1],
      [3, 1],
      [4, 1],
      [5, 1],
    ]);
    const window = zeros(4);
    const push = compile((x: Tensor) => {
      window.slice(0, 0, 3).copy_(window.slice(0, 1, 4));
      window.slice(0, 3, 4).copy_(x);
      return window.mul(1);
    });
    for (let i = 1; i <= 6; i++) push(tensor([i], { dtype: 'float32' }));
    expect(window.toFlatArray()).toEqual([3, 4, 5, 6]);
  });

  it('works with arguments that it changes in place', () => {
    const f = compile((x: Tensor) => x.add_(1).sum());
    const x = zeros(3);
    expect([1, 2, 3, 4].map(() => f(x).item())).toEqual([3, 6, 9, 12]);
    expect(x.toFlatArray()).toEqual([4, 4, 4]);
    const y = ones(3);
    expect(f(y).item()).toBe(6);
    expect([x.toFlatArray(), y.toFlatArray()]).toEqual([
      [4, 4, 4],
      [2, 2, 2],
    ]);
  });

  it('runs inside another captured function and inside tidy', () => {
    const double = compile((x: Tensor) => x.mul(2));
    const outer = compile((x: Tensor) => double(x).add(double(x.add(1))));
    for (let i = 0; i < 4; i++) expect(outer(tensor([i])).item()).toBe(4 * i + 2);
    const w = zeros(1);
    const step = compile((x: Tensor) => w.add_(x).mul(1));
    for (let i = 0; i < 4; i++) expect(tidy(() => step(ones(1))).item()).toBe(i + 1);
    expect(w.item()).toBe(4);
  });

  it('what is made inside and changed in place begins anew at each call', () => {
    const w = fromArray(Float32Array.of(1, 2), [2], 'float32').requiresGrad_();
    const total = zeros(2);
    const f = compile((x: Tensor) => {
      const ofArgument = x.detach().clone();
      ofArgument.select(0, 0).mul_(10);
      const ofState = w.detach().clone();
      ofState.add_(x);
      const ofNumbers = tensor([5, 5], { dtype: 'float32' });
      ofNumbers.add_(x);
      total.add_(w.detach());
      return [ofArgument, ofState, ofNumbers] as const;
    });
    for (let k = 0; k < 4; k++) {
      const [a, b, c] = f(tensor([k, 1], { dtype: 'float32' }));
      expect([a.toFlatArray(), b.toFlatArray(), c.toFlatArray()]).toEqual([
        [10 * k, 1],
        [1 + k, 3],
        [5 + k, 6],
      ]);
      expect([w.toFlatArray(), total.toFlatArray()]).toEqual([
        [1, 2],
        [k + 1, 2 * k + 2],
      ]);
    }
  });

  it('two captured functions share state', () => {
    const w = zeros(2);
    const add = compile((x: Tensor) => w.add_(x).sum());
    const scale = compile((x: Tensor) => w.mul_(x).sum());
    const seen: number[] = [];
    for (let i = 0; i < 4; i++) seen.push(add(ones(2)).item(), scale(tensor([2, 2], { dtype: 'float32' })).item());
    expect(seen).toEqual([2, 4, 6, 12, 14, 28, 30, 60]);
  });

  it('checks indices on every call', () => {
    const table = arange(5);
    const f = compile((i: Tensor) => table.indexSelect(0, i));
    for (let k = 0; k < 3; k++) expect(f(tensor([k, 4])).toFlatArray()).toEqual([k, 4]);
    expect(() => f(tensor([5, 0]))).toThrow(/index 5 is out of range/);
    expect(f(tensor([1, 2])).toFlatArray()).toEqual([1, 2]);
  });

  it('refuses a function of no tensors', () => {
    const f = compile(() => 3);
    f();
    expect(() => f()).toThrow(/neither returns nor changes a tensor/);
  });

  it('a captured function with many results gives each its own', () => {
    const f = compile((x: Tensor) => Array.from({ length: 30 }, (_, i) => x.add(i)));
    for (let k = 0; k < 3; k++)
      expect(stack(f(tensor([k]))).toFlatArray()).toEqual(Array.from({ length: 30 }, (_, i) => i + k));
  });
});
