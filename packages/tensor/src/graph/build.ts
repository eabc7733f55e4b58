/** Node constructors: one for each primitive, with its shape and dtype rule. Arguments are normalised (dims are non-negative) by the ops above. */
import { type Device, type DeviceBuffer, type DType, ProjError } from '@proj/kernel';
import { ComplexScalar, requireDType, type Scalar, scalarValue, toReal } from '../promotion.ts';
import {
  type AnyNode,
  elementCount,
  isComplexType,
  isGradEnabled,
  keptNodes,
  makeNode,
  Node,
  sameShape,
  type Shape,
} from './node.ts';
import {
  type Attributes,
  type BinaryPrimitive,
  type CumulateOperation,
  isComparison,
  type ReduceOperation,
  type ScatterMode,
  type UnaryPrimitive,
} from './primitives.ts';

/** Arithmetic on complex operands, made of real nodes. `complex.ts` fills it in: it is built of the constructors here. */
export interface ComplexArithmetic {
  unary(fn: UnaryPrimitive, x: AnyNode): AnyNode;
  binary(fn: BinaryPrimitive, a: AnyNode, b: AnyNode): AnyNode;
  cast(x: AnyNode, dtype: DType): AnyNode;
  reduce(fn: ReduceOperation, x: AnyNode, axes: readonly number[]): AnyNode;
  cumulate(fn: CumulateOperation, x: AnyNode): AnyNode;
  contract(a: AnyNode, b: AnyNode): AnyNode;
}
let complexArithmetic: ComplexArithmetic;
export function setComplexArithmetic(rules: ComplexArithmetic): void {
  complexArithmetic = rules;
}

/** re + i·im. With `fn` it is this function of `operands`, which gets the gradients if any of them wants some. */
export function complexNode(
  re: AnyNode,
  im: AnyNode,
  fn: UnaryPrimitive | BinaryPrimitive | null = null,
  operands: readonly AnyNode[] = [],
): AnyNode {
  const dtype = re.dtype === 'float64' ? 'complex128' : 'complex64';
  const recorded = fn !== null && isGradEnabled() && operands.some((x) => x.requiresGrad);
  return recorded
    ? makeNode('complex', dtype, re.shape, [re, im, ...operands], { fn })
    : makeNode('complex', dtype, re.shape, [re, im], { fn: null });
}

/** The real or imaginary part of a complex node. */
export function partNode(x: AnyNode, imaginary: boolean): AnyNode {
  if (x.op === 'complex' && x.sources.length > 0 && x.data === null) {
    // Parts that are constant are seen through, so that sums and products with them simplify.
    const part = x.sources[Number(imaginary)];
    const inner = part.op === 'expand' && part.sources.length > 0 ? part.sources[0] : part;
    if (inner.op === 'constant') return part;
  }
  return makeNode('part', toReal(x.dtype), x.shape, [x], { imaginary });
}

/** The same function of both parts. */
const eachPart = (x: AnyNode, fn: (part: AnyNode) => AnyNode): AnyNode =>
  complexNode(fn(partNode(x, false)), fn(partNode(x, true)));

export function bufferNode(device: Device, dtype: DType, shape: Shape, data: DeviceBuffer): AnyNode {
  const node = new Node('buffer', device, dtype, shape, [], null, false) as AnyNode;
  node.data = data;
  return node;
}

export function constantNode(
  device: Device,
  dtype: DType,
  shape: Shape,
  value: number | bigint | boolean,
  provider: (() => number) | null = null,
): AnyNode {
  requireDType(dtype);
  if (isComplexType(dtype)) {
    const part = toReal(dtype);
    return complexNode(constantNode(device, part, shape, value, provider), constantNode(device, part, shape, 0));
  }
  const scalar = new Node('constant', device, dtype, [], [], { value, provider }, false) as AnyNode;
  return shape.length === 0 ? scalar : expandNode(scalar, shape);
}

