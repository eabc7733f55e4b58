/** A group of fused nodes that becomes one nest of loops: what it computes and stores, and the positions that its loops go over. */
import { type AnyNode, elementCount, isComplexType, operandsOf, type Shape } from '../graph/node.ts';
import type { Position } from './emitter.ts';
import {
  constantIndex,
  flatten,
  type IndexExpression,
  type IndexSymbol,
  loopSymbol,
  offsetIndex,
  reshapePosition,
  scaleIndex,
  symbolIndex,
  unflatten,
} from './index-expression.ts';
import type { Reduction } from './reduction.ts';

export type { Reduction };

/** Part of another node's memory that a value is written to: element i goes to start + i·step in each dimension. */
export interface Region {
  readonly owner: AnyNode;
  readonly starts: readonly number[];
  readonly steps: readonly number[];
  /** Adds to what is there. */
  readonly accumulate: boolean;
}

export interface StoredNode {
  readonly node: AnyNode;
  /** `row`: one element for each kept position; `full`: one for each kept and reduced position. */
  readonly level: 'row' | 'full';
  readonly region?: Region;
  /** The complex value of whose memory this is a part: all real parts stand before all imaginary ones. */
  readonly half?: { readonly owner: AnyNode; readonly start: number };
}

/** Stores of real values: a complex one is those of its two parts. */
export const realStores = (stores: readonly StoredNode[]): StoredNode[] =>
  stores.flatMap((stored) => {
    const { node: owner } = stored;
    if (!isComplexType(owner.dtype)) return [stored];
    return operandsOf(owner).map((node, i) => ({
      ...stored,
      node,
      half: { owner, start: i * elementCount(owner.shape) },
    }));
  });

export interface LoopGroup {
  readonly name: string;
  readonly kept: Shape;
  readonly reduced: Shape;
  /** In dependency order. All have shape `kept`. */
  readonly reductions: readonly Reduction[];
  readonly stores: readonly StoredNode[];
  /** Whether a node is read from memory rather than computed. */
  inMemory(node: AnyNode): boolean;
}

/** Thrown while a fusion is tried out: the nodes do not fit one nest. */
export class NotFusable extends Error {}

export interface Dimension {
  readonly symbol: IndexSymbol;
  readonly size: number;
  readonly index: IndexExpression;
}

/** A loop over `size` positions. */
export const dimension = (size: number): Dimension => {
  const symbol = loopSymbol(size);
  return { symbol, size, index: symbolIndex(symbol) };
};

/** The sizes of a shape's dimensions that take a loop. */
export const loopSizes = (shape: Shape): number[] => shape.filter((size) => size !== 1);

/** The phase in which a value is known: reductions are known one phase after their body. */
export function phases(group: Pick<LoopGroup, 'reductions' | 'inMemory'>): (node: AnyNode) => number {
  const memo = new Map<AnyNode, number>();
  const members = new Set<AnyNode>(group.reductions);
  const phaseOf = (node: AnyNode): number => {
    let phase = memo.get(node);
    if (phase === undefined) {
      phase = 0;
      if (!group.inMemory(node)) for (const source of operandsOf(node)) phase = Math.max(phase, phaseOf(source));
      if (members.has(node)) phase++;
      memo.set(node, phase);
    }
    return phase;
  };
  return phaseOf;
}

/** The dimensions that loops go over, and the position in the group's shapes at each moment. */
export interface Iteration {
  readonly kept: readonly Dimension[];
  readonly reduced: readonly Dimension[];
  readonly keptPosition: Position;
  readonly reducedPosition: Position;
}

/** `mergedKept` and `mergedReduced`: sizes of loops over runs of the group's dimensions, none of them 1. */
export function iteration(
  kept: readonly Dimension[],
  reduced: readonly Dimension[],
  group: LoopGroup,
  mergedKept: Shape,
  mergedReduced: Shape,
): Iteration {
  const position = (dims: readonly Dimension[], merged: Shape, shape: Shape): Position => {
    // Each merged dimension stands for a run of the shape's; it is taken apart again.
    const result: IndexExpression[] = [];
    let at = 0;
    dims.forEach((dim, i) => {
      const run: number[] = [];
      let product = 1;
      while (at < shape.length && (product < merged[i] || run.length === 0 || shape[at] === 1)) {
        run.push(shape[at]);
        product *= shape[at];
        at++;
      }
      result.push(...unflatten(dim.index, run));
    });
    while (at < shape.length) {
      result.push(constantIndex(0));
      at++;
    }
    return result;
  };
  return {
    kept,
    reduced,
    keptPosition: position(kept, mergedKept, group.kept),
    reducedPosition: position(reduced, mergedReduced, group.reduced),
  };
}

/** The position in a stored node at the iteration's position. */
export const storePosition = (it: Iteration, group: LoopGroup, { node, level }: StoredNode): Position =>
  level === 'row'
    ? reshapePosition(it.keptPosition, group.kept, node.shape)
    : reshapePosition([...it.keptPosition, ...it.reducedPosition], [...group.kept, ...group.reduced], node.shape);

/** Where the element at `position` of a stored node lies in the memory that it is written to. */
export function storeIndex({ node, region, half }: StoredNode, position: Position): IndexExpression {
  if (half !== undefined) return offsetIndex(flatten(position, node.shape), half.start);
  if (region === undefined) return flatten(position, node.shape);
  return flatten(
    position.map((e, i) => offsetIndex(scaleIndex(e, region.steps[i]), region.starts[i])),
    region.owner.shape,
  );
}
/** The constant part of a store's index, which becomes an offset of the buffer so that equal code is shared. */
export const storeOffset = ({ region, half }: StoredNode): number =>
  half?.start ?? region?.starts.reduce((sum, start, i) => sum * region.owner.shape[i] + start, 0) ?? 0;
