/** Operands of a contraction: strided views of memory, and windows over it. */
import type { KernelBuilder, Memory, Value } from '@proj/kernel';
import { type AnyNode, elementCount, isComplexType, operandsOf } from '../graph/node.ts';
import type { ContractionOperand } from '../kernels/contraction-types.ts';
import { Emitter } from './emitter.ts';
import type { KernelEnvironment } from './environment.ts';
import {
  addIndex,
  coefficientOf,
  constantIndex,
  dependsOn,
  evaluateIndex,
  flatten,
  type IndexExpression,
  type IndexSymbol,
  loopSymbol,
  offsetIndex,
  rangeOf,
  reshapePosition,
  sameIndex,
  scaleIndex,
  symbolIndex,
} from './index-expression.ts';

export type Side = 'left' | 'right';

interface View {
  /** The node that is in memory. */
  readonly base: AnyNode;
  /** Where the elements of a batch begin. */
  readonly index: IndexExpression;
  readonly batch: IndexSymbol;
}

interface StridedView extends View {
  readonly kind: 'strided';
  readonly outer: number;
  readonly depth: number;
}

/** An element lies at the sum of what its batch, its outer position and its depth say, each in a way of its own. */
interface WindowView extends View {
  readonly kind: 'windows';
  readonly outer: IndexSymbol;
  readonly outerIndex: IndexExpression;
  readonly depth: IndexSymbol;
  readonly depthIndex: IndexExpression;
  /** Outer positions `[n · run, (n + 1) · run)` lie side by side. */
  readonly run: number;
}

/** The element (batch, outer, depth) of an operand, followed through movement to memory; null when it is no such view. */
function viewOf(node: AnyNode, side: Side, inMemory: (node: AnyNode) => boolean): StridedView | WindowView | null {
  const symbols = node.shape.map((size) => loopSymbol(size));
  const [batch, first, second] = symbols;
  const [outer, depth] = side === 'left' ? [first, second] : [second, first];
  let position: IndexExpression[] = symbols.map((s, i) => (node.shape[i] === 1 ? constantIndex(0) : symbolIndex(s)));
  let base = node;
  let start = 0;
  while (!inMemory(base)) {
    const [next] = operandsOf(base);
    switch (base.op) {
      case 'reshape':
        position = reshapePosition(position, base.shape, base.sources[0].shape);
        break;
      case 'part':
        position = reshapePosition(position, base.shape, next.shape);
        if (isComplexType(next.dtype) && base.attr.imaginary) start = elementCount(next.shape);
        break;
      case 'permute': {
        const source = new Array<IndexExpression>(position.length);
        base.attr.order.forEach((dim, i) => (source[dim] = position[i]));
        position = source;
        break;
      }
      case 'expand': {
        const { shape } = base.sources[0];
        position = position.map((e, i) => (shape[i] === 1 ? constantIndex(0) : e));
        break;
      }
      case 'slice': {
        const { starts, steps } = base.attr;
        position = position.map((e, i) => offsetIndex(scaleIndex(e, steps[i]), starts[i]));
        break;
      }
      case 'window': {
        const { dim, stride, dilation, padding } = base.attr;
        const inner = position.slice(0, -1);
        inner[dim] = offsetIndex(
          addIndex(scaleIndex(position[dim], stride), scaleIndex(position[position.length - 1], dilation)),
          -padding,
        );
        const { min, max } = rangeOf(inner[dim]);
        if (min < 0 || max >= next.shape[dim]) return null;
        position = inner;
        break;
      }
      case 'detach':
      case 'leaf':
      case 'contiguous':
        break;
      default:
        return null;
    }
    base = next;
  }
  const index = offsetIndex(flatten(position, base.shape), start);
  const outerStride = coefficientOf(index, outer);
  const depthStride = coefficientOf(index, depth);
  if (outerStride !== null && depthStride !== null && outerStride >= 0 && depthStride >= 0) {
    const rest = without(without(index, outer, outerStride), depth, depthStride);
    if (!dependsOn(rest, outer) && !dependsOn(rest, depth))
      return { kind: 'strided', base, index: rest, batch, outer: outerStride, depth: depthStride };
  }
  return windowView(base, index, batch, outer, depth);
}

const without = (e: IndexExpression, symbol: IndexSymbol, coefficient: number): IndexExpression =>
  addIndex(e, scaleIndex(symbolIndex(symbol), -coefficient));

function windowView(
  base: AnyNode,
  index: IndexExpression,
  batch: IndexSymbol,
  outer: IndexSymbol,
  depth: IndexSymbol,
): WindowView | null {
  const only = (symbol: IndexSymbol): IndexExpression => ({
    terms: index.terms.filter(([s]) => dependsOn(symbolIndex(s), symbol)),
    constant: 0,
  });
  const [outerIndex, depthIndex] = [only(outer), only(depth)];
  if (dependsOn(outerIndex, depth) || dependsOn(outerIndex, batch) || dependsOn(depthIndex, batch)) return null;
  const rest = addIndex(index, scaleIndex(addIndex(outerIndex, depthIndex), -1));
  const run = runOf(outerIndex, outer);
  return { kind: 'windows', base, index: rest, batch, outer, outerIndex, depth, depthIndex, run };
}

