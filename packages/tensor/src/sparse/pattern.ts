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
const coordinates = (length: number, size: number): Coordinates =>
  size <= 2 ** 31 ? new Int32Array(length) : new Float64Array(length);

/** A stable order of positions by `keys`, most significant first. */
export function sortedOrder(keys: readonly Coordinates[], count: number): Int32Array {
  let order = Int32Array.from({ length: count }, (_, i) => i);
  if (count < 4096) {
    const compare = (a: number, b: number): number => {
      for (const key of keys) if (key[a] !== key[b]) return key[a] - key[b];
      return a - b;
    };
    return order.sort(compare);
  }
  // Counting sort by 11 bits at a time, least significant first.
  for (const key of keys.toReversed()) {
    let largest = 0;
    for (const at of key) largest = Math.max(largest, at);
    for (let unit = 1; unit <= largest; unit *= 2048) {
      const starts = new Int32Array(2049);
      const digit = (i: number): number => Math.floor(key[i] / unit) % 2048;
      for (let i = 0; i < count; i++) starts[digit(i) + 1]++;
      for (let d = 0; d < 2048; d++) starts[d + 1] += starts[d];
      const next = new Int32Array(count);
      for (const i of order) next[starts[digit(i)]++] = i;
      order = next;
    }
  }
  return order;
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
    const values = indices.detach().toTypedArray();
    const [dims, count] = indices.shape;
    const positions = sizes.map((size) => coordinates(count, size));
    for (let d = 0; d < dims; d++)
      for (let k = 0; k < count; k++) {
        const at = Number(values[d * count + k]);
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
    const starts: number[] = [];
    for (let k = 0; k < count; k++)
      if (k === 0 || axes.some((axis) => axis[order[k]] !== axis[order[k - 1]])) starts.push(k);
    const firsts = Int32Array.from(starts, (k) => order[k]);
    return { pattern: this.pick(firsts, sizes), groups: { pointers: Int32Array.from([...starts, count]), order } };
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
      fromArray(
        this.coordinates.flatMap((axis) => Array.from(axis)),
        [this.sizes.length, this.count],
        'int64',
        { device },
      ),
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
