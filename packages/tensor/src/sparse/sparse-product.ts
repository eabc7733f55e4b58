/**
 * The product of two sparse matrices (Gustavson 1978). The host finds row by row where results are; a kernel then adds the products of a row up in an accumulator for
 * every column, one for each thread, and picks the results out of it. Nothing takes memory for every product but the gradient.
 */
import { buildKernel, DTYPES, type Value } from '@proj/kernel';
import { defineOp } from '../define-op.ts';
import { zeros } from '../ops/creation.ts';
import type { Tensor } from '../tensor.ts';
import { bilinearly, grainOf, i32, load, multiplyAdd, sumGroups, takeRows } from './kernels.ts';
import { type Coordinates, coordinates, Pattern, sortedOrder } from './pattern.ts';

/** The rows of a matrix that have values: `order` lists the values row by row, row r from `begin.get(r)` to `end.get(r)`. */
function rowsOf(pattern: Pattern): {
  readonly order: Int32Array;
  readonly begin: Map<number, number>;
  readonly end: Map<number, number>;
} {
  const {
    coordinates: [rows],
    count,
  } = pattern;
  const order = pattern.isSorted ? new Int32Array(count).map((_, k) => k) : sortedOrder([rows], count);
  const begin = new Map<number, number>();
  const end = new Map<number, number>();
  for (let at = 0; at < count; at++) {
    const row = rows[order[at]];
    if (at === 0 || row !== rows[order[at - 1]]) {
      if (at > 0) end.set(rows[order[at - 1]], at);
      begin.set(row, at);
    }
  }
  if (count > 0) end.set(rows[order[count - 1]], count);
  return { order, begin, end };
}

/** The distinct values of `axis`, ascending, and the place of each element among them. `size`: what they are below. */
function ranked(axis: Coordinates, size: number): { readonly distinct: Coordinates; readonly rank: Int32Array } {
  const rank = new Int32Array(axis.length);
  const distinct = coordinates(axis.length, size);
  let found = 0;
  if (size <= 16 * axis.length) {
    const rankOf = new Int32Array(size);
    for (const at of axis) rankOf[at] = 1;
    for (let at = 0; at < size; at++)
      if (rankOf[at] !== 0) {
        distinct[found] = at;
        rankOf[at] = found++;
      }
    for (let k = 0; k < axis.length; k++) rank[k] = rankOf[axis[k]];
  } else
    for (const k of sortedOrder([axis], axis.length)) {
      if (found === 0 || distinct[found - 1] !== axis[k]) distinct[found++] = axis[k];
      rank[k] = found - 1;
    }
  return { distinct: distinct.slice(0, found), rank };
}

/** A set of small numbers, to be had in order: by its bits where they are many, sorted where they are few. */
class SmallNumbers {
  readonly #bits: Int32Array;
  readonly #list: Int32Array;
  #count = 0;

  constructor(limit: number) {
    this.#bits = new Int32Array(Math.ceil(limit / 32));
    this.#list = new Int32Array(limit);
  }
  add(number: number): void {
    const bits = this.#bits;
    const [word, bit] = [number >>> 5, 1 << (number & 31)];
    if ((bits[word] & bit) !== 0) return;
    bits[word] |= bit;
    this.#list[this.#count++] = number;
  }
  /** Moves the numbers, ascending, to `into` from `at` on, and says where they end. */
  take(into: Int32Array, at: number): number {
    const end = at + this.#count;
    if (16 * this.#count < this.#bits.length) {
      const numbers = this.#list.subarray(0, this.#count);
      for (const number of numbers) this.#bits[number >>> 5] = 0;
      into.set(numbers.sort(), at);
    } else this.#scan(into, at);
    this.#count = 0;
    return end;
  }
  #scan(into: Int32Array, begin: number): void {
    const bits = this.#bits;
    let at = begin;
    for (let word = 0; word < bits.length; word++) {
      for (let left = bits[word]; left !== 0; left &= left - 1) into[at++] = 32 * word + 31 - Math.clz32(left & -left);
      bits[word] = 0;
    }
  }
}

/** Which values of two matrices meet, and where their products add up. */
export class Meeting {
  /** Where the product has values. */
  readonly pattern: Pattern;
  /** Columns that the second matrix has values in. */
  readonly columns: number;
  /** Products of two values. */
  readonly count: number;
  /** The values of the first matrix row by row, and where each of its rows that has any begins. */
  readonly #order: Int32Array;
  readonly #rows: Int32Array;
  /** What each of them meets, in this order: values of the second matrix, from one to another. */
  readonly #from: Int32Array;
  readonly #to: Int32Array;
  /** The values of the second matrix row by row, and the rank of the column of each. */
  readonly #others: Int32Array;
  readonly #ranks: Int32Array;
  /** The ranks of the results' columns, and where each row of them begins. */
  readonly #found: Int32Array;
  readonly #results: Int32Array;
  readonly #counts: readonly [number, number];