/**
 * The length of runs of positions of `symbol` that step through memory one by one, each run behind the one before it, so that what lies between
 * a run and the next is memory of the array too; 1 where there are none.
 */
function runOf(e: IndexExpression, symbol: IndexSymbol): number {
  const isPosition = (of: IndexExpression): boolean => sameIndex(of, symbolIndex(symbol));
  const lowest = e.terms.find(
    ([s, c]) => c === 1 && (s === symbol || (s.definition.kind === 'mod' && isPosition(s.definition.of))),
  );
  if (lowest === undefined) return 1;
  const run = lowest[0].max + 1;
  /** What a digit of the position counts: 1 for each so many positions. */
  const unitOf = ({ definition: d }: IndexSymbol): number => {
    if (d.kind === 'div') return isPosition(d.of) ? d.by : 1;
    return d.kind === 'mod' && d.of.terms.length === 1 && d.of.constant === 0 ? unitOf(d.of.terms[0][0]) : 1;
  };
  const digits = e.terms
    .filter((term) => term !== lowest)
    .map(([s, c]) => ({ unit: unitOf(s), step: c, most: s.max }))
    .sort((x, y) => x.unit - y.unit);
  let reach = run;
  for (const { unit, step, most } of digits) {
    if (unit % run !== 0 || step < reach) return 1;
    reach += step * most;
  }
  return run;
}

/** Runs that are worth packing where they are multiplied, columns that are a vector of any device, and depths whose places are written into the code. */
const SHORTEST_RUN = 4;
const FEWEST_COLUMNS = 16;
const MOST_DEPTHS = 1 << 15;

/** Whether a product can read `node` as its `side` where it is; as windows only where `windows` says so. */
export function isReadable(node: AnyNode, side: Side, inMemory: (node: AnyNode) => boolean, windows: boolean): boolean {
  const view = viewOf(node, side, inMemory);
  if (view === null) return false;
  if (view.kind === 'strided') return true;
  return windows && view.run >= SHORTEST_RUN && view.outer.max >= FEWEST_COLUMNS - 1 && view.depth.max < MOST_DEPTHS;
}

/** The node whose memory a strided operand reads; null for windows. */
export function stridedMemory(node: AnyNode, side: Side, inMemory: (node: AnyNode) => boolean): AnyNode | null {
  const view = viewOf(node, side, inMemory);
  return view?.kind === 'strided' ? view.base : null;
}

/** The operand for the contraction template; the memory is bound in `environment`. */
export function operandOf(
  node: AnyNode,
  side: Side,
  environment: KernelEnvironment,
  inMemory: (node: AnyNode) => boolean,
): ContractionOperand {
  const view = viewOf(node, side, inMemory);
  if (view === null) throw new Error('unreachable: the scheduler stores operands that are not such views');
  const hoisted = Math.max(0, view.index.constant);
  const memory: Memory = environment.bind(view.base, hoisted);
  const valueOf = (e: IndexExpression, symbol: IndexSymbol, value: Value): Value =>
    new Emitter(environment, null, new Map([[symbol, value]])).indexValueOfFirstLane(e);
  const start = offsetIndex(view.index, -hoisted);
  const base = (_: KernelBuilder, batch: Value): Value => valueOf(start, view.batch, batch);
  if (view.kind === 'windows') {
    const { depth, depthIndex, outer, outerIndex, run } = view;
    return {
      contiguous: 'none',
      strided: null,
      windows: {
        memory,
        base,
        run,
        columnOffset: (_, column) => valueOf(outerIndex, outer, column),
        depthOffsets: Array.from({ length: depth.max + 1 }, (_, k) => evaluateIndex(depthIndex, depth, k)),
      },
      load: () => {
        throw new Error('unreachable: windows are packed');
      },
    };
  }
  const { outer, depth } = view;
  return {
    contiguous: outer === 1 ? 'outer' : depth === 1 ? 'depth' : 'none',
    strided: { memory, base, outer, depth },
    windows: null,
    load: (b, at, axis, lanes) => {
      const first = b.add(base(b, at.batch), b.add(b.mul(at.outer, b.index(outer)), b.mul(at.depth, b.index(depth))));
      const stride = axis === 'outer' ? outer : depth;
      if (lanes === 1 || stride === 1) return b.load(memory, first, lanes);
      return b.gather(memory, b.add(first, b.mul(b.iota('index', lanes), b.index(stride))));
    },
  };
}