/** One number everywhere. Errors: a complex number in a real dtype. */
export function scalarNode(device: Device, dtype: DType, shape: Shape, value: Scalar): AnyNode {
  if (!(value instanceof ComplexScalar)) return constantNode(device, dtype, shape, scalarValue(value));
  if (!isComplexType(dtype))
    throw new ProjError('dtype', `${value.toString()} as ${dtype}`, { cure: 'Use complex64 or complex128' });
  const part = toReal(dtype);
  return complexNode(constantNode(device, part, shape, value.re), constantNode(device, part, shape, value.im));
}

export function iotaNode(device: Device, dtype: DType, length: number, start: number, step: number): AnyNode {
  requireDType(dtype);
  if (isComplexType(dtype)) return castNode(iotaNode(device, toReal(dtype), length, start, step), dtype);
  return new Node('iota', device, dtype, [length], [], { start, step }, false) as AnyNode;
}

/** Random bits of the given shape; `seed` and `offset` are 0-dim int64 constants. */
export function randomNode(shape: Shape, seed: AnyNode, offset: AnyNode): AnyNode {
  return makeNode('random', 'int64', shape, [seed, offset], null);
}

export function unaryNode(fn: UnaryPrimitive, x: AnyNode): AnyNode {
  if (isComplexType(x.dtype)) return complexArithmetic.unary(fn, x);
  return makeNode('unary', x.dtype, x.shape, [x], { fn });
}

export function binaryNode(fn: BinaryPrimitive, a: AnyNode, b: AnyNode): AnyNode {
  if (!sameShape(a.shape, b.shape) || a.dtype !== b.dtype) {
    throw new ProjError('shape-mismatch', 'operands of a binary primitive differ', {
      op: fn,
      shapes: [a.shape, b.shape],
      dtypes: [a.dtype, b.dtype],
    });
  }
  if (isComplexType(a.dtype)) return complexArithmetic.binary(fn, a, b);
  return makeNode('binary', isComparison(fn) ? 'bool' : a.dtype, a.shape, [a, b], { fn });
}

export function whereNode(condition: AnyNode, a: AnyNode, b: AnyNode): AnyNode {
  if (isComplexType(a.dtype))
    return complexNode(
      whereNode(condition, partNode(a, false), partNode(b, false)),
      whereNode(condition, partNode(a, true), partNode(b, true)),
    );
  return makeNode('where', a.dtype, a.shape, [condition, a, b], null);
}

export function castNode(x: AnyNode, dtype: DType): AnyNode {
  if (x.dtype === dtype) return x;
  requireDType(dtype);
  if (isComplexType(x.dtype) || isComplexType(dtype)) return complexArithmetic.cast(x, dtype);
  return makeNode('cast', dtype, x.shape, [x], null);
}

export function bitcastNode(x: AnyNode, dtype: DType): AnyNode {
  return x.dtype === dtype ? x : makeNode('bitcast', dtype, x.shape, [x], null);
}

export function contiguousNode(x: AnyNode): AnyNode {
  return x.op === 'contiguous' || x.data !== null || isComplexType(x.dtype)
    ? x
    : makeNode('contiguous', x.dtype, x.shape, [x], null);
}

export function detachNode(x: AnyNode): AnyNode {
  if (!x.requiresGrad) return x;
  return keptNodes(() => new Node('detach', x.device, x.dtype, x.shape, [x], null, false) as AnyNode);
}

/** `x` as a leaf that requires a gradient. */
export function leafNode(x: AnyNode): AnyNode {
  return keptNodes(() => new Node('leaf', x.device, x.dtype, x.shape, [x], null, true) as AnyNode);
}

export function reshapeNode(x: AnyNode, shape: Shape): AnyNode {
  if (sameShape(x.shape, shape)) return x;
  // Chains collapse unless somebody may ask for the gradient of the value between.
  if (x.op === 'reshape' && !x.requiresGrad && x.sources.length > 0) return reshapeNode(x.sources[0], shape);
  return makeNode('reshape', x.dtype, shape, [x], null);
}

/** The same value as a node of its own, where gradients tell the two apart. */
export function identityNode(x: AnyNode): AnyNode {
  return x.requiresGrad ? makeNode('reshape', x.dtype, x.shape, [x], null) : x;
}

