/**
 * Indexing as Python writes it between brackets: numbers, slices, `'...'`, null (a new dimension), integer tensors and lists (advanced
 * indexing, which copies), masks. Slices, numbers and null make views.
 */
import { checkOptions, ProjError } from '@proj/kernel';
import {
  castNode,
  constantNode,
  permuteNode,
  reshapeNode,
  scalarNode,
  scatterNode,
  takeNode,
  whereNode,
  expandNode,
  binaryNode,
} from '../graph/build.ts';
import { type AnyNode, elementCount } from '../graph/node.ts';
import { isCapturing } from '../evaluate.ts';
import { isIntegral, isScalar, type Scalar } from '../promotion.ts';
import { Tensor, wrap } from '../tensor.ts';
import { broadcastShapes, leading } from './arguments.ts';
import { fromEnd, inverseOrder } from './axis.ts';
import { tensor } from './creation.ts';
import { nonzeroPositions } from './data-dependent.ts';
import { type OpRow, row } from './table.ts';
import { reshape, sameStep, select, slice, unsqueeze } from './views.ts';

/** `start:stop:step`. */
export interface Slice {
  readonly start?: number | null;
  readonly stop?: number | null;
  readonly step?: number | null;
}
type NestedIndex = readonly (number | boolean | NestedIndex)[];
/** One entry between the brackets. */
export type Index = number | Slice | '...' | null | undefined | boolean | Tensor | NestedIndex;

const isList = (x: Index): x is NestedIndex => Array.isArray(x);
const isSlice = (x: Index): x is Slice => typeof x === 'object' && x !== null && !(x instanceof Tensor) && !isList(x);
const isMask = (x: Tensor): boolean => x.dtype === 'bool' || x.dtype === 'uint8';

/** A list that holds anything but numbers and booleans counts as the tuple of its entries, as in Python. */
function flattenIndices(indices: readonly Index[]): readonly Index[] {
  const [only] = indices;
  if (indices.length !== 1 || !isList(only)) return indices;
  const entries = only as readonly Index[];
  return entries.some(
    (entry) => isList(entry) || isSlice(entry) || entry instanceof Tensor || entry === null || entry === '...',
  )
    ? entries
    : indices;
}

const consumed = (index: Index): number => {
  if (index === null || index === undefined || index === '...' || typeof index === 'boolean') return 0;
  return index instanceof Tensor && isMask(index) ? index.ndim : 1;
};

interface Plan {
  /** The view that numbers, slices and null give. */
  readonly view: Tensor;
  /** For each of its dimensions, the integer tensor that indexes it. */
  readonly selectors: readonly (Tensor | null)[];
}

function plan(input: Tensor, given: readonly Index[]): Plan {
  const indices = flattenIndices(given).map((index) =>
    isList(index)
      ? tensor(index as never, { device: input.device, ...(index.length === 0 ? { dtype: 'int64' as const } : {}) })
      : index,
  );
  const used = indices.reduce<number>((sum, index) => sum + consumed(index), 0);
  if (used > input.ndim)
    throw new ProjError('index-out-of-range', `${used} indices for ${input.ndim} dimensions`, {
      op: 'index',
      shapes: [input.shape],
    });
  if (indices.filter((index) => index === '...').length > 1)
    throw new ProjError('invalid-argument', "more than one '...'", { op: 'index' });
  let view = input;
  const selectors: (Tensor | null)[] = [];
  let dim = 0;
  const keep = (count: number): void => {
    for (let i = 0; i < count; i++) selectors.push(null);
    dim += count;
  };
  for (const index of indices) {
    if (index === '...') keep(input.ndim - used);
    else if (index === null || index === undefined) {
      view = unsqueeze(view, dim);
      keep(1);
    } else if (typeof index === 'boolean') {
      view = unsqueeze(view, dim);
      selectors.push(tensor(index ? [0] : [], { dtype: 'int64', device: input.device }));
      dim++;
    } else if (typeof index === 'number') view = select(view, dim, index);
    else if (index instanceof Tensor) {
      if (isMask(index) && index.ndim === 0) {
        view = unsqueeze(view, dim);
        selectors.push(tensor(index.item() ? [0] : [], { dtype: 'int64', device: input.device }));
        dim++;
      } else if (isMask(index)) {
        index.shape.forEach((size, i) => {
          if (size !== view.shape[dim + i])
            throw new ProjError(
              'index-out-of-range',
              `a mask of shape [${index.shape.join(', ')}] at dimension ${dim}`,
              { op: 'index', shapes: [input.shape] },
            );
        });
        selectors.push(...nonzeroPositions(index));
        dim += index.ndim;
      } else if (!isIntegral(index.dtype))
        throw new ProjError('dtype', `an index of ${index.dtype}`, {
          op: 'index',
          cure: 'Use an integer or bool tensor',
        });
      else if (index.ndim === 0 && index.node.data !== null && !isCapturing()) view = select(view, dim, index.item());
      else {
        selectors.push(index);
        dim++;
      }
    } else {
      checkOptions('index', { start: null, stop: null, step: 1 }, index);
      const { start = null, stop = null, step = 1 } = index;
      view = slice(view, dim, start, stop, step ?? 1);
      keep(1);
    }
  }
  keep(view.ndim - selectors.length);
  return { view, selectors };
}

