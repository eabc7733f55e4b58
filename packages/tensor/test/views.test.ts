/** Views against a plain model of (memory, positions): what they show, and what writing through them does. */
import type { Tensor } from '@proj/tensor';
import { arange, fromArray, getDevice, setDefaultDevice, tensor, zeros } from '@proj/tensor';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';

beforeAll(() => setDefaultDevice(getDevice('js')));

/** Which element of the memory each element of a view is. */
interface Model {
  readonly shape: readonly number[];
  readonly at: readonly number[];
}
const count = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);
const base = (shape: readonly number[]): Model => ({ shape, at: Array.from({ length: count(shape) }, (_, i) => i) });
function pick(
  model: Model,
  shape: readonly number[],
  source: (position: readonly number[]) => readonly number[],
): Model {
  const at = Array.from({ length: count(shape) }, (_, flat) => {
    const position: number[] = [];
    let rest = flat;
    for (let d = shape.length - 1; d >= 0; d--) {
      position[d] = rest % shape[d];
      rest = Math.floor(rest / shape[d]);
    }
    return model.at[source(position).reduce((index, p, d) => index * model.shape[d] + p, 0)];
  });
  return { shape, at };
}

type Step = {
  readonly kind: 'transpose' | 'slice' | 'select' | 'unsqueeze' | 'squeeze' | 'diagonal' | 'flatten';
  readonly a: number;
  readonly b: number;
  readonly c: number;
};
const step: fc.Arbitrary<Step> = fc.record({
  kind: fc.constantFrom('transpose', 'slice', 'select', 'unsqueeze', 'squeeze', 'diagonal', 'flatten'),
  a: fc.nat(20),
  b: fc.nat(20),
  c: fc.nat(20),
});
const shapes = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 3 });

/** Whether one stride can show the positions in one dimension: a reshape to it is a copy otherwise. */
const isEvenlySpaced = (at: readonly number[]): boolean =>
  at.every((p, i) => p === at[0] + i * (at[1] - at[0]) || i === 0);

/** One more view of both; null where the step does not apply. */
function apply(x: Tensor, model: Model, { kind, a, b, c }: Step): [Tensor, Model] | null {
  const { shape } = model;
  const rank = shape.length;
  if (kind === 'unsqueeze')
    return [
      x.unsqueeze(a % (rank + 1)),
      pick(model, [...shape.slice(0, a % (rank + 1)), 1, ...shape.slice(a % (rank + 1))], (p) =>
        p.filter((_, d) => d !== a % (rank + 1)),
      ),
    ];
  if (rank === 0) return null;
  const dim = a % rank;
  switch (kind) {
    case 'transpose': {
      const other = b % rank;
      const swap = <T>(list: readonly T[]): T[] =>
        list.map((v, d) => (d === dim ? list[other] : d === other ? list[dim] : v));
      return [x.transpose(dim, other), pick(model, swap(shape), swap)];
    }
    case 'slice': {
      const start = b % (shape[dim] + 1);
      const stride = 1 + (c % 3);
      const size = Math.ceil((shape[dim] - start) / stride);
      return [
        x.slice(dim, start, null, stride),
        pick(
          model,
          shape.map((s, d) => (d === dim ? size : s)),
          (p) => p.map((v, d) => (d === dim ? start + v * stride : v)),
        ),
      ];
    }
    case 'select': {
      if (shape[dim] === 0) return null;
      const index = b % shape[dim];
      return [
        x.select(dim, index),
        pick(
          model,
          shape.filter((_, d) => d !== dim),
          (p) => [...p.slice(0, dim), index, ...p.slice(dim)],
        ),
      ];
    }
    case 'squeeze':
      return shape[dim] === 1
        ? [
            x.squeeze(dim),
            pick(
              model,
              shape.filter((_, d) => d !== dim),
              (p) => [...p.slice(0, dim), 0, ...p.slice(dim)],
            ),
          ]
        : null;
    case 'diagonal': {
      if (rank < 2) return null;
      const other = (dim + 1 + (b % (rank - 1))) % rank;
      const size = Math.min(shape[dim], shape[other]);
      const rest = shape.filter((_, d) => d !== dim && d !== other);
      return [
        x.diagonal({ dim1: dim, dim2: other }),
        pick(model, [...rest, size], (p) => {
          const kept = p.slice(0, -1);
          const i = p[p.length - 1];
          return shape.map((_, d) => (d === dim || d === other ? i : (kept.shift() as number)));
        }),
      ];
    }
    case 'flatten':
      return isEvenlySpaced(model.at) ? [x.reshape([-1]), { shape: [count(shape)], at: model.at }] : null;
    default:
      return kind satisfies never;
  }
}

