/** Joining, splitting and repeating tensors. Parts of a split are views. */
import { describeValue, ProjError, withDefaults } from '@proj/kernel';
import { castNode, concatNode, constantNode, reshapeNode, takeNode } from '../graph/build.ts';
import { elementCount, sameShape } from '../graph/node.ts';
import { promoteTypes } from '../promotion.ts';
import { Tensor, wrap } from '../tensor.ts';
import { leading, normalizeDim, promotedType, shapeArgument } from './arguments.ts';
import { fromArray } from './creation.ts';
import { type OpRow, row } from './table.ts';
import { expand, narrow, reshape, select, unsqueeze } from './views.ts';

/** The parts one after another along `dim`, promoted to one dtype. Empty 1-dimensional parts are left out, as in PyTorch. */
export function concatenate(parts: readonly Tensor[], dim: number, op: string): Tensor {
  if ((parts as unknown) instanceof Tensor)
    throw new ProjError('invalid-argument', 'a list of tensors is needed', { op, cure: `Write ${op}([a, b])` });
  if (parts.length === 0)
    throw new ProjError('invalid-argument', 'no tensors', { op, cure: 'Give at least one tensor' });
  for (const part of parts) {
    if (!(part instanceof Tensor)) throw new ProjError('invalid-argument', 'a list of tensors is needed', { op });
    if (part.ndim === 0)
      throw new ProjError('shape-mismatch', '0-dim tensors cannot be joined', {
        op,
        shapes: parts.map((p) => p.shape),
        cure: 'Use stack',
      });
  }
  const dtype = promotedType(...parts);
  const kept = parts.filter((part) => !(part.ndim === 1 && part.shape[0] === 0));
  if (kept.length === 0) return wrap(castNode(parts[0].node, dtype));
  const rank = kept[0].ndim;
  const at = normalizeDim(dim, rank, op);
  for (const part of kept) {
    if (part.ndim !== rank || part.shape.some((size, i) => i !== at && size !== kept[0].shape[i])) {
      throw new ProjError('shape-mismatch', `sizes differ in another dimension than ${at}`, {
        op,
        shapes: kept.map((p) => p.shape),
        dtypes: kept.map((p) => p.dtype),
      });
    }
  }
  return wrap(
    concatNode(
      kept.map((part) => castNode(part.node, dtype)),
      at,
    ),
  );
}

export interface DimOptions {
  readonly dim?: number;
}
const dimOf = (op: string, dim: number | DimOptions): number =>
  typeof dim === 'number' ? dim : withDefaults(op, { dim: 0 }, dim).dim;
/** The tensors one after another along `dim` (the first). */
export function cat(tensors: readonly Tensor[], dim: number | DimOptions = 0): Tensor {
  return concatenate(tensors, dimOf('cat', dim), 'cat');
}
/** The tensors along a new dimension. */
export function stack(tensors: readonly Tensor[], dim: number | DimOptions = 0): Tensor {
  if (tensors.length === 0)
    throw new ProjError('invalid-argument', 'no tensors', { op: 'stack', cure: 'Give at least one tensor' });
  const at = normalizeDim(dimOf('stack', dim), tensors[0].ndim + 1, 'stack');
  for (const part of tensors)
    if (!sameShape(part.shape, tensors[0].shape))
      throw new ProjError('shape-mismatch', 'the tensors have different shapes', {
        op: 'stack',
        shapes: tensors.map((p) => p.shape),
      });
  return concatenate(
    tensors.map((part) => unsqueeze(part, at)),
    at,
    'stack',
  );
}

const listOf = (tensors: readonly (Tensor | readonly Tensor[])[]): readonly Tensor[] =>
  tensors.length === 1 && !(tensors[0] instanceof Tensor) ? tensors[0] : (tensors as readonly Tensor[]);