  constructor(a: Pattern, b: Pattern) {
    const [ofA, ofB] = [rowsOf(a), rowsOf(b)];
    const { distinct, rank } = ranked(b.coordinates[1], b.sizes[1]);
    const met = a.coordinates[1];
    this.columns = distinct.length;
    this.#counts = [a.count, b.count];
    this.#order = ofA.order;
    this.#others = ofB.order;
    this.#ranks = ofB.order.map((k) => rank[k]);
    this.#from = ofA.order.map((i) => ofB.begin.get(met[i]) ?? 0);
    this.#to = ofA.order.map((i) => ofB.end.get(met[i]) ?? 0);
    const rowCount = ofA.begin.size;
    this.#rows = new Int32Array(rowCount + 1);
    this.#results = new Int32Array(rowCount + 1);
    const [from, to, ranks] = [this.#from, this.#to, this.#ranks];
    let count = 0;
    for (let at = 0; at < from.length; at++) count += to[at] - from[at];
    this.count = count;
    const found = new Int32Array(count);
    const numbers = new SmallNumbers(this.columns);
    let results = 0;
    let row = 0;
    let at = 0;
    for (const end of ofA.end.values()) {
      for (; at < end; at++) for (let k = from[at]; k < to[at]; k++) numbers.add(ranks[k]);
      results = numbers.take(found, results);
      this.#rows[++row] = end;
      this.#results[row] = results;
    }
    this.#found = found.slice(0, results);
    const sizes = [a.sizes[0], b.sizes[1]];
    const rowOf = coordinates(results, sizes[0]);
    row = 0;
    for (const index of ofA.begin.keys()) rowOf.fill(index, this.#results[row], this.#results[++row]);
    const columnOf = coordinates(results, sizes[1]);
    for (let place = 0; place < results; place++) columnOf[place] = distinct[found[place]];
    this.pattern = new Pattern(sizes, [rowOf, columnOf], results);
  }

  /** For the kernel. */
  tables(beside: Tensor): Tensor[] {
    return [this.#rows, this.#order, this.#from, this.#to, this.#others, this.#ranks, this.#results, this.#found].map(
      (table) => i32(table, beside),
    );
  }

  /** Of every product: the values that it is of, and its result. */
  products(): { readonly left: Int32Array; readonly right: Int32Array; readonly result: Int32Array } {
    const [left, right, result] = [0, 1, 2].map(() => new Int32Array(this.count));
    const placeOf = new Int32Array(this.columns);
    let product = 0;
    for (let row = 0; row + 1 < this.#rows.length; row++) {
      for (let place = this.#results[row]; place < this.#results[row + 1]; place++) placeOf[this.#found[place]] = place;
      for (let at = this.#rows[row]; at < this.#rows[row + 1]; at++)
        for (let k = this.#from[at]; k < this.#to[at]; k++) {
          left[product] = this.#order[at];
          right[product] = this.#others[k];
          result[product++] = placeOf[this.#ranks[k]];
        }
    }
    return { left, right, result };
  }

  /** Sums what belongs to values of the first matrix, or of the second. */
  sumBy(which: 0 | 1, of: Int32Array, products: Tensor): Tensor {
    return sumGroups(products, new Pattern([this.#counts[which]], [of], of.length).byIndex(0));
  }
}

const spgemm = defineOp<Meeting>({
  name: 'spgemm',
  key: ({ columns }) => String(columns),
  outputs: ([left, ...rest]) => [{ shape: rest[rest.length - 1].shape, dtype: left.dtype }],
  launches: (inputs, _outputs, { columns, count }, { threads }) => {
    const [{ dtype }, , { shape: pointers }] = inputs;
    const { scalar, bytes } = DTYPES[dtype];
    const rows = pointers[0] - 1;
    const kernel = buildKernel('spgemm', (b) => {
      const left = b.buffer('left', scalar);
      const right = b.buffer('right', scalar);
      const [begins, order, from, to, others, ranks, results, found] = [
        'rows',
        'order',
        'from',
        'to',
        'others',
        'ranks',
        'results',
        'found',
      ].map((name) => b.buffer(name, 'i32'));
      const out = b.buffer('out', scalar, 'write');
      const sums = b.buffer('sums', scalar, 'readwrite');
      const own = b.mul(b.thread, columns);
      b.for(b.begin, b.end, 1, [], (row) => {
        const below = b.add(row, 1);
        const [first, last] = [load(b, results, row), load(b, results, below)];
        const placeOf = (rank: Value): Value => b.add(own, rank);
        b.for(first, last, 1, [], (at) => b.store(sums, placeOf(load(b, found, at)), b.constant(0, scalar)));
        b.for(load(b, begins, row), load(b, begins, below), 1, [], (at) => {
          const factor = b.load(left, load(b, order, at));
          b.for(load(b, from, at), load(b, to, at), 1, [], (k) => {
            const place = placeOf(load(b, ranks, k));
            b.store(sums, place, multiplyAdd(b, factor, b.load(right, load(b, others, k)), b.load(sums, place)));
          });
        });
        b.for(first, last, 1, [], (at) => b.store(out, at, b.load(sums, placeOf(load(b, found, at)))));
      });
    });
    return {
      launches: [{ kernel, begin: 0, end: rows, grain: grainOf(count, rows), align: 1 }],
      workspaceBytes: threads * columns * bytes,
    };
  },
  vjp: ([gradient], [left, right, ...tables], _outputs, meeting) => {
    const none = tables.map(() => null);
    if (gradient === null) return [null, null, ...none];
    const places = meeting.products();
    const gradients = takeRows(gradient, places.result);
    return [
      meeting.sumBy(0, places.left, gradients.mul(takeRows(right, places.right))),
      meeting.sumBy(1, places.right, gradients.mul(takeRows(left, places.left))),
      ...none,
    ];
  },
});

/** The values of the product of two sparse matrices, at `meeting.pattern`. */
export const productOfSparse = (left: Tensor, right: Tensor, meeting: Meeting): Tensor =>
  bilinearly(left, right, (a, b) =>
    meeting.count === 0
      ? zeros([0], { dtype: a.dtype, device: a.device })
      : spgemm([a, b, ...meeting.tables(a)], meeting)[0],
  );