function viewed(shape: readonly number[], steps: readonly Step[]): { memory: Tensor; view: Tensor; model: Model } {
  const memory = fromArray(
    Float32Array.from({ length: count(shape) }, (_, i) => i),
    shape,
  );
  let [view, model]: [Tensor, Model] = [memory, base(shape)];
  for (const one of steps) if (count(model.shape) > 0) [view, model] = apply(view, model, one) ?? [view, model];
  return { memory, view, model };
}

describe('views', () => {
  it('show the elements that the model names, through any chain', () => {
    fc.assert(
      fc.property(shapes, fc.array(step, { maxLength: 6 }), (shape, steps) => {
        const { view, model } = viewed(shape, steps);
        expect(view.shape).toEqual(model.shape);
        expect(view.toFlatArray()).toEqual([...model.at]);
      }),
      { numRuns: 250, seed: 1 },
    );
  });

  it('write to the memory that they show, and to nothing else', () => {
    fc.assert(
      fc.property(shapes, fc.array(step, { maxLength: 5 }), (shape, steps) => {
        const { memory, view, model } = viewed(shape, steps);
        view.mul_(-1).sub_(100);
        const expected = Array.from({ length: count(shape) }, (_, i) => (model.at.includes(i) ? -i - 100 : i));
        expect(memory.toFlatArray()).toEqual(expected.map((v) => v + 0));
        expect(view.toFlatArray()).toEqual(model.at.map((i) => -i - 100));
      }),
      { numRuns: 250, seed: 2 },
    );
  });

  it('see what is written to the memory after they were made, and what another view writes', () => {
    fc.assert(
      fc.property(
        shapes,
        fc.array(step, { maxLength: 4 }),
        fc.array(step, { maxLength: 4 }),
        (shape, first, second) => {
          const { memory, view, model } = viewed(shape, first);
          let [other, otherModel]: [Tensor, Model] = [memory, base(shape)];
          for (const one of second)
            if (count(otherModel.shape) > 0) [other, otherModel] = apply(other, otherModel, one) ?? [other, otherModel];
          memory.add_(1);
          other.fill_(-7);
          const expected = Array.from({ length: count(shape) }, (_, i) => (otherModel.at.includes(i) ? -7 : i + 1));
          expect(view.toFlatArray()).toEqual(model.at.map((i) => expected[i]));
        },
      ),
      { numRuns: 150, seed: 3 },
    );
  });

  it('copies are not views', () => {
    const x = arange(4, { dtype: 'float32' });
    const copies = [x.clone(), x.flip(0), x.add(0), x.index([0, 1])];
    x.zero_();
    expect(copies.map((copy) => copy.toFlatArray())).toEqual([
      [0, 1, 2, 3],
      [3, 2, 1, 0],
      [0, 1, 2, 3],
      [0, 1],
    ]);
    copies[0].fill_(5);
    expect(x.toFlatArray()).toEqual([0, 0, 0, 0]);
  });

  it('detach() shares the memory, in both directions', () => {
    const x = arange(3, { dtype: 'float32' });
    const y = x.detach();
    y.add_(10);
    x.select(0, 0).fill_(-1);
    expect(x.toFlatArray()).toEqual([-1, 11, 12]);
    expect(y.toFlatArray()).toEqual([-1, 11, 12]);
  });

  it('cannot be written through where elements share memory', () => {
    const x = zeros(3, 1).expand(3, 4);
    expect(() => x.add_(1)).toThrow(/share one memory location.*clone/);
    expect(() => arange(6).unfold(0, 3, 1).zero_()).toThrow(/share one memory location/);
  });

  it('an operation reads the value of its moment, whatever is written later', () => {
    const x = tensor([1, 2, 3]);
    const before = x.mul(10);
    x.add_(1);
    const after = x.mul(10);
    x.zero_();
    expect(before.toFlatArray()).toEqual([10, 20, 30]);
    expect(after.toFlatArray()).toEqual([20, 30, 40]);
  });
});

