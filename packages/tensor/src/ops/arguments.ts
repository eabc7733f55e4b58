/** Normalising arguments: numbers to tensors, negative dims, shapes, dtypes, operands broadcast and promoted. Errors name the operation. */
import {
  defaultDevice,
  type Defaults,
  describeValue,
  type Device,
  type DType,
  getDevice,
  isDType,
  ProjError,
  withDefaults,
} from '@proj/kernel';
import { castNode, expandNode, scalarNode } from '../graph/build.ts';
import { type AnyNode, sameShape, type Shape } from '../graph/node.ts';
import { isScalar, type Promotable, resultType, type Scalar, scalarDType } from '../promotion.ts';
import { Tensor } from '../tensor.ts';

export type TensorLike = Tensor | Scalar;

/** A dim in 0 … ndim-1 from one that may be negative. */
export function normalizeDim(dim: number, ndim: number, op: string): number {
  if (ndim > 64) throw new ProjError('shape-mismatch', `${ndim} dimensions`, { op, cure: 'Use at most 64' });
  const rank = Math.max(1, ndim);
  if (!Number.isInteger(dim) || dim < -rank || dim >= rank) {
    throw new ProjError('index-out-of-range', `dim ${describeValue(dim)} is out of range for ${ndim} dimensions`, {
      op,
      cure: `Give a dim in ${-rank} … ${rank - 1}`,
    });
  }
  return dim < 0 ? dim + rank : dim;
}

/** One dim, several, or all (undefined, null or []), sorted and without negatives. Errors on repeated dims. */
export function normalizeDims(dims: number | readonly number[] | null | undefined, ndim: number, op: string): number[] {
  if (ndim > 64) throw new ProjError('shape-mismatch', `${ndim} dimensions`, { op, cure: 'Use at most 64' });
  if (dims === undefined || dims === null || (typeof dims !== 'number' && dims.length === 0))
    return Array.from({ length: ndim }, (_, i) => i);
  if (typeof dims !== 'number' && !Array.isArray(dims))
    throw new ProjError('invalid-argument', `${describeValue(dims)} where a dim or an array of dims belongs`, {
      op,
      cure: `Write ${op}(1), ${op}([0, 1]) or ${op}(1, { … })`,
    });
  const list = (typeof dims === 'number' ? [dims] : [...dims]).map((dim) => normalizeDim(dim, ndim, op));
  if (new Set(list).size !== list.length)
    throw new ProjError('invalid-argument', `dims [${list.join(', ')}] repeat`, { op });
  return ndim === 0 ? [] : list.sort((a, b) => a - b);
}

/** The shape that both broadcast to. */
export function broadcastShapes(op: string, ...shapes: readonly Shape[]): number[] {
  const result: number[] = shapes.length === 0 ? [] : [...shapes[0]];
  for (let s = 1; s < shapes.length; s++) {
    const shape = shapes[s];
    if (sameShape(shape, result)) continue;
    for (let i = 1; i <= shape.length; i++) {
      const size = shape[shape.length - i];
      const known = result[result.length - i];
      if (known === undefined) result.unshift(size);
      else if (known === 1) result[result.length - i] = size;
      else if (size !== 1 && size !== known) {
        throw new ProjError('shape-mismatch', `sizes ${known} and ${size} at dimension ${-i} do not broadcast`, {
          op,
          shapes,
          cure: 'Sizes must be equal or 1, aligned at the last dimension',
        });
      }
    }
  }
  return result;
}

/** Makes `shape` from `[2, 3]` or `2, 3`. `least` is -1 where that stands for a size that is to be found. */
export function shapeArgument(args: readonly (number | readonly number[])[], op: string, least: 0 | -1 = 0): number[] {
  const shape = args.length === 1 && typeof args[0] !== 'number' ? [...args[0]] : (args as readonly number[]).slice();
  for (const size of shape)
    if (!Number.isInteger(size) || size < least)
      throw new ProjError(
        'invalid-argument',
        `size ${describeValue(size)} in shape [${shape.map(describeValue).join(', ')}]`,
        {
          op,
          cure: 'Sizes are non-negative integers',
        },
      );
  return shape;
}

