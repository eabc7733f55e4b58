/** Padding of the last dimensions: constant, reflected, replicated, circular. */
import { ProjError, withDefaults } from '@proj/kernel';
import type { Tensor } from '@proj/tensor';
import { type AnyNode, concatNode, expandNode, padNode, sliceNode, wrap } from '@proj/tensor/graph';
import { type OpRow, row } from './support.ts';

export type PaddingMode = 'constant' | 'reflect' | 'replicate' | 'circular';
export interface PadOptions {
  readonly mode?: PaddingMode;
  /** The constant (default 0). */
  readonly value?: number | null;
}

const part = (x: AnyNode, dim: number, start: number, size: number, step: 1 | -1 = 1): AnyNode =>
  sliceNode(
    x,
    x.shape.map((_, d) => (d === dim ? start : 0)),
    x.shape.map((s, d) => (d === dim ? size : s)),
    x.shape.map((_, d) => (d === dim ? step : 1)),
  );

function edges(
  mode: Exclude<PaddingMode, 'constant'>,
  x: AnyNode,
  dim: number,
  before: number,
  after: number,
): readonly [AnyNode, AnyNode] {
  const size = x.shape[dim];
  const sized = (count: number): number[] => x.shape.map((s, d) => (d === dim ? count : s));
  switch (mode) {
    case 'reflect':
      if (before >= size || after >= size)
        throw new ProjError(
          'shape-mismatch',
          `reflection of ${Math.max(before, after)} elements needs a dimension larger than ${size}`,
          { op: 'pad', shapes: [x.shape] },
        );
      return [part(x, dim, before, before, -1), part(x, dim, size - 2, after, -1)];
    case 'replicate':
      return [expandNode(part(x, dim, 0, 1), sized(before)), expandNode(part(x, dim, size - 1, 1), sized(after))];
    case 'circular':
      if (before > size || after > size)
        throw new ProjError(
          'shape-mismatch',
          `circular padding of ${Math.max(before, after)} elements around ${size}`,
          { op: 'pad', shapes: [x.shape] },
        );
      return [part(x, dim, size - before, before), part(x, dim, 0, after)];
    default:
      throw new ProjError('invalid-argument', `mode "${String(mode satisfies never)}"`, {
        op: 'pad',
        cure: "Use 'constant', 'reflect', 'replicate' or 'circular'",
      });
  }
}

/** Pads the last dimension by pad[0] before and pad[1] after, the one before it by pad[2] and pad[3], and so on. Negative amounts crop. */
export function pad(input: Tensor, pad: readonly number[], options: PadOptions = {}): Tensor {
  const { mode, value } = withDefaults('pad', { mode: 'constant', value: 0 }, options);
  if (pad.length % 2 !== 0 || pad.length > 2 * input.ndim)
    throw new ProjError('invalid-argument', `${pad.length} amounts for ${input.ndim} dimensions`, {
      op: 'pad',
      shapes: [input.shape],
      cure: 'Give two amounts for each padded dimension, the last dimension first',
    });
  if (mode !== 'constant') {
    const spatial = pad.length / 2;
    if (value !== null && value !== 0)
      throw new ProjError('invalid-argument', `padding mode "${mode}" takes no value`, { op: 'pad' });
    if (input.ndim !== spatial + 1 && input.ndim !== spatial + 2)
      throw new ProjError(
        'shape-mismatch',
        `padding of ${spatial} dimensions in mode "${mode}" needs ${spatial + 1} or ${spatial + 2} dimensions`,
        { op: 'pad', shapes: [input.shape] },
      );
  }
  let node = input.node;
  const amounts = Array.from({ length: pad.length / 2 }, (_, i) => ({
    dim: input.ndim - 1 - i,
    before: pad[2 * i],
    after: pad[2 * i + 1],
  }));
  for (const { dim, before, after } of amounts) {
    const size = node.shape[dim] + Math.min(0, before) + Math.min(0, after);
    if (size < 0)
      throw new ProjError('shape-mismatch', 'the result would have a negative size', {
        op: 'pad',
        shapes: [input.shape],
      });
    if (before < 0 || after < 0) node = part(node, dim, Math.max(0, -before), size);
  }
  if (mode === 'constant') {
    const all = (side: 'before' | 'after'): number[] =>
      input.shape.map((_, d) => Math.max(0, amounts.find(({ dim }) => dim === d)?.[side] ?? 0));
    return wrap(padNode(node, all('before'), all('after'), value ?? 0));
  }
  for (const { dim, before, after } of amounts) {
    const [first, last] = edges(mode, node, dim, Math.max(0, before), Math.max(0, after));
    node = concatNode(
      [first, node, last].filter(({ shape }) => shape[dim] > 0),
      dim,
    );
  }
  return wrap(node);
}

export const PADDING: readonly OpRow[] = [row('pad', pad, "input, pad, mode='constant', value=None")];