describe('broadcasting and reductions', () => {
  const pair = fc
    .array(fc.tuple(fc.integer({ min: 0, max: 4 }), fc.constantFrom('both', 'left', 'right')), {
      minLength: 0,
      maxLength: 3,
    })
    .chain((dims) =>
      fc.record({
        left: fc.constant(dims.map(([n, which]) => (which === 'right' ? 1 : n))),
        right: fc.constant(dims.map(([n, which]) => (which === 'left' ? 1 : n))),
        drop: fc.nat(3),
      }),
    );

  it('pair up elements as NumPy does', () => {
    fc.assert(
      fc.property(pair, ({ left, right, drop }) => {
        const full = left.map((n, d) => (n === 1 ? right[d] : n));
        // Leading dimensions of 1 may be missing.
        let shape = right;
        for (let i = 0; i < drop && shape[0] === 1; i++) shape = shape.slice(1);
        const a = Int32Array.from({ length: count(left) }, (_, i) => 3 * i + 1);
        const b = Int32Array.from({ length: count(shape) }, (_, i) => 5 * i - 2);
        const index = (position: readonly number[], of: readonly number[]): number =>
          of.reduce((flat, n, d) => flat * n + (n === 1 ? 0 : position[position.length - of.length + d]), 0);
        const expected = base(full).at.map((flat) => {
          const position: number[] = [];
          for (let d = full.length - 1, rest = flat; d >= 0; d--) {
            position[d] = rest % full[d];
            rest = Math.floor(rest / full[d]);
          }
          return a[index(position, left)] * b[index(position, shape)] - a[index(position, left)];
        });
        const [x, y] = [fromArray(a, left), fromArray(b, shape)];
        const result = x.mul(y).sub(x);
        expect(result.shape).toEqual(full);
        expect(result.toFlatArray()).toEqual(expected.map((v) => v + 0));
      }),
      { numRuns: 250, seed: 4 },
    );
  });

  it('sum, largest and any over any dims of any view', () => {
    fc.assert(
      fc.property(shapes, fc.array(step, { maxLength: 3 }), fc.nat(7), fc.boolean(), (shape, steps, mask, keepdim) => {
        const { view, model } = viewed(shape, steps);
        if (count(model.shape) === 0) return;
        const dims = model.shape.map((_, d) => d).filter((d) => (mask >> d) % 2 === 1);
        const groups = new Map<string, number[]>();
        base(model.shape).at.forEach((flat) => {
          const position: number[] = [];
          for (let d = model.shape.length - 1, rest = flat; d >= 0; d--) {
            position[d] = rest % model.shape[d];
            rest = Math.floor(rest / model.shape[d]);
          }
          const key = position.map((p, d) => (dims.length === 0 || dims.includes(d) ? 0 : p)).join();
          groups.set(key, [...(groups.get(key) ?? []), model.at[flat]]);
        });
        const values = [...groups.values()];
        const over = dims.length === 0 ? null : dims;
        expect(view.sum(over, { keepdim }).toFlatArray()).toEqual(values.map((g) => g.reduce((a, b) => a + b, 0)));
        expect(view.amax(over, { keepdim }).toFlatArray()).toEqual(values.map((g) => Math.max(...g)));
        expect(view.gt(3).any(over, { keepdim }).toFlatArray().map(Boolean)).toEqual(
          values.map((g) => g.some((v) => v > 3)),
        );
        if (keepdim) expect(view.sum(over, { keepdim }).ndim).toBe(model.shape.length);
      }),
      { numRuns: 200, seed: 5 },
    );
  });
});