/**
 * Options of which the first may also stand by itself: `op(x, 2)`, `op(x, { k: 2 })`, `op(x, 2, { … })`. Errors (`invalid-argument`): a name that does not exist.
 */
export function leading<Options extends object>(
  op: string,
  defaults: NoInfer<Defaults<Options>>,
  name: keyof Options,
  first: unknown,
  options: Options = {} as Options,
): Defaults<Options> {
  if (first === undefined || first === null) return withDefaults<Options>(op, defaults, options);
  const isObject = typeof first === 'object' && Object.getPrototypeOf(first) === Object.prototype;
  return withDefaults<Options>(op, defaults, isObject ? { ...options, ...first } : { ...options, [name]: first });
}

/** A dtype by name. */
export function dtypeArgument(dtype: string, op: string): DType {
  if (!isDType(dtype))
    throw new ProjError('dtype', `unknown dtype "${String(dtype)}"`, {
      op,
      cure: 'Use float32, float64, float16, bfloat16, int64, int32, int16, int8, uint8, bool, complex64 or complex128',
    });
  return dtype;
}

export const deviceArgument = (device: Device | string | undefined | null): Device =>
  device === undefined || device === null ? defaultDevice() : typeof device === 'string' ? getDevice(device) : device;

/** The node of a tensor, or a constant for a number. */
export function nodeOf(x: TensorLike, device: Device, dtype?: DType): AnyNode {
  if (x instanceof Tensor) return dtype === undefined ? x.node : castNode(x.node, dtype);
  if (!isScalar(x))
    throw new ProjError('invalid-argument', `a tensor or a number is needed, got ${x === null ? 'null' : typeof x}`);
  return scalarNode(device, dtype ?? scalarDType(x), [], x);
}

const promotable = (x: TensorLike): Promotable => {
  if (x instanceof Tensor) return { dtype: x.dtype, kind: x.ndim === 0 ? 'zeroDim' : 'dimensioned' };
  if (!isScalar(x))
    throw new ProjError('invalid-argument', `a tensor or a number is needed, got ${x === null ? 'null' : typeof x}`);
  return { dtype: scalarDType(x), kind: 'number' };
};

/** The dtype of an operation on `operands`. */
export const promotedType = (...operands: readonly TensorLike[]): DType => resultType(operands.map(promotable));

export function deviceOf(op: string, ...operands: readonly TensorLike[]): Device {
  for (const x of operands) if (x instanceof Tensor) return x.device;
  throw new ProjError('invalid-argument', 'at least one operand must be a tensor', { op });
}

/** Operands as nodes of one dtype and shape. `dtype` overrides promotion. */
export function unify(op: string, operands: readonly TensorLike[], dtype?: DType): AnyNode[] {
  const nodes = ofOneType(operands, dtype) ?? promoted(op, operands, dtype);
  const [{ shape: first }] = nodes;
  if (nodes.every((node) => sameShape(node.shape, first))) return nodes;
  const shape = broadcastShapes(op, ...nodes.map((node) => node.shape));
  return nodes.map((node) => expandNode(node, shape));
}

/** The nodes of tensors that all have one dtype, which need no promotion; null for others. */
function ofOneType(operands: readonly TensorLike[], dtype: DType | undefined): AnyNode[] | null {
  const nodes: AnyNode[] = [];
  let type = dtype;
  for (const x of operands) {
    if (!(x instanceof Tensor)) return null;
    const { node } = x;
    type ??= node.dtype;
    if (node.dtype !== type) return null;
    nodes.push(node);
  }
  return nodes.length === 0 ? null : nodes;
}

function promoted(op: string, operands: readonly TensorLike[], dtype: DType | undefined): AnyNode[] {
  const device = deviceOf(op, ...operands);
  const type = dtype ?? promotedType(...operands);
  return operands.map((x) => nodeOf(x, device, type));
}