/** At least one dimension. */
export function atleast1d(...tensors: readonly (Tensor | readonly Tensor[])[]): Tensor | Tensor[] {
  const result = listOf(tensors).map((x) => (x.ndim === 0 ? reshape(x, [1]) : x));
  return tensors.length === 1 && tensors[0] instanceof Tensor ? result[0] : result;
}
/** At least two dimensions, new ones in front. */
export function atleast2d(...tensors: readonly (Tensor | readonly Tensor[])[]): Tensor | Tensor[] {
  const result = listOf(tensors).map((x) => (x.ndim === 0 ? reshape(x, [1, 1]) : x.ndim === 1 ? unsqueeze(x, 0) : x));
  return tensors.length === 1 && tensors[0] instanceof Tensor ? result[0] : result;
}
/** At least three dimensions: a vector becomes [1, n, 1], a matrix [m, n, 1]. */
export function atleast3d(...tensors: readonly (Tensor | readonly Tensor[])[]): Tensor | Tensor[] {
  const result = listOf(tensors).map((x) =>
    x.ndim === 0
      ? reshape(x, [1, 1, 1])
      : x.ndim === 1
        ? reshape(x, [1, x.shape[0], 1])
        : x.ndim === 2
          ? unsqueeze(x, -1)
          : x,
  );
  return tensors.length === 1 && tensors[0] instanceof Tensor ? result[0] : result;
}

/** Side by side: along the second dimension, the first one for vectors. */
export function hstack(tensors: readonly Tensor[]): Tensor {
  const parts = atleast1d(tensors) as Tensor[];
  return concatenate(parts, parts.length > 0 && parts[0].ndim > 1 ? 1 : 0, 'hstack');
}
/** One below the other: along the first dimension. */
export function vstack(tensors: readonly Tensor[]): Tensor {
  return concatenate(atleast2d(tensors) as Tensor[], 0, 'vstack');
}
/** Along the third dimension. */
export function dstack(tensors: readonly Tensor[]): Tensor {
  return concatenate(atleast3d(tensors) as Tensor[], 2, 'dstack');
}
/** As {@link hstack}, with vectors as columns. */
export function columnStack(tensors: readonly Tensor[]): Tensor {
  return concatenate(
    tensors.map((x) => (x.ndim <= 1 ? reshape(x, [x.numel(), 1]) : x)),
    1,
    'columnStack',
  );
}