export function permuteNode(x: AnyNode, order: readonly number[]): AnyNode {
  if (order.every((dim, i) => dim === i)) return x;
  if (x.op === 'permute' && !x.requiresGrad && x.sources.length > 0) {
    const inner = (x.attr as Attributes['permute']).order;
    return permuteNode(
      x.sources[0],
      order.map((dim) => inner[dim]),
    );
  }
  if (isComplexType(x.dtype)) return eachPart(x, (part) => permuteNode(part, order));
  const turned = transposedProduct(x, order);
  if (turned !== null) return turned;
  return makeNode(
    'permute',
    x.dtype,
    order.map((dim) => x.shape[dim]),
    [x],
    { order },
  );
}

/** (A·B)ᵀ of a product that nothing else uses is Bᵀ·Aᵀ, whose result needs no turning. */
function transposedProduct(x: AnyNode, order: readonly number[]): AnyNode | null {
  const product = x.op === 'reshape' && x.data === null ? x.sources[0] : x;
  if (
    x.data !== null ||
    product.op !== 'contract' ||
    product.data !== null ||
    x.consumers > 0 ||
    (product !== x && product.consumers > 1)
  )
    return null;
  const flat = product.shape[0] === 1 && sameShape(x.shape, product.shape.slice(1)) && order[0] === 1;
  const batched = sameShape(x.shape, product.shape) && order[0] === 0 && order[1] === 2;
  if (!flat && !batched) return null;
  const [a, b] = product.sources;
  const swapped = contractNode(permuteNode(b, [0, 2, 1]), permuteNode(a, [0, 2, 1]));
  return flat ? reshapeNode(swapped, swapped.shape.slice(1)) : swapped;
}

/** Broadcasts: missing leading dimensions are added, dimensions of size 1 repeated. */
export function expandNode(x: AnyNode, shape: Shape): AnyNode {
  const aligned =
    x.shape.length === shape.length
      ? x
      : reshapeNode(x, [...new Array<number>(shape.length - x.shape.length).fill(1), ...x.shape]);
  if (sameShape(aligned.shape, shape)) return aligned;
  if (isComplexType(x.dtype)) return eachPart(aligned, (part) => expandNode(part, shape));
  return makeNode('expand', x.dtype, shape, [aligned], null);
}

export function padNode(x: AnyNode, before: readonly number[], after: readonly number[], value = 0): AnyNode {
  if (before.every((n) => n === 0) && after.every((n) => n === 0)) return x;
  if (isComplexType(x.dtype))
    return complexNode(padNode(partNode(x, false), before, after, value), padNode(partNode(x, true), before, after));
  return makeNode(
    'pad',
    x.dtype,
    x.shape.map((size, i) => size + before[i] + after[i]),
    [x],
    { before, after, value },
  );
}

export function sliceNode(
  x: AnyNode,
  starts: readonly number[],
  sizes: readonly number[],
  steps: readonly number[],
): AnyNode {
  if (sameShape(sizes, x.shape) && starts.every((s) => s === 0) && steps.every((s) => s === 1)) return x;
  if (isComplexType(x.dtype)) return eachPart(x, (part) => sliceNode(part, starts, sizes, steps));
  return makeNode('slice', x.dtype, sizes, [x], { starts, steps });
}

export interface WindowOptions {
  readonly size: number;
  readonly stride: number;
  readonly dilation: number;
  readonly padding: number;
}

/** Windows over `dim`; `count` of them (so that ceil modes and right padding are the caller's choice). */
export function windowNode(x: AnyNode, dim: number, count: number, options: WindowOptions): AnyNode {
  const { size, stride, dilation, padding } = options;
  if (stride === size && dilation === 1 && padding === 0 && count * size <= x.shape[dim]) {
    // Windows side by side are a reshape.
    const used = sliceNode(
      x,
      x.shape.map(() => 0),
      x.shape.map((s, i) => (i === dim ? count * size : s)),
      x.shape.map(() => 1),
    );
    const split = reshapeNode(used, [...x.shape.slice(0, dim), count, size, ...x.shape.slice(dim + 1)]);
    const order = split.shape.map((_, i) => i).filter((i) => i !== dim + 1);
    return permuteNode(split, [...order, dim + 1]);
  }
  if (isComplexType(x.dtype)) return eachPart(x, (part) => windowNode(part, dim, count, options));
  const shape = [...x.shape];
  shape[dim] = count;
  return makeNode('window', x.dtype, [...shape, size], [x], { ...options, dim });
}

