/**
 * Kernels over patterns: sums of groups of values, sparse times dense, and dense times dense where a pattern is (SDDMM). Each is the gradient of the others, so
 * derivatives of any order exist. Sums run in the order of the pattern.
 */
import {
  buildKernel,
  DTYPES,
  type DType,
  type KernelBuilder,
  type Memory,
  type Operand,
  type Value,
} from '@proj/kernel';
import { defineOp } from '../define-op.ts';
import { castNode, takeNode } from '../graph/build.ts';
import { complex } from '../ops/complex.ts';
import { fromArray, zeros } from '../ops/creation.ts';
import { type Tensor, wrap } from '../tensor.ts';
import type { Groups, Pattern } from './pattern.ts';

export const load = (b: KernelBuilder, memory: Memory, at: Operand): Value => b.cast(b.load(memory, at), 'index');
/** a·b + c, of integers too. */
export const multiplyAdd = (b: KernelBuilder, a: Value, x: Value, c: Value): Value =>
  c.type.scalar === 'f32' || c.type.scalar === 'f64' ? b.mulAdd(a, x, c) : b.add(b.mul(a, x), c);

/** Calls `body` for runs of `width` columns that cover all: eight vectors at once, then one, then single elements. */
function acrossColumns(
  b: KernelBuilder,
  width: number,
  lanes: number,
  body: (at: Value, vectors: number, lanes: number) => void,
): void {
  let done = 0;
  for (const [vectors, size] of [
    [8, lanes],
    [1, lanes],
    [1, 1],
  ] as const) {
    const step = vectors * size;
    const end = done + Math.floor((width - done) / step) * step;
    if (end > done) b.for(done, end, step, [], (at) => body(at, vectors, size));
    done = end;
  }
}

/** How many results a thread takes at a time, so that it has some ten thousand sums to do. */
export const grainOf = (work: number, results: number): number =>
  Math.max(1, Math.ceil(16384 / Math.max(1, work / Math.max(1, results))));
const lanesOf = (dtype: DType, vectorBytes: number): number =>
  Math.max(1, Math.floor(vectorBytes / DTYPES[dtype].bytes));

/** Where the groups of a sum come from and where its values go back to. */
interface SegmentOptions {
  /** The group of each value. */
  readonly groupOf: () => Int32Array;
}
const segmentSum = defineOp<SegmentOptions>({
  name: 'segmentSum',
  key: () => '',
  outputs: ([values, pointers]) => [{ shape: [pointers.shape[0] - 1, values.shape[1]], dtype: values.dtype }],
  launches: ([values, pointers], _outputs, _options, { vectorBytes }) => {
    const [count, width] = values.shape;
    const results = pointers.shape[0] - 1;
    const { scalar } = DTYPES[values.dtype];
    const kernel = buildKernel('segmentSum', (b) => {
      const source = b.buffer('values', scalar);
      const starts = b.buffer('pointers', 'i32');
      const order = b.buffer('order', 'i32');
      const out = b.buffer('out', scalar, 'write');
      b.for(b.begin, b.end, 1, [], (group) => {
        const first = load(b, starts, group);
        const last = load(b, starts, b.add(group, 1));
        acrossColumns(b, width, lanesOf(values.dtype, vectorBytes), (column, vectors, lanes) => {
          const zero = b.splat(b.constant(0, scalar), lanes);
          const initial = Array.from({ length: vectors }, () => zero);
          const sums = b.for(first, last, 1, initial, (k, ...sums) => {
            const at = b.add(b.mul(load(b, order, k), width), column);
            return sums.map((sum, v) => b.add(sum, b.load(source, b.add(at, v * lanes), lanes)));
          });
          sums.forEach((sum, v) => b.store(out, b.add(b.add(b.mul(group, width), column), v * lanes), sum));
        });
      });
    });
    return {
      launches: [{ kernel, begin: 0, end: results, grain: grainOf(count * width, results), align: 1 }],
      workspaceBytes: 0,
    };
  },
  vjp: ([gradient], _inputs, _outputs, { groupOf }) => [
    gradient === null ? null : takeRows(gradient, groupOf()),
    null,
    null,
  ],
});

export const i32 = (values: Int32Array, { device }: Tensor): Tensor =>
  fromArray(values, [values.length], 'int32', { device });
