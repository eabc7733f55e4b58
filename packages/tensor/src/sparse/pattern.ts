/**
 * Where the stored values of a sparse tensor stand: coordinates, one array for each sparse dimension. Patterns live on the host, because what they decide
 * (how many values a sum has, how many results a product has) is a matter of shapes, and shapes are known before anything is computed.
 */
import { type Device, ProjError } from '@proj/kernel';
import { fromArray } from '../ops/creation.ts';
import type { Shape } from '../graph/node.ts';
import type { Tensor } from '../tensor.ts';

/** Positions along one dimension. */
export type Coordinates = Int32Array | Float64Array;
/** Room for `length` positions in a dimension of `size`. */
export const coordinates = (length: number, size: number): Coordinates =>
  size <= 2 ** 31 ? new Int32Array(length) : new Float64Array(length);

const largestOf = (key: Coordinates): number => {
  let largest = 0;
  for (const at of key) if (at > largest) largest = at;
  return largest;
};

/** A stable order of positions by `keys`, most significant first. */
export function sortedOrder(keys: readonly Coordinates[], count: number): Int32Array {
  const spans = keys.map((key) => largestOf(key) + 1);
  if (spans.reduce((total, span) => total * span, count) > Number.MAX_SAFE_INTEGER) return byDigits(keys, count);
  // All keys and the position in one number, which engines sort fast.
  const whole = new Float64Array(count);
  keys.forEach((key, d) => {
    for (let i = 0; i < count; i++) whole[i] = whole[i] * spans[d] + key[i];
  });
  for (let i = 0; i < count; i++) whole[i] = whole[i] * count + i;
  whole.sort();
  const order = new Int32Array(count);
  for (let k = 0; k < count; k++) order[k] = whole[k] % count;
  return order;
}

/** {@link sortedOrder} by counting 11 bits at a time, least significant first. */
function byDigits(keys: readonly Coordinates[], count: number): Int32Array {
  let order = Int32Array.from({ length: count }, (_, i) => i);
  for (const key of keys.toReversed()) {
    const largest = largestOf(key);
    for (let unit = 1; unit <= largest; unit *= 2048) {
      const digit = (i: number): number => Math.floor(key[i] / unit) % 2048;
      const starts = new Int32Array(2049);
      for (let i = 0; i < count; i++) starts[digit(i) + 1]++;
      for (let d = 0; d < 2048; d++) starts[d + 1] += starts[d];
      const next = new Int32Array(count);
      for (const i of order) next[starts[digit(i)]++] = i;
      order = next;
    }
  }
  return order;
}

/** Integers of a tensor as numbers. Reads it. */
function integersOf(tensor: Tensor): ArrayLike<number> {
  const values = tensor.detach().toTypedArray();
  if (!(values instanceof BigInt64Array)) return values;
  const words = new Int32Array(values.buffer, values.byteOffset, 2 * values.length);
  return Float64Array.from({ length: values.length }, (_, i) => words[2 * i + 1] * 2 ** 32 + (words[2 * i] >>> 0));
}

/** Values that belong together: `order` lists them group by group, group g from `pointers[g]` to `pointers[g + 1]`. */
export interface Groups {
  readonly pointers: Int32Array;
  readonly order: Int32Array;
}

/** Coordinates of stored values in the sparse dimensions `sizes`. */
export class Pattern {
  readonly sizes: Shape;
  readonly coordinates: readonly Coordinates[];
  /** The number of stored values. */
  readonly count: number;
  #sorted: boolean | null = null;
  #merged: { readonly pattern: Pattern; readonly groups: Groups } | null = null;
  readonly #tensors = new Map<string, Tensor>();

  constructor(sizes: Shape, positions: readonly Coordinates[], count = positions[0]?.length ?? 0) {
    this.sizes = sizes;
    this.coordinates = positions;
    this.count = count;
  }

  /** Reads `indices` [D, count] (integers) as coordinates in `sizes`. Errors: one outside. */
  static read(indices: Tensor, sizes: Shape, op: string): Pattern {
    const values = integersOf(indices);
    const [dims, count] = indices.shape;
    const positions = sizes.map((size) => coordinates(count, size));
    for (let d = 0; d < dims; d++)
      for (let k = 0; k < count; k++) {
        const at = values[d * count + k];
        if (at < 0 || at >= sizes[d])
          throw new ProjError('index-out-of-range', `index ${at} in dimension ${d} of size ${sizes[d]}`, {
            op,
            cure: 'Give the size as [rows, columns, …], or indices that lie in it',
          });
        positions[d][k] = at;
      }
    return new Pattern(sizes, positions, count);
  }