export function foldNode(x: AnyNode, dim: number, length: number, options: WindowOptions): AnyNode {
  const rank = x.shape.length - 1;
  if (dim < rank - 1) {
    // The folded dimension goes last, where its elements lie side by side.
    const order = [...Array.from({ length: rank }, (_, i) => i).filter((i) => i !== dim), dim];
    const folded = foldNode(permuteNode(x, [...order, rank]), rank - 1, length, options);
    return permuteNode(
      folded,
      order.map((_, i) => order.indexOf(i)),
    );
  }
  if (isComplexType(x.dtype)) return eachPart(x, (part) => foldNode(part, dim, length, options));
  const shape = x.shape.slice(0, -1);
  shape[dim] = length;
  return makeNode('fold', x.dtype, shape, [x], { ...options, dim });
}

/** The part of `x` that begins at `starts`. Of windows that are being added up, no more than that part is. */
export function cropNode(x: AnyNode, starts: readonly number[], sizes: readonly number[]): AnyNode {
  if (x.data === null && x.op === 'permute') {
    const { order } = x.attr;
    const inner = <T>(values: readonly T[]): T[] => order.map((_, i) => values[order.indexOf(i)]);
    return permuteNode(cropNode(x.sources[0], inner(starts), inner(sizes)), order);
  }
  if (x.data === null && x.op === 'fold') {
    const [source] = x.sources;
    const { dim, size, padding } = x.attr;
    const cropped = cropNode(source, [...starts.with(dim, 0), 0], [...sizes.with(dim, source.shape[dim]), size]);
    return foldNode(cropped, dim, sizes[dim], { ...x.attr, padding: padding + starts[dim] });
  }
  return sliceNode(
    x,
    starts,
    sizes,
    x.shape.map(() => 1),
  );
}

/**
 * Reduces `axes` away. A sum of many elements into few results is built as a sum of partial sums, so that threads share the work and rounding
 * errors stay small.
 */
export function reduceNode(fn: ReduceOperation, x: AnyNode, axes: readonly number[]): AnyNode {
  if (axes.length === 0) return x;
  if (isComplexType(x.dtype))
    return fn === 'sum' ? eachPart(x, (part) => reduceNode(fn, part, axes)) : complexArithmetic.reduce(fn, x, axes);
  const parts = fn === 'sum' ? partsOf(x, axes) : 1;
  if (parts > 1) {
    const kept = x.shape.map((_, i) => i).filter((i) => !axes.includes(i));
    const shape = kept.map((i) => x.shape[i]);
    const count = axes.reduce((product, axis) => product * x.shape[axis], 1);
    const split = reshapeNode(permuteNode(x, [...kept, ...axes]), [...shape, parts, count / parts]);
    return reduceNode('sum', reduceNode('sum', split, [kept.length + 1]), [kept.length]);
  }
  return makeNode(
    'reduce',
    x.dtype,
    x.shape.filter((_, dim) => !axes.includes(dim)),
    [x],
    { fn, axes: [...axes].sort((a, b) => a - b) },
  );
}

/**
 * Partial sums pay when the results are few and the terms many; their number divides the first reduced dimension. Where a reshape has joined
 * dimensions, parts that keep to them are better: the others find each element by a division.
 */
function partsOf(x: AnyNode, axes: readonly number[]): number {
  const { shape } = x;
  const count = axes.reduce((product, axis) => product * shape[axis], 1);
  const size = axes.map((axis) => shape[axis]).find((n) => n > 1) ?? 1;
  if (count < 16384 || elementCount(shape) / count > 64) return 1;
  const joined = joinedRuns(x);
  const keepsTo = (length: number): boolean => joined.every((run) => run % length === 0 || length % run === 0);
  let any = 1;
  for (let parts = Math.min(256, size); parts >= 4; parts--) {
    if (size % parts !== 0 || count / parts < 256) continue;
    if (keepsTo(count / parts)) return parts;
    if (any === 1) any = parts;
  }
  return any;
}

