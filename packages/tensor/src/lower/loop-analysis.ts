/**
 * What a loop nest reads where, and what follows from it: which loops become one, which one goes into the lanes, what later phases keep, and what a result
 * may overwrite. The group is emitted once with a loop for every dimension; the answers come from the positions that are read.
 */
import { type DeviceFeatures, KernelBuilder, type Value } from '@proj/kernel';
import { type AnyNode, elementCount, operandsOf, type Shape } from '../graph/node.ts';
import { type Attributes, type Primitive, TRANSCENDENTAL } from '../graph/primitives.ts';
import { computeScalar, Emitter } from './emitter.ts';
import type { Read } from './environment.ts';
import {
  coefficientOf,
  dependsOn,
  flatten,
  type IndexExpression,
  type IndexSymbol,
  resetSymbols,
  sameIndex,
  symbolIndex,
} from './index-expression.ts';
import {
  type Dimension,
  dimension,
  type Iteration,
  iteration,
  type LoopGroup,
  loopSizes,
  phases,
  type StoredNode,
  storeIndex,
  storePosition,
} from './loop-group.ts';
import { NestEnvironment } from './nest-environment.ts';
import { bodyValue, type Reduction } from './reduction.ts';

export interface Analysis {
  readonly accesses: readonly IndexExpression[];
  readonly reads: readonly Read[];
  readonly it: Iteration;
  /** Values that the body computes, roughly. */
  readonly operations: number;
}

/** Emits the group once with a loop for every dimension, to learn what it reads where. Throws {@link NotFusable}. */
export function analyse(group: LoopGroup): Analysis {
  resetSymbols();
  const b = new KernelBuilder('analysis');
  const [kept, reduced] = [loopSizes(group.kept), loopSizes(group.reduced)];
  const it = iteration(kept.map(dimension), reduced.map(dimension), group, kept, reduced);
  const environment = new NestEnvironment(b, group, it);
  const variables = new Map<IndexSymbol, Value>();
  for (const { symbol } of it.kept) variables.set(symbol, b.scalar(`k${symbol.id}`, 'index'));
  const row = new Emitter(environment, null, variables);
  let statements = 0;
  const inner = new Map<IndexSymbol, Value>();
  for (const { symbol } of it.reduced) inner.set(symbol, b.scalar(`r${symbol.id}`, 'index'));
  const phaseOf = phases(group);
  const last = Math.max(0, ...group.reductions.map(phaseOf), ...group.stores.map((s) => phaseOf(s.node)));
  const results: [AnyNode, Value][] = [];
  for (let phase = 0; phase <= last; phase++) {
    b.for(0, 1, 1, [], () => {
      const full = new Emitter(environment, row, inner);
      for (const node of group.reductions)
        if (phaseOf(node) === phase + 1) results.push([node, bodyValue(full, node, it)]);
      for (const stored of group.stores) {
        if (stored.level === 'full' && phaseOf(stored.node) === phase) {
          const position = storePosition(it, group, stored);
          environment.onAccess(storeIndex(stored, position));
          full.emit(stored.node, position);
        }
      }
      statements += b.block.statements.length;
    });
    for (const [node] of results) environment.rowValues.set(node, b.constant(0, computeScalar(node.dtype)));
  }
  for (const stored of group.stores) {
    if (stored.level !== 'row') continue;
    const position = storePosition(it, group, stored);
    environment.onAccess(storeIndex(stored, position));
    row.emit(stored.node, position);
  }
  return {
    accesses: environment.accesses,
    reads: environment.reads,
    it,
    operations: statements + row.block.statements.length,
  };
}

/** What fusion asks about a group. `N`: a node, or what stands for one. */
export interface Facts<N = AnyNode> {
  /** What it reads, and whether only at the position that it is computing. */
  readonly reads: readonly { readonly node: N; readonly inPlace: boolean }[];
  readonly operations: number;
}

export function factsOf(group: LoopGroup): Facts {
  const { reads, it, operations } = analyse(group);
  const full = flatten([...it.keptPosition, ...it.reducedPosition], [...group.kept, ...group.reduced]);
  const row = flatten(it.keptPosition, group.kept);
  const inPlace = new Map<AnyNode, boolean>();
  for (const { node, position } of reads) {
    const at = flatten(position, node.shape);
    inPlace.set(node, (inPlace.get(node) ?? true) && (sameIndex(at, full) || sameIndex(at, row)));
  }
  return { reads: [...inPlace].map(([node, here]) => ({ node, inPlace: here })), operations };
}

