/** Reductions inside a loop nest: where they start, how two partial results combine, what one element contributes, and how they end. */
import type { KernelBuilder, Value } from '@proj/kernel';
import type { AnyNode } from '../graph/node.ts';
import type { ReduceOperation } from '../graph/primitives.ts';
import { BINARY, castValue } from './elementwise.ts';
import { computeScalar, type Emitter, type Position, scalarOfDType } from './emitter.ts';

export type Reduction = AnyNode & { readonly op: 'reduce' | 'fold' };

/** Where a loop nest is: its kept and its reduced coordinates. */
export interface ReducedPosition {
  readonly keptPosition: Position;
  readonly reducedPosition: Position;
}

const REDUCE: Record<
  ReduceOperation,
  {
    readonly binary: 'add' | 'mul' | 'maximum' | 'minimum';
    readonly horizontal: 'reduceAdd' | 'reduceMul' | 'reduceMax' | 'reduceMin';
  }
> = {
  sum: { binary: 'add', horizontal: 'reduceAdd' },
  prod: { binary: 'mul', horizontal: 'reduceMul' },
  max: { binary: 'maximum', horizontal: 'reduceMax' },
  min: { binary: 'minimum', horizontal: 'reduceMin' },
};

const operationOf = (node: Reduction): ReduceOperation => (node.op === 'reduce' ? node.attr.fn : 'sum');

/** Accumulators are i32 for bool, so that `max` and `min` are any and all. */
export const accumulatorType = (node: Reduction): ReturnType<typeof computeScalar> =>
  node.dtype === 'bool' ? 'i32' : computeScalar(node.dtype);

export function identity(node: Reduction): number | bigint {
  const fn = operationOf(node);
  const type = accumulatorType(node);
  if (fn === 'sum') return 0;
  if (fn === 'prod') return 1;
  const float = type === 'f32' || type === 'f64';
  const sign = fn === 'max' ? -1 : 1;
  if (float) return sign * Infinity;
  const bits = type === 'i64' ? 64n : BigInt(Number(type.slice(1)));
  if (type.startsWith('u')) return fn === 'max' ? 0n : (1n << bits) - 1n;
  return fn === 'max' ? -(1n << (bits - 1n)) : (1n << (bits - 1n)) - 1n;
}

export const combine = (b: KernelBuilder, node: Reduction, x: Value, y: Value): Value => {
  const dtype =
    node.dtype === 'bool' ? 'int32' : node.dtype === 'float16' || node.dtype === 'bfloat16' ? 'float32' : node.dtype;
  return BINARY[REDUCE[operationOf(node)].binary](b, x, y, dtype);
};

/** All lanes combined; a NaN in any lane survives `max` and `min`. */
export function horizontal(b: KernelBuilder, node: Reduction, x: Value): Value {
  const fn = operationOf(node);
  const float = x.type.scalar === 'f32' || x.type.scalar === 'f64';
  if (!float || fn === 'sum' || fn === 'prod') return b.horizontal(REDUCE[fn].horizontal, x);
  let value = x;
  while (value.type.lanes > 1) {
    const half = value.type.lanes / 2;
    const low = b.shuffle(
      value,
      value,
      Array.from({ length: half }, (_, i) => i),
    );
    const high = b.shuffle(
      value,
      value,
      Array.from({ length: half }, (_, i) => half + i),
    );
    value = combine(b, node, low, high);
  }
  return b.extract(value, 0);
}

/** The element of a reduction's body at the current positions. */
export function bodyValue(emitter: Emitter, node: Reduction, it: ReducedPosition): Value {
  let value: Value;
  if (node.op === 'fold') value = emitter.emitFold(node, it.keptPosition, it.reducedPosition[0]);
  else {
    const axes = new Set(node.attr.axes);
    let kept = 0;
    let reduced = 0;
    const position = node.sources[0].shape.map((_, dim) =>
      axes.has(dim) ? it.reducedPosition[reduced++] : it.keptPosition[kept++],
    );
    value = emitter.emit(node.sources[0], position);
  }
  return node.dtype === 'bool' ? emitter.b.cast(value, 'i32') : value;
}

export const finish = (b: KernelBuilder, node: Reduction, value: Value): Value => {
  if (node.dtype === 'bool') return b.cast(value, 'bool');
  return node.dtype === 'float16' || node.dtype === 'bfloat16'
    ? castValue(b, b.cast(value, scalarOfDType(node.dtype)), node.dtype, node.dtype)
    : value;
};