/** Lengths of the runs of elements that the dimensions of a reshape's source make inside its last dimension. */
function joinedRuns(x: AnyNode): number[] {
  const runs: number[] = [];
  if (x.op !== 'reshape') return runs;
  const last = x.shape.at(-1) ?? 1;
  let run = 1;
  for (const size of x.sources[0].shape.toReversed()) {
    run *= size;
    if (run >= last) break;
    runs.push(run);
  }
  return runs;
}

export function contractNode(a: AnyNode, b: AnyNode): AnyNode {
  if (a.dtype === 'float16' || a.dtype === 'bfloat16')
    return castNode(contractNode(castNode(a, 'float32'), castNode(b, 'float32')), a.dtype);
  if (isComplexType(a.dtype)) return complexArithmetic.contract(a, b);
  return makeNode('contract', a.dtype, [a.shape[0], a.shape[1], b.shape[2]], [a, b], null);
}

export function takeNode(x: AnyNode, index: AnyNode): AnyNode {
  if (isComplexType(x.dtype)) return eachPart(x, (part) => takeNode(part, index));
  return makeNode('take', x.dtype, [...index.shape, ...x.shape.slice(1)], [x, index], null);
}

export function scatterNode(mode: ScatterMode, base: AnyNode, index: AnyNode, updates: AnyNode): AnyNode {
  if (isComplexType(base.dtype)) {
    if (mode !== 'set' && mode !== 'add')
      throw new ProjError('dtype', `scatter by ${mode} of ${base.dtype}`, {
        op: 'scatter',
        cure: "Use 'add', or no reduction",
      });
    return complexNode(
      scatterNode(mode, partNode(base, false), index, partNode(updates, false)),
      scatterNode(mode, partNode(base, true), index, partNode(updates, true)),
    );
  }
  return makeNode('scatter', base.dtype, base.shape, [base, index, updates], { mode });
}

export function concatNode(parts: readonly AnyNode[], dim: number): AnyNode {
  if (parts.length === 1) return parts[0];
  if (isComplexType(parts[0].dtype))
    return complexNode(
      concatNode(
        parts.map((x) => partNode(x, false)),
        dim,
      ),
      concatNode(
        parts.map((x) => partNode(x, true)),
        dim,
      ),
    );
  const shape = [...parts[0].shape];
  shape[dim] = parts.reduce((sum, part) => sum + part.shape[dim], 0);
  return makeNode('concat', parts[0].dtype, shape, parts, { dim });
}

export function accumulateSlicesNode(
  base: AnyNode,
  parts: readonly AnyNode[],
  regions: Attributes['accumulateSlices']['regions'],
): AnyNode {
  if (isComplexType(base.dtype)) {
    const of = (imaginary: boolean): AnyNode =>
      accumulateSlicesNode(
        partNode(base, imaginary),
        parts.map((x) => partNode(x, imaginary)),
        regions,
      );
    return complexNode(of(false), of(true));
  }
  return makeNode('accumulateSlices', base.dtype, base.shape, [base, ...parts], { regions });
}

/** Running reduction along the last dimension. */
export function cumulateNode(fn: CumulateOperation, x: AnyNode): AnyNode {
  if (isComplexType(x.dtype))
    return fn === 'sum' ? eachPart(x, (part) => cumulateNode(fn, part)) : complexArithmetic.cumulate(fn, x);
  return makeNode('cumulate', x.dtype, x.shape, [x], { fn });
}

export function argsortNode(x: AnyNode, descending: boolean): AnyNode {
  if (isComplexType(x.dtype))
    throw new ProjError('dtype', 'complex numbers have no order', { op: 'sort', dtypes: [x.dtype] });
  return makeNode('argsort', 'int64', x.shape, [x], { descending });
}

export { elementCount };