/** Runs of dimensions that every access treats as one: coefficient of the outer = coefficient of the inner × its size. */
export function mergeDimensions(dims: readonly Dimension[], accesses: readonly IndexExpression[]): number[] {
  const sizes: number[] = [];
  let previous: Dimension | null = null;
  for (const dim of dims) {
    const { symbol, size } = dim;
    const before = previous?.symbol ?? null;
    const fits =
      before !== null &&
      accesses.every((e) => {
        const outer = coefficientOf(e, before);
        const inner = coefficientOf(e, symbol);
        return outer !== null && inner !== null && outer === inner * size;
      });
    if (fits) sizes[sizes.length - 1] *= size;
    else sizes.push(size);
    previous = dim;
  }
  return sizes;
}

interface Score {
  readonly contiguous: number;
  readonly scattered: number;
  readonly irregular: boolean;
}

/** Whether lanes along `symbol` are found by multiples, shifts and masks of it. */
const isShifted = (e: IndexExpression, symbol: IndexSymbol): boolean =>
  e.terms.every(([s]) => {
    if (s === symbol || !dependsOn(symbolIndex(s), symbol)) return true;
    const { definition } = s;
    const divides = definition.kind === 'div' || definition.kind === 'mod';
    return divides && Number.isInteger(Math.log2(definition.by)) && isShifted(definition.of, symbol);
  });

function score(accesses: readonly IndexExpression[], symbol: IndexSymbol | null, features: DeviceFeatures): Score {
  let contiguous = 0;
  let scattered = 0;
  let irregular = false;
  if (symbol !== null) {
    for (const e of accesses) {
      const c = coefficientOf(e, symbol);
      if (c === 1) contiguous++;
      else if (c === null && !(features.vectorBytes >= 32 && isShifted(e, symbol))) irregular = true;
      else if (c !== 0) scattered++;
    }
  }
  return { contiguous, scattered, irregular };
}

const lastSymbol = (dims: readonly Dimension[]): IndexSymbol | null => dims.at(-1)?.symbol ?? null;

const MAX_SPILL_ELEMENTS = 8192;

/** Operations that read their operands at the position of their result. */
const READ_IN_PLACE: ReadonlySet<Primitive> = new Set([
  'unary',
  'binary',
  'where',
  'cast',
  'bitcast',
  'contiguous',
  'detach',
  'leaf',
]);

/** Expensive full-size values that more than one phase needs. */
export function spillable(group: LoopGroup, phaseOf: (node: AnyNode) => number): AnyNode[] {
  if (group.reductions.length < 2 && !group.stores.some((s) => s.level === 'full')) return [];
  const rowSize = elementCount(group.reduced);
  if (rowSize > MAX_SPILL_ELEMENTS) return [];
  const full = [...group.kept, ...group.reduced];
  const usedIn = new Map<AnyNode, Set<number>>();
  const visit = (node: AnyNode, phase: number, seen: Set<AnyNode>): void => {
    if (seen.has(node) || group.inMemory(node) || (group.reductions as readonly AnyNode[]).includes(node)) return;
    seen.add(node);
    if (
      node.op === 'unary' &&
      TRANSCENDENTAL.has((node.attr as Attributes['unary']).fn) &&
      node.shape.length === full.length &&
      node.shape.every((s, i) => s === full[i])
    ) {
      const phasesOfNode = usedIn.get(node) ?? new Set();
      phasesOfNode.add(phase);
      usedIn.set(node, phasesOfNode);
    }
    // Behind a movement values are read elsewhere, and need not be known where the rows stand.
    if (READ_IN_PLACE.has(node.op)) for (const source of operandsOf(node)) visit(source, phase, seen);
  };
  const perPhase = new Map<number, Set<AnyNode>>();
  const seenIn = (phase: number): Set<AnyNode> => {
    let seen = perPhase.get(phase);
    if (seen === undefined) perPhase.set(phase, (seen = new Set()));
    return seen;
  };
  for (const node of group.reductions) visit(node.sources[0], phaseOf(node) - 1, seenIn(phaseOf(node) - 1));
  for (const { node, level } of group.stores) if (level === 'full') visit(node, phaseOf(node), seenIn(phaseOf(node)));
  return [...usedIn]
    .filter(([, set]) => set.size > 1)
    .map(([node]) => node)
    .slice(0, Math.max(1, Math.floor((3 * MAX_SPILL_ELEMENTS) / Math.max(1, rowSize) / 2)));
}

/** Whether the loop of this phase computes `node` anyway. */
export function isNeeded(
  group: LoopGroup,
  wanted: AnyNode,
  members: readonly Reduction[],
  stores: readonly StoredNode[],
): boolean {
  const seen = new Set<AnyNode>();
  const reaches = (node: AnyNode): boolean => {
    if (node === wanted) return true;
    if (seen.has(node) || group.inMemory(node) || (group.reductions as readonly AnyNode[]).includes(node)) return false;
    seen.add(node);
    return operandsOf(node).some(reaches);
  };
  return members.some((node) => reaches(node.sources[0])) || stores.some((s) => reaches(s.node));
}