/** Real parts, dtypes whose sums need another, and sizes of zero, handled around a function that is linear in its values. */
function linearly(values: Tensor, fn: (values: Tensor) => Tensor): Tensor {
  if (DTYPES[values.dtype].category === 'complex')
    return complex(linearly(values.real(), fn), linearly(values.imag(), fn));
  const wide = computeType(values.dtype);
  return fn(values.to(wide)).to(values.dtype);
}
/** What sums are computed in. */
const computeType = (dtype: DType): DType => {
  const { category, bytes } = DTYPES[dtype];
  if (category === 'float') return bytes < 4 ? 'float32' : dtype;
  return 'int64';
};

/** The group of each value. */
export function groupsOf({ pointers, order }: Groups): Int32Array {
  const of = new Int32Array(order.length);
  for (let g = 0; g + 1 < pointers.length; g++) for (let k = pointers[g]; k < pointers[g + 1]; k++) of[order[k]] = g;
  return of;
}

/** The sums of groups of `values` [count, …rest]: [groups, …rest]. */
export function sumGroups(values: Tensor, { pointers, order }: Groups): Tensor {
  const groups = pointers.length - 1;
  const [, ...rest] = values.shape;
  const width = rest.reduce((a, b) => a * b, 1);
  if (groups === 0 || width === 0 || order.length === 0)
    return zeros([groups, ...rest], { dtype: values.dtype, device: values.device });
  const options = { groupOf: () => groupsOf({ pointers, order }) };
  const tables = [i32(pointers, values), i32(order, values)];
  return linearly(values.reshape([order.length, width]), (x) => segmentSum([x, ...tables], options)[0]).reshape([
    groups,
    ...rest,
  ]);
}

/** The rows of `values` at `places`. */
export function takeRows(values: Tensor, places: ArrayLike<number>): Tensor {
  const index = i32(places instanceof Int32Array ? places : Int32Array.from(places), values);
  return wrap(takeNode(values.node, castNode(index.node, 'int64')));
}

// Products

/** A matrix pattern and the tables of its kernels, by rows or by columns. */
class MatrixTables {
  readonly pattern: Pattern;
  /** The dimension of the result. */
  readonly major: 0 | 1;

  constructor(pattern: Pattern, major: 0 | 1) {
    this.pattern = pattern;
    this.major = major;
  }
  get transposed(): MatrixTables {
    return new MatrixTables(this.pattern, this.major === 0 ? 1 : 0);
  }
  /** Where the groups of the result begin, which values they have, and which row of the dense operand each value meets. */
  tables(beside: Tensor): readonly [Tensor, Tensor, Tensor] {
    const { pattern, major } = this;
    const make = (name: string, values: () => Int32Array): Tensor =>
      pattern.tensor(`${name} ${major}`, beside.device, () => i32(values(), beside));
    return [
      make('pointers', () => pattern.byIndex(major).pointers),
      make('order', () => pattern.byIndex(major).order),
      make('minor', () => {
        const other = pattern.coordinates[1 - major];
        return pattern.byIndex(major).order.map((k) => other[k]);
      }),
    ];
  }
  /** Row and column of each value. */
  places(beside: Tensor): readonly [Tensor, Tensor] {
    const { pattern, major } = this;
    const make = (dim: number): Tensor =>
      pattern.tensor(`axis ${dim}`, beside.device, () => i32(Int32Array.from(pattern.coordinates[dim]), beside));
    return [make(major), make(1 - major)];
  }
}

const spmm = defineOp<MatrixTables>({
  name: 'spmm',
  key: () => '',
  outputs: ([values, dense, pointers]) => [{ shape: [pointers.shape[0] - 1, dense.shape[1]], dtype: values.dtype }],
  launches: ([values, dense, pointers], _outputs, _options, { vectorBytes }) => {
    const [count] = values.shape;
    const width = dense.shape[1];
    const rows = pointers.shape[0] - 1;
    const { scalar } = DTYPES[values.dtype];
    const kernel = buildKernel('spmm', (b) => {
      const source = b.buffer('values', scalar);
      const right = b.buffer('dense', scalar);
      const starts = b.buffer('pointers', 'i32');
      const order = b.buffer('order', 'i32');
      const minor = b.buffer('minor', 'i32');
      const out = b.buffer('out', scalar, 'write');
      b.for(b.begin, b.end, 1, [], (row) => {
        const first = load(b, starts, row);
        const last = load(b, starts, b.add(row, 1));
        acrossColumns(b, width, lanesOf(values.dtype, vectorBytes), (column, vectors, lanes) => {
          const zero = b.splat(b.constant(0, scalar), lanes);
          const initial = Array.from({ length: vectors }, () => zero);
          const sums = b.for(first, last, 1, initial, (k, ...sums) => {
            const factor = b.splat(b.load(source, load(b, order, k)), lanes);
            const at = b.add(b.mul(load(b, minor, k), width), column);
            return sums.map((sum, v) => multiplyAdd(b, factor, b.load(right, b.add(at, v * lanes), lanes), sum));
          });
          sums.forEach((sum, v) => b.store(out, b.add(b.add(b.mul(row, width), column), v * lanes), sum));
        });
      });
    });
    return {
      launches: [{ kernel, begin: 0, end: rows, grain: grainOf(count * width, rows), align: 1 }],
      workspaceBytes: 0,
    };
  },
  vjp: ([gradient], [values, dense], _outputs, tables) =>
    gradient === null
      ? [null, null, null, null, null]
      : [sampled(gradient, dense, tables), multiply(values, gradient, tables.transposed), null, null, null],
});

