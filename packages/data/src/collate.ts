/** Items to a batch, by PyTorch's rules: tensors are stacked, numbers become tensors, structures are collated entry by entry. */
import { ProjError } from '@proj/kernel';
import { FloatScalar, fromArray, Tensor, tensor } from '@proj/tensor';
import { concatNode, reshapeNode, sameShape, wrap } from '@proj/tensor/graph';

const op = 'defaultCollate';

type NumberArray = Float32Array | Float64Array | BigInt64Array | Int32Array | Int16Array | Int8Array | Uint8Array;
const isNumberArray = (x: unknown): x is NumberArray => ArrayBuffer.isView(x) && !(x instanceof DataView);

function stack(tensors: readonly Tensor[]): Tensor {
  const [first] = tensors;
  const odd = tensors.find((t) => !sameShape(t.shape, first.shape) || t.dtype !== first.dtype);
  if (odd !== undefined)
    throw new ProjError('shape-mismatch', 'tensors of one batch differ', {
      op,
      shapes: [first.shape, odd.shape],
      dtypes: [first.dtype, odd.dtype],
      cure: 'Pad them in the dataset, or pass a collateFn',
    });
  return wrap(
    concatNode(
      tensors.map((t) => reshapeNode(t.node, [1, ...t.shape])),
      0,
    ),
  );
}

/**
 * Tensors → one tensor with a new first dimension; whole numbers and bigints → int64, other numbers → float64, booleans → bool; strings stay an
 * array; arrays and plain objects → the same structure of batches. Errors: anything else, and arrays of unequal length.
 */
export function defaultCollate(batch: readonly unknown[]): unknown {
  const [first] = batch;
  if (first instanceof Tensor) return stack(batch as readonly Tensor[]);
  if (isNumberArray(first)) return stack((batch as readonly NumberArray[]).map((view) => tensor(view)));
  if (first instanceof FloatScalar || (typeof first === 'number' && batch.some((x) => x instanceof FloatScalar)))
    return fromArray((batch as readonly (FloatScalar | number)[]).map(Number), [batch.length], 'float64');
  if (typeof first === 'number')
    return fromArray(
      batch as readonly number[],
      [batch.length],
      (batch as readonly number[]).every(Number.isInteger) ? 'int64' : 'float64',
    );
  if (typeof first === 'bigint') return fromArray(batch as readonly bigint[], [batch.length], 'int64');
  if (typeof first === 'boolean') return fromArray(batch as readonly boolean[], [batch.length], 'bool');
  if (typeof first === 'string') return [...batch];
  if (Array.isArray(first)) {
    const rows = batch as readonly (readonly unknown[])[];
    if (rows.some((row) => row.length !== first.length))
      throw new ProjError(
        'shape-mismatch',
        `arrays of lengths ${[...new Set(rows.map((row) => row.length))].join(', ')} in one batch`,
        { op, cure: 'Pad them in the dataset, or pass a collateFn' },
      );
    return first.map((_, i) => defaultCollate(rows.map((row) => row[i])));
  }
  if (
    typeof first === 'object' &&
    first !== null &&
    (Object.getPrototypeOf(first) === Object.prototype || Object.getPrototypeOf(first) === null)
  ) {
    const rows = batch as readonly Record<string, unknown>[];
    return Object.fromEntries(Object.keys(first).map((key) => [key, defaultCollate(rows.map((row) => row[key]))]));
  }
  const kind =
    first === null || first === undefined
      ? String(first)
      : (Object.getPrototypeOf(first) as { constructor: { name: string } }).constructor.name;
  throw new ProjError('invalid-argument', `a batch of ${kind}`, {
    op,
    cure: 'Items must be tensors, numbers, strings, arrays or plain objects of these; or pass a collateFn',
  });
}

/** One item as the unbatched loader gives it: numbers and typed arrays become tensors. */
export function defaultConvert(item: unknown): unknown {
  if (isNumberArray(item)) return tensor(item);
  if (Array.isArray(item)) return item.map(defaultConvert);
  if (typeof item === 'object' && item !== null && Object.getPrototypeOf(item) === Object.prototype)
    return Object.fromEntries(Object.entries(item).map(([key, value]) => [key, defaultConvert(value)]));
  return item;
}