/** Parts of sizes `splitSize` (the last may be smaller), or of the sizes listed. Views. */
export function split(tensor: Tensor, splitSize: number | readonly number[], dim: number | DimOptions = 0): Tensor[] {
  if (tensor.ndim === 0) throw new ProjError('shape-mismatch', 'a 0-dim tensor cannot be split', { op: 'split' });
  const at = normalizeDim(dimOf('split', dim), tensor.ndim, 'split');
  const size = tensor.shape[at];
  let sizes: readonly number[];
  if (typeof splitSize === 'number') {
    if (splitSize < 0 || (splitSize === 0 && size !== 0))
      throw new ProjError('invalid-argument', `parts of ${splitSize}`, { op: 'split' });
    const count = splitSize === 0 ? 1 : Math.max(1, Math.ceil(size / splitSize));
    sizes = Array.from({ length: count }, (_, i) => Math.min(splitSize, size - i * splitSize));
  } else sizes = splitSize;
  if (sizes.some((s) => s < 0) || sizes.reduce((a, b) => a + b, 0) !== size)
    throw new ProjError('shape-mismatch', `sizes [${sizes.join(', ')}] do not add up to ${size}`, {
      op: 'split',
      shapes: [tensor.shape],
    });
  let start = 0;
  return sizes.map((length) => {
    const part = narrow(tensor, at, start, length);
    start += length;
    return part;
  });
}
/** Parts of the sizes listed. Views. */
export function splitWithSizes(input: Tensor, splitSizes: readonly number[], dim: number | DimOptions = 0): Tensor[] {
  return split(input, splitSizes, dim);
}
/** At most `chunks` parts of equal size (the last may be smaller). Views. */
export function chunk(input: Tensor, chunks: number, dim: number | DimOptions = 0): Tensor[] {
  if (input.ndim === 0) throw new ProjError('shape-mismatch', 'a 0-dim tensor cannot be split', { op: 'chunk' });
  if (!(chunks > 0)) throw new ProjError('invalid-argument', `${chunks} chunks`, { op: 'chunk' });
  const at = normalizeDim(dimOf('chunk', dim), input.ndim, 'chunk');
  const size = input.shape[at];
  if (size === 0) return Array.from({ length: chunks }, () => narrow(input, at, 0, 0));
  return split(input, Math.ceil(size / chunks), at);
}
/** `sections` parts whose sizes differ by at most one, or parts that end before the given indices. Views. */
export function tensorSplit(
  input: Tensor,
  indicesOrSections: number | readonly number[] | Tensor,
  dim: number | DimOptions = 0,
): Tensor[] {
  if (input.ndim === 0) throw new ProjError('shape-mismatch', 'a 0-dim tensor cannot be split', { op: 'tensorSplit' });
  const at = normalizeDim(dimOf('tensorSplit', dim), input.ndim, 'tensorSplit');
  const size = input.shape[at];
  const given =
    indicesOrSections instanceof Tensor
      ? indicesOrSections.ndim === 0
        ? indicesOrSections.item()
        : indicesOrSections.toFlatArray()
      : indicesOrSections;
  if (typeof given === 'number') {
    if (given <= 0) throw new ProjError('invalid-argument', `${given} sections`, { op: 'tensorSplit' });
    const base = Math.floor(size / given);
    return split(
      input,
      Array.from({ length: given }, (_, i) => base + (i < size % given ? 1 : 0)),
      at,
    );
  }
  const bounds = [...given, size].map((x) => Math.min(size, Math.max(0, x < 0 ? x + size : x)));
  let start = 0;
  return bounds.map((end) => {
    const part = narrow(input, at, Math.min(start, size), Math.max(0, end - start));
    start = end;
    return part;
  });
}
const alongAxis =
  (op: string, axis: (rank: number) => number, least: number) =>
  (input: Tensor, indicesOrSections: number | readonly number[]): Tensor[] => {
    if (input.ndim < least)
      throw new ProjError('shape-mismatch', `a tensor of at least ${least} dimensions is needed`, {
        op,
        shapes: [input.shape],
      });
    const dim = axis(input.ndim);
    if (
      typeof indicesOrSections === 'number' &&
      (indicesOrSections === 0 || input.shape[dim] % indicesOrSections !== 0)
    ) {
      throw new ProjError('shape-mismatch', `dimension ${dim} does not divide into ${indicesOrSections} parts`, {
        op,
        shapes: [input.shape],
      });
    }
    return tensorSplit(input, indicesOrSections, dim);
  };
/** Splits along the second dimension (the first one of a vector). Views. */
export const hsplit = alongAxis('hsplit', (rank) => (rank === 1 ? 0 : 1), 1);
/** Splits along the first dimension. Views. */
export const vsplit = alongAxis('vsplit', () => 0, 2);
/** Splits along the third dimension. Views. */
export const dsplit = alongAxis('dsplit', () => 2, 3);
/** All slices along `dim`, without it. Views. */
export function unbind(input: Tensor, dim: number | DimOptions = 0): Tensor[] {
  const at = normalizeDim(dimOf('unbind', dim), input.ndim, 'unbind');
  if (input.ndim === 0)
    throw new ProjError('shape-mismatch', 'a 0-dim tensor has no dimension to unbind', { op: 'unbind' });
  return Array.from({ length: input.shape[at] }, (_, i) => select(input, at, i));
}