const sddmm = defineOp<MatrixTables>({
  name: 'sddmm',
  key: () => '',
  outputs: ([left, , rows]) => [{ shape: rows.shape, dtype: left.dtype }],
  launches: ([left, , rows], _outputs, _options, { vectorBytes }) => {
    const width = left.shape[1];
    const [count] = rows.shape;
    const { scalar } = DTYPES[left.dtype];
    const kernel = buildKernel('sddmm', (b) => {
      const a = b.buffer('left', scalar);
      const c = b.buffer('right', scalar);
      const majors = b.buffer('rows', 'i32');
      const minors = b.buffer('columns', 'i32');
      const out = b.buffer('out', scalar, 'write');
      const lanes = lanesOf(left.dtype, vectorBytes);
      const whole = width - (width % lanes);
      b.for(b.begin, b.end, 1, [], (k) => {
        const x = b.mul(load(b, majors, k), width);
        const y = b.mul(load(b, minors, k), width);
        const [vector] = b.for(0, whole, lanes, [b.splat(b.constant(0, scalar), lanes)], (n, sum) => [
          multiplyAdd(b, b.load(a, b.add(x, n), lanes), b.load(c, b.add(y, n), lanes), sum),
        ]);
        const [sum] = b.for(whole, width, 1, [b.horizontal('reduceAdd', vector)], (n, sum) => [
          multiplyAdd(b, b.load(a, b.add(x, n)), b.load(c, b.add(y, n)), sum),
        ]);
        b.store(out, k, sum);
      });
    });
    return {
      launches: [{ kernel, begin: 0, end: count, grain: grainOf(count * width, count), align: 1 }],
      workspaceBytes: 0,
    };
  },
  vjp: ([gradient], [left, right], _outputs, tables) =>
    gradient === null
      ? [null, null, null, null]
      : [multiply(gradient, right, tables), multiply(gradient, left, tables.transposed), null, null],
});

function multiply(values: Tensor, dense: Tensor, tables: MatrixTables): Tensor {
  const rows = tables.pattern.sizes[tables.major];
  if (rows === 0 || dense.shape[1] === 0 || tables.pattern.count === 0)
    return zeros([rows, dense.shape[1]], { dtype: values.dtype, device: values.device });
  return spmm([values, dense, ...tables.tables(values)], tables)[0];
}
function sampled(left: Tensor, right: Tensor, tables: MatrixTables): Tensor {
  const { count } = tables.pattern;
  if (count === 0 || left.shape[1] === 0) return zeros([count], { dtype: left.dtype, device: left.device });
  return sddmm([left, right, ...tables.places(left)], tables)[0];
}

/** Complex and narrow dtypes, around a function that is linear in both of its operands. */
export function bilinearly(a: Tensor, b: Tensor, fn: (a: Tensor, b: Tensor) => Tensor): Tensor {
  if (DTYPES[a.dtype].category !== 'complex') {
    const wide = computeType(a.dtype);
    return fn(a.to(wide), b.to(wide)).to(a.dtype);
  }
  const [ar, ai, br, bi] = [a.real(), a.imag(), b.real(), b.imag()];
  return complex(fn(ar, br).sub(fn(ai, bi)), fn(ar, bi).add(fn(ai, br)));
}

/** The matrix of `values` [count] at `pattern` [M, K] times `dense` [K, N]: [M, N]. Both have one dtype. */
export const sparseTimesDense = (values: Tensor, pattern: Pattern, dense: Tensor): Tensor =>
  bilinearly(values, dense, (a, b) => multiply(a, b, new MatrixTables(pattern, 0)));

/** Σ_n left[row, n] · right[column, n] at the places of `pattern` [M, K]; `left` [M, N], `right` [K, N] → [count]. */
export const productAtPattern = (left: Tensor, right: Tensor, pattern: Pattern): Tensor =>
  bilinearly(left, right, (a, b) => sampled(a, b, new MatrixTables(pattern, 0)));