interface Advanced {
  /** Dimensions that are indexed, in order. */
  readonly dims: readonly number[];
  /** Shape of the broadcast indices. */
  readonly shape: readonly number[];
  /** Row of the indexed dimensions, flattened, for each position of `shape`. */
  readonly linear: AnyNode;
  /** Moves the indexed dimensions to the front. */
  readonly order: readonly number[];
  /** Order of dimensions from [shape…, rest…] to the result. */
  readonly result: readonly number[];
}

function advanced(view: Tensor, selectors: readonly (Tensor | null)[]): Advanced {
  const dims = selectors.flatMap((selector, i) => (selector === null ? [] : [i]));
  const rest = selectors.flatMap((selector, i) => (selector === null ? [i] : []));
  const tensors = dims.map((d) => selectors[d] as Tensor);
  const shape = broadcastShapes('index', ...tensors.map((t) => t.shape));
  let linear: AnyNode | null = null;
  dims.forEach((d, i) => {
    const size = view.shape[d];
    const node = expandNode(fromEnd(tensors[i].node, size), shape);
    if (linear === null) {
      linear = node;
      return;
    }
    const constant = (value: number): AnyNode => constantNode(view.device, 'int64', shape, value);
    const inside = binaryNode('and', binaryNode('ge', node, constant(0)), binaryNode('lt', node, constant(size)));
    const combined = binaryNode('add', binaryNode('mul', linear, constant(size)), node);
    linear = whereNode(inside, combined, constant(-1));
  });
  const adjacent = dims.every((d, i) => i === 0 || d === dims[i - 1] + 1);
  const front = adjacent ? dims[0] : 0;
  // The result has the indices' dimensions where the indexed ones stood, or in front when those were apart.
  const k = shape.length;
  const result = [
    ...Array.from({ length: front }, (_, i) => k + i),
    ...Array.from({ length: k }, (_, i) => i),
    ...Array.from({ length: rest.length - front }, (_, i) => k + front + i),
  ];
  return { dims, shape, linear: linear as unknown as AnyNode, order: [...dims, ...rest], result };
}

const rowsOf = (view: Tensor, { dims, order }: Advanced): AnyNode => {
  const moved = permuteNode(view.node, order);
  return reshapeNode(moved, [
    dims.reduce((product, d) => product * view.shape[d], 1),
    ...moved.shape.slice(dims.length),
  ]);
};

/** The part of the tensor that the indices name. Numbers, slices, '...' and null give a view; tensors, lists and masks a copy. */
export function index(input: Tensor, ...indices: readonly Index[]): Tensor {
  const { view, selectors } = plan(input, indices);
  if (selectors.every((selector) => selector === null)) return view === input ? input.view_(sameStep) : view;
  const parts = advanced(view, selectors);
  return wrap(permuteNode(takeNode(rowsOf(view, parts), parts.linear), parts.result));
}