  /** Whether the values stand row by row, none twice. */
  get isSorted(): boolean {
    this.#sorted ??= this.#checkSorted();
    return this.#sorted;
  }
  #checkSorted(): boolean {
    for (let k = 1; k < this.count; k++) {
      const differs = this.coordinates.find((axis) => axis[k - 1] !== axis[k]);
      if (differs === undefined || differs[k - 1] > differs[k]) return false;
    }
    return true;
  }

  /** The pattern without repetitions, row by row, and which values each of its places has. */
  merged(): { readonly pattern: Pattern; readonly groups: Groups } {
    this.#merged ??= this.#merge();
    return this.#merged;
  }
  #merge(): { pattern: Pattern; groups: Groups } {
    const { coordinates: axes, count, sizes } = this;
    const order = sortedOrder(axes, count);
    const pointers = new Int32Array(count + 1);
    const firsts = new Int32Array(count);
    let groups = 0;
    for (let k = 0; k < count; k++)
      if (k === 0 || axes.some((axis) => axis[order[k]] !== axis[order[k - 1]])) {
        pointers[groups] = k;
        firsts[groups++] = order[k];
      }
    pointers[groups] = count;
    return {
      pattern: this.pick(firsts.slice(0, groups), sizes),
      groups: { pointers: pointers.slice(0, groups + 1), order },
    };
  }

  /** The values at `places`, in dimensions `sizes`. */
  pick(places: Int32Array, sizes: Shape = this.sizes): Pattern {
    const chosen = this.coordinates.map((axis) =>
      axis instanceof Int32Array ? places.map((k) => axis[k]) : Float64Array.from(places, (k) => axis[k]),
    );
    return new Pattern(sizes, chosen, places.length);
  }
  /** The dimensions in another order, or fewer of them. */
  axes(dims: readonly number[]): Pattern {
    return new Pattern(
      dims.map((d) => this.sizes[d]),
      dims.map((d) => this.coordinates[d]),
      this.count,
    );
  }

  /** The values by their index in dimension `dim`: group i has those at index i. Takes memory for every index. */
  byIndex(dim: number): Groups {
    const axis = this.coordinates[dim];
    const pointers = new Int32Array(this.sizes[dim] + 1);
    for (const at of axis) pointers[at + 1]++;
    for (let i = 0; i < this.sizes[dim]; i++) pointers[i + 1] += pointers[i];
    const next = pointers.slice();
    const order = new Int32Array(this.count);
    for (let k = 0; k < this.count; k++) order[next[axis[k]]++] = k;
    return { pointers, order };
  }

  /** The coordinates as an int64 tensor [D, count]. */
  indices(device: Device): Tensor {
    return this.tensor('indices', device, () =>
      fromArray(joined(this.coordinates, Math.max(0, ...this.sizes)), [this.sizes.length, this.count], 'int64', {
        device,
      }),
    );
  }
  /** A tensor that belongs to the pattern, made once for each device. */
  tensor(name: string, device: Device, make: () => Tensor): Tensor {
    const key = `${name} ${device.name}`;
    const known = this.#tensors.get(key);
    if (known !== undefined) return known;
    const made = make();
    this.#tensors.set(key, made);
    return made;
  }
}

/** Positions in one dimension after the others: the place among all elements, row by row. */
export function linearPositions({ coordinates: axes, sizes, count }: Pattern): Float64Array {
  const linear = new Float64Array(count);
  axes.forEach((axis, d) => {
    for (let k = 0; k < count; k++) linear[k] = linear[k] * sizes[d] + axis[k];
  });
  return linear;
}

/** The pattern whose element k is at place `linear[k]` of a tensor of shape `sizes`. */
export function patternAt(linear: readonly number[] | Float64Array, sizes: Shape): Pattern {
  const positions = sizes.map((size) => coordinates(linear.length, size));
  for (let k = 0; k < linear.length; k++) {
    let rest = linear[k];
    for (let d = sizes.length - 1; d >= 0; d--) {
      positions[d][k] = rest % sizes[d];
      rest = Math.floor(rest / sizes[d]);
    }
  }
  return new Pattern(sizes, positions, linear.length);
}

/** Fresh coordinates computed from another pattern's. */
export const mapped = (axis: Coordinates, size: number, change: (at: number) => number): Coordinates => {
  const result = coordinates(axis.length, size);
  for (let k = 0; k < axis.length; k++) result[k] = change(axis[k]);
  return result;
};

/** Coordinates one pattern after another. */
export const joined = (axes: readonly Coordinates[], size: number): Coordinates => {
  const result = coordinates(
    axes.reduce((length, axis) => length + axis.length, 0),
    size,
  );
  let at = 0;
  for (const axis of axes) {
    result.set(axis, at);
    at += axis.length;
  }
  return result;
};