type SizeArguments = readonly (number | readonly number[])[];
/** The tensor repeated this often in each dimension; missing dimensions are added in front. */
export function repeat(input: Tensor, ...repeats: SizeArguments): Tensor {
  const times = shapeArgument(repeats, 'repeat');
  if (times.length < input.ndim)
    throw new ProjError('shape-mismatch', `${times.length} repeats for ${input.ndim} dimensions`, {
      op: 'repeat',
      shapes: [input.shape],
    });
  const padded = [...new Array<number>(times.length - input.ndim).fill(1), ...input.shape];
  const interleaved = expand(
    reshape(
      input,
      padded.flatMap((size) => [1, size]),
    ),
    padded.flatMap((size, i) => [times[i], size]),
  );
  return wrap(
    reshapeNode(
      interleaved.node,
      padded.map((size, i) => size * times[i]),
    ),
  );
}
/** As {@link repeat}; missing entries of `dims` are 1. */
export function tile(input: Tensor, ...dims: SizeArguments): Tensor {
  const times = shapeArgument(dims, 'tile');
  return repeat(input, [...new Array<number>(Math.max(0, input.ndim - times.length)).fill(1), ...times]);
}
export interface RepeatInterleaveOptions {
  readonly dim?: number | null;
  readonly outputSize?: number | null;
}
/** Each element (or slice along `dim`) repeated `repeats` times. A tensor of repeats is read at once. */
export function repeatInterleave(
  input: Tensor,
  repeats?: number | Tensor | null,
  options: RepeatInterleaveOptions = {},
): Tensor {
  const { dim } = withDefaults('repeatInterleave', { dim: null, outputSize: null }, options);
  if (repeats === undefined || repeats === null)
    return fromArray(spread(input.toFlatArray()), [input.toFlatArray().reduce((a, b) => a + b, 0)], 'int64', {
      device: input.device,
    });
  if (typeof repeats !== 'number' && !(repeats instanceof Tensor))
    throw new ProjError('invalid-argument', `${describeValue(repeats)} where a number or a tensor belongs`, {
      op: 'repeatInterleave',
      cure: 'Write repeatInterleave(2), repeatInterleave(counts, { dim }) …',
    });
  const x = dim === null ? reshape(input, [input.numel()]) : input.ndim === 0 ? reshape(input, [1]) : input;
  const at = dim === null ? 0 : normalizeDim(dim, x.ndim, 'repeatInterleave');
  const size = x.shape[at];
  const single = typeof repeats === 'number' ? repeats : repeats.numel() === 1 ? repeats.item() : null;
  if (single !== null) {
    if (single < 0) throw new ProjError('invalid-argument', `${single} repeats`, { op: 'repeatInterleave' });
    const wide = [...x.shape.slice(0, at + 1), single, ...x.shape.slice(at + 1)];
    return wrap(
      reshapeNode(
        expand(unsqueeze(x, at + 1), wide).node,
        x.shape.map((s, i) => (i === at ? s * single : s)),
      ),
    );
  }
  const counts = (repeats as Tensor).toFlatArray();
  if (counts.length !== size || counts.some((c) => c < 0))
    throw new ProjError('shape-mismatch', `${counts.length} repeats for ${size} elements`, {
      op: 'repeatInterleave',
      shapes: [x.shape],
    });
  const rows = spread(counts);
  const index = fromArray(rows, [rows.length], 'int64', { device: input.device }).node;
  const moved = alongFirst(x, at);
  return moved.back(wrap(takeNode(moved.front.node, index)));
}
const spread = (counts: readonly number[]): number[] => counts.flatMap((count, i) => new Array<number>(count).fill(i));

/** `x` with `dim` first, and the way back. */
export function alongFirst(x: Tensor, dim: number): { front: Tensor; back: (y: Tensor) => Tensor } {
  const order = [dim, ...x.shape.map((_, i) => i).filter((i) => i !== dim)];
  return { front: x.permute(order), back: (y) => wrap(y.permute(order.map((_, i) => order.indexOf(i))).node) };
}