/** Writes `values` (broadcast) where the indices point, or adds them there. */
function put(input: Tensor, indices: readonly Index[], values: Tensor, accumulate: boolean): Tensor {
  const [only] = indices;
  if (
    !accumulate &&
    indices.length === 1 &&
    only instanceof Tensor &&
    isMask(only) &&
    only.ndim > 0 &&
    values.numel() === 1
  ) {
    // A mask and one value need no positions, so that nothing has to be computed now.
    const mask = reshape(only, [...only.shape, ...new Array<number>(input.ndim - only.ndim).fill(1)]);
    const value = expandNode(castNode(reshape(values, []).node, input.dtype), input.shape);
    return input.assign(
      whereNode(expandNode(castNode(mask.node, 'bool'), input.shape), value, input.node),
      'indexPut_',
    );
  }
  const { view, selectors } = plan(input, indices);
  const stored = castNode(values.node, view.dtype);
  if (selectors.every((selector) => selector === null)) {
    const target = dropLeadingOnes(wrap(stored), view.ndim);
    return view.assign(accumulate ? view.add(target).node : target.node, 'copy_');
  }
  const parts = advanced(view, selectors);
  const rows = rowsOf(view, parts);
  const shape = [...parts.shape, ...rows.shape.slice(1)];
  const resultShape = parts.result.map((i) => shape[i]);
  const spread = expandNode(dropLeadingOnes(wrap(stored), resultShape.length).node, resultShape);
  const updates = reshapeNode(permuteNode(spread, inverseOrder(parts.result)), [
    elementCount(parts.shape),
    ...rows.shape.slice(1),
  ]);
  const written = scatterNode(
    accumulate ? 'add' : 'set',
    rows,
    reshapeNode(parts.linear, [elementCount(parts.shape)]),
    updates,
  );
  const back = permuteNode(
    reshapeNode(
      written,
      parts.order.map((d) => view.shape[d]),
    ),
    inverseOrder(parts.order),
  );
  return view.assign(back, 'copy_');
}
function dropLeadingOnes(x: Tensor, rank: number): Tensor {
  let { shape } = x;
  while (shape.length > rank && shape[0] === 1) shape = shape.slice(1);
  return shape.length === x.ndim ? x : reshape(x, shape);
}

const valueTensor = (input: Tensor, value: Tensor | Scalar | readonly unknown[]): Tensor => {
  if (value instanceof Tensor) return value;
  return isScalar(value)
    ? wrap(scalarNode(input.device, input.dtype, [], value))
    : tensor(value, { dtype: input.dtype, device: input.device });
};

/** `input[index] = value`: what an assignment between brackets does in Python. */
export function setIndex(
  input: Tensor,
  indices: Index | readonly Index[],
  value: Tensor | Scalar | readonly unknown[],
): Tensor {
  put(input, (isList(indices as Index) ? indices : [indices]) as readonly Index[], valueTensor(input, value), false);
  return input;
}

export interface IndexPutOptions {
  /** Adds to what is there; equal indices add up. */
  readonly accumulate?: boolean;
}
/** Writes `values` at the positions that a list of index tensors names. */
export function indexPut_(
  input: Tensor,
  indices: readonly Index[],
  values: Tensor | Scalar,
  accumulate: boolean | IndexPutOptions = false,
): Tensor {
  put(
    input,
    indices,
    valueTensor(input, values),
    leading<IndexPutOptions>('indexPut', { accumulate: false }, 'accumulate', accumulate).accumulate,
  );
  return input;
}
/** A copy with `values` at the positions that a list of index tensors names. */
export function indexPut(
  input: Tensor,
  indices: readonly Index[],
  values: Tensor | Scalar,
  accumulate: boolean | IndexPutOptions = false,
): Tensor {
  return indexPut_(wrap(input.node), indices, values, accumulate);
}

export const INDEXING: readonly OpRow[] = [
  row('index', index as never, 'input, *indices', { torch: ['Tensor.__getitem__'] }),
  row('setIndex', setIndex as never, 'input, indices, value', { torch: ['Tensor.__setitem__'], differentiable: false }),
  row('indexPut', indexPut, 'input, indices, values, accumulate=False'),
  row('indexPut_', indexPut_, 'input, indices, values, accumulate=False', {
    torch: ['Tensor.index_put_'],
    differentiable: false,
  }),
];