/** Nodes that are read at the position of the results and nowhere else. */
export function readInPlace(group: LoopGroup, { reads, it }: Analysis): AnyNode[] {
  const here = flatten(it.keptPosition, group.kept);
  const elsewhere = new Set(
    reads.filter(({ node, position }) => !sameIndex(flatten(position, node.shape), here)).map((read) => read.node),
  );
  return [...new Set(reads.map((read) => read.node))].filter((node) => !elsewhere.has(node));
}

/** Which loop goes into the lanes of vectors. */
export interface LaneChoice {
  /** The innermost kept dimension; else the innermost reduced one. */
  readonly overKept: boolean;
  /** Rows are reduced side by side, one in each lane. */
  readonly across: boolean;
  /** Lane counts to split the loop by, widest first; 1 is last when there can be a rest. */
  readonly laneChoices: readonly number[];
  /** There is one lane count, and the last vector of a row begins early: it computes and stores some elements a second time. */
  readonly overlaps: boolean;
}

/** Chooses the loop that reads most without gaps. */
export function chooseLanes(
  group: LoopGroup,
  features: DeviceFeatures,
  { accesses, it, operations }: Analysis,
  mergedKept: Shape,
  mergedReduced: Shape,
): LaneChoice {
  const phaseOf = phases(group);
  const baseLanes = Math.max(1, Math.floor(features.vectorBytes / 4));
  const hasRows = group.reductions.length > 0;
  const keptScore = score(accesses, lastSymbol(it.kept), features);
  const reducedScore = score(accesses, lastSymbol(it.reduced), features);
  const few = elementCount(mergedReduced) <= 16;
  const severalPhases =
    group.stores.some((s) => s.level === 'full') || (!few && group.reductions.some((node) => phaseOf(node) > 1));
  const keptInner = mergedKept.at(-1) ?? 1;
  const reducedInner = mergedReduced.at(-1) ?? 1;
  const across =
    hasRows &&
    !severalPhases &&
    !keptScore.irregular &&
    keptInner >= 2 &&
    (keptScore.contiguous - keptScore.scattered > reducedScore.contiguous - reducedScore.scattered ||
      (reducedInner < baseLanes && keptInner >= (few ? 4 : baseLanes)) ||
      reducedScore.irregular);
  const overKept = !hasRows || across;
  const chosen = overKept ? keptScore : reducedScore;
  const size = overKept ? keptInner : reducedInner;
  if (chosen.irregular || (chosen.contiguous === 0 && chosen.scattered > 0) || size < 2)
    return { overKept, across, laneChoices: [1], overlaps: false };
  const phaseCount = overKept ? 1 : 1 + Math.max(0, ...group.reductions.map(phaseOf));
  const known = !(overKept && mergedKept.length === 1);
  const laneChoices = laneList(baseLanes, operations / phaseCount, size, features, known);
  const lanes = overKept && known && isRepeatable(group) ? overlapping(size, baseLanes, laneChoices) : null;
  return { overKept, across, laneChoices: lanes === null ? laneChoices : [lanes], overlaps: lanes !== null };
}

/** Whether elements may be stored twice. */
const isRepeatable = (group: LoopGroup): boolean =>
  group.stores.every(({ region }) => region === undefined || !region.accumulate);

/** Lanes of vectors that cover a row with fewer steps than ever narrower ones do, when the last one may begin early; null when that saves little. */
function overlapping(size: number, base: number, list: readonly number[]): number | null {
  let rest = size;
  let steps = 0;
  for (const lanes of list) {
    steps += Math.floor(rest / lanes) * Math.max(1, lanes / base);
    rest %= lanes;
  }
  for (let lanes = base; lanes >= 2; lanes /= 2)
    if (lanes <= size && Math.ceil(size / lanes) <= 0.8 * steps) return lanes;
  return null;
}

/**
 * Lane counts to split a loop by, widest first, 1 last when there can be a rest. A loop of known size ends in narrower vectors rather than
 * in single elements.
 */
function laneList(base: number, operations: number, size: number, features: DeviceFeatures, known: boolean): number[] {
  const factor = features.vectorRegisters < 16 ? 1 : operations <= 40 ? 4 : operations <= 80 ? 2 : 1;
  const list = [base * factor, base].filter((lanes, i, all) => lanes > 1 && lanes <= size && all.indexOf(lanes) === i);
  if (known) {
    let rest = list.reduce((left, lanes) => left % lanes, size);
    for (let lanes = base / 2; lanes >= 2 && operations <= 160; lanes /= 2) {
      if (lanes > rest) continue;
      list.push(lanes);
      rest %= lanes;
    }
  }
  return [...list, 1];
}