/** Coordinate grids of vectors, in matrix (`ij`) or Cartesian (`xy`) order. */
export function meshgrid(...tensors: readonly (Tensor | readonly Tensor[] | { indexing?: string })[]): Tensor[] {
  const last = tensors.at(-1);
  const hasOptions = last !== undefined && !(last instanceof Tensor) && !Array.isArray(last);
  const { indexing } = withDefaults<{ indexing?: string }>(
    'meshgrid',
    { indexing: 'ij' },
    hasOptions ? (last as object) : {},
  );
  const list = listOf((hasOptions ? tensors.slice(0, -1) : tensors) as readonly (Tensor | readonly Tensor[])[]);
  if (list.length === 0) throw new ProjError('invalid-argument', 'no tensors', { op: 'meshgrid' });
  if (indexing !== 'ij' && indexing !== 'xy')
    throw new ProjError('invalid-argument', `indexing "${indexing}"`, { op: 'meshgrid', cure: 'Use "ij" or "xy"' });
  for (const x of list)
    if (x.ndim > 1)
      throw new ProjError('shape-mismatch', 'vectors are needed', { op: 'meshgrid', shapes: list.map((t) => t.shape) });
  const swap = indexing === 'xy' && list.length > 1;
  const ordered = swap ? [list[1], list[0], ...list.slice(2)] : list;
  const shape = ordered.map((x) => x.numel());
  const grids = ordered.map((x, i) =>
    expand(
      reshape(
        x,
        shape.map((_, d) => (d === i ? x.numel() : 1)),
      ),
      shape,
    ),
  );
  const result = swap ? [grids[1], grids[0], ...grids.slice(2)] : grids;
  return result;
}
/** All tuples with one element of each vector, as rows. */
export function cartesianProd(...tensors: readonly (Tensor | readonly Tensor[])[]): Tensor {
  const list = listOf(tensors);
  for (const x of list)
    if (x.ndim !== 1)
      throw new ProjError('shape-mismatch', 'vectors are needed', {
        op: 'cartesianProd',
        shapes: list.map((t) => t.shape),
      });
  if (list.length === 1) return list[0];
  return stack(
    meshgrid(list).map((grid) => reshape(grid, [grid.numel()])),
    1,
  );
}
/** All combinations of `r` elements of a vector, as rows. */
export function combinations(input: Tensor, options: { r?: number; withReplacement?: boolean } = {}): Tensor {
  const { r, withReplacement } = withDefaults('combinations', { r: 2, withReplacement: false }, options);
  if (input.ndim !== 1)
    throw new ProjError('shape-mismatch', 'a vector is needed', { op: 'combinations', shapes: [input.shape] });
  if (r < 0) throw new ProjError('invalid-argument', `r = ${r}`, { op: 'combinations' });
  if (r === 0) return fromArray([], [0], input.dtype, { device: input.device });
  const rows: number[] = [];
  const visit = (chosen: readonly number[], from: number): void => {
    if (chosen.length === r) rows.push(...chosen);
    else for (let i = from; i < input.shape[0]; i++) visit([...chosen, i], withReplacement ? i : i + 1);
  };
  visit([], 0);
  return wrap(takeNode(input.node, fromArray(rows, [rows.length / r, r], 'int64', { device: input.device }).node));
}
/** A matrix with the given ones along its diagonal, zeros elsewhere. */
export function blockDiag(...tensors: readonly (Tensor | readonly Tensor[])[]): Tensor {
  const blocks = listOf(tensors).map((x) => {
    if (x.ndim > 2)
      throw new ProjError('shape-mismatch', 'matrices are needed', { op: 'blockDiag', shapes: [x.shape] });
    return x.ndim === 2 ? x : reshape(x, [1, x.numel()]);
  });
  const dtype = blocks.reduce((type, x) => promoteTypes(type, x.dtype), blocks[0].dtype);
  const columns = blocks.reduce((sum, x) => sum + x.shape[1], 0);
  let at = 0;
  const rows = blocks.map((x) => {
    const [m, n] = x.shape;
    const zeros = (width: number): Tensor => wrap(constantNode(x.device, dtype, [m, width], 0));
    const padded = concatenate(
      [...(at > 0 ? [zeros(at)] : []), x, ...(columns - at - n > 0 ? [zeros(columns - at - n)] : [])],
      1,
      'blockDiag',
    );
    at += n;
    return wrap(castNode(padded.node, dtype));
  });
  return concatenate(rows, 0, 'blockDiag');
}

/** Elements moved by `shifts` along `dims`, those that leave at one end entering at the other. Without `dims` the flattened tensor is rolled. */
export function roll(
  input: Tensor,
  shifts: number | readonly number[],
  dims: number | readonly number[] | null | { readonly dims?: number | readonly number[] | null } = null,
): Tensor {
  const amounts = typeof shifts === 'number' ? [shifts] : shifts;
  const { dims: given } = leading<{ dims?: number | readonly number[] | null }>('roll', { dims: null }, 'dims', dims);
  const list = given === null ? [] : typeof given === 'number' ? [given] : given;
  if (list.length === 0) {
    if (amounts.length !== 1)
      throw new ProjError('invalid-argument', `${amounts.length} shifts without dims`, { op: 'roll' });
    return wrap(reshapeNode(rollOne(reshape(input, [input.numel()]), amounts[0], 0).node, input.shape));
  }
  if (list.length !== amounts.length)
    throw new ProjError('invalid-argument', `${amounts.length} shifts for ${list.length} dims`, { op: 'roll' });
  return wrap(
    list.reduce<Tensor>((x, dim, i) => rollOne(x, amounts[i], normalizeDim(dim, input.ndim, 'roll')), input).node,
  );
}
function rollOne(x: Tensor, shift: number, dim: number): Tensor {
  const size = x.shape[dim] ?? 1;
  if (size === 0 || elementCount(x.shape) === 0 || x.ndim === 0) return x;
  const by = ((shift % size) + size) % size;
  return by === 0 ? x : concatenate([narrow(x, dim, size - by, by), narrow(x, dim, 0, size - by)], dim, 'roll');
}

export const JOINING: readonly OpRow[] = [
  row('cat', cat, 'tensors, dim=0'),
  row('concat', cat, 'tensors, dim=0'),
  row('concatenate', cat, 'tensors, dim=0'),
  row('stack', stack, 'tensors, dim=0'),
  row('hstack', hstack, 'tensors'),
  row('vstack', vstack, 'tensors', { torch: ['torch.vstack', 'torch.row_stack'] }),
  row('dstack', dstack, 'tensors'),
  row('columnStack', columnStack, 'tensors'),
  row('atleast1d', atleast1d as never, '*tensors', { torch: ['torch.atleast_1d'] }),
  row('atleast2d', atleast2d as never, '*tensors', { torch: ['torch.atleast_2d'] }),
  row('atleast3d', atleast3d as never, '*tensors', { torch: ['torch.atleast_3d'] }),
  row('split', split, 'tensor, split_size, dim=0', { method: true }),
  row('splitWithSizes', splitWithSizes, 'input, split_sizes, dim=0'),
  row('chunk', chunk, 'input, chunks, dim=0'),
  row('tensorSplit', tensorSplit, 'input, indices_or_sections, dim=0'),
  row('hsplit', hsplit, 'input, indices_or_sections'),
  row('vsplit', vsplit, 'input, indices_or_sections'),
  row('dsplit', dsplit, 'input, indices_or_sections'),
  row('unbind', unbind, 'input, dim=0'),
  row('repeat', repeat as never, 'input, repeats', { torch: ['Tensor.repeat'] }),
  row('tile', tile as never, 'input, dims'),
  row('repeatInterleave', repeatInterleave, 'input, repeats=None, dim=None, *, output_size=None'),
  row('meshgrid', meshgrid as never, '*tensors, indexing=None'),
  row('cartesianProd', cartesianProd as never, '*tensors'),
  row('combinations', combinations, 'input, r=2, with_replacement=False', { method: false }),
  row('blockDiag', blockDiag as never, '*tensors'),
  row('roll', roll, 'input, shifts, dims=None'),
];
