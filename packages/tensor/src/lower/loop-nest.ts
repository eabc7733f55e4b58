/**
 * Lowers a group of fused nodes to one kernel: a parallel range over kept positions; inside it, phase by phase, loops over the reduced
 * positions that accumulate reductions and store full-size results. A map is a nest without reductions; softmax and layer norm are rows of
 * three phases; a sum over leading dimensions is vectorised across the kept ones.
 *
 * One file, because analysis, choice of lanes and emission read the same iteration and must agree on it.
 */
import { type DeviceFeatures, KernelBuilder, type Memory, type Value } from '@proj/kernel';
import { type AnyNode, elementCount, type Shape } from '../graph/node.ts';
import type { Attributes } from '../graph/primitives.ts';
import { castValue, storeValue } from './elementwise.ts';
import { computeScalar, Emitter, type Position, scalarOfDType } from './emitter.ts';
import { KernelEnvironment, type LoweredKernel, type Read } from './environment.ts';
import {
  coefficientOf,
  constantIndex,
  flatten,
  type IndexExpression,
  type IndexSymbol,
  loopSymbol,
  offsetIndex,
  reshapePosition,
  resetSymbols,
  sameIndex,
  scaleIndex,
  symbolIndex,
  unflatten,
} from './index-expression.ts';
import { accumulatorType, bodyValue, combine, finish, horizontal, identity, type Reduction } from './reduction.ts';

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
}

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

interface Dimension {
  readonly symbol: IndexSymbol | null;
  readonly size: number;
  readonly index: IndexExpression;
}

const dimension = (size: number): Dimension => {
  if (size === 1) return { symbol: null, size, index: constantIndex(0) };
  const symbol = loopSymbol(size);
  return { symbol, size, index: symbolIndex(symbol) };
};

/** The phase in which a value is known: reductions are known one phase after their body. */
export function phases(group: Pick<LoopGroup, 'reductions' | 'inMemory'>): (node: AnyNode) => number {
  const memo = new Map<AnyNode, number>();
  const members = new Set<AnyNode>(group.reductions);
  const phaseOf = (node: AnyNode): number => {
    let phase = memo.get(node);
    if (phase === undefined) {
      phase = 0;
      if (!group.inMemory(node)) for (const source of node.sources) phase = Math.max(phase, phaseOf(source));
      if (members.has(node)) phase++;
      memo.set(node, phase);
    }
    return phase;
  };
  return phaseOf;
}

interface Iteration {
  readonly kept: readonly Dimension[];
  readonly reduced: readonly Dimension[];
  readonly keptPosition: Position;
  readonly reducedPosition: Position;
}

function iteration(
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

class NestEnvironment extends KernelEnvironment {
  readonly rowValues = new Map<AnyNode, Value>();
  readonly spills = new Map<AnyNode, { memory: Memory; index: IndexExpression }>();
  readonly #group: LoopGroup;
  readonly #it: Iteration;

  constructor(b: KernelBuilder, group: LoopGroup, it: Iteration) {
    super(b, (node) => group.inMemory(node));
    this.#group = group;
    this.#it = it;
  }

  override reducedValue(node: AnyNode, position: Position): Value | null {
    const value = this.rowValues.get(node);
    if (value === undefined) {
      if ((node.op === 'reduce' || node.op === 'fold') && !this.#group.inMemory(node))
        throw new NotFusable('a reduction is read before it is complete');
      return null;
    }
    if (!position.every((e, i) => sameIndex(e, this.#it.keptPosition[i])))
      throw new NotFusable('a reduction is read at another row');
    return value;
  }

  override spilled(node: AnyNode, position: Position, level: Emitter): Value | null {
    const spill = this.spills.get(node);
    if (spill === undefined) return null;
    const here = [...this.#it.keptPosition, ...this.#it.reducedPosition];
    if (position.length !== here.length || !position.every((e, i) => sameIndex(e, here[i]))) return null;
    return castValue(
      this.b,
      this.b.load(spill.memory, level.indexValueOfFirstLane(spill.index), level.lanes),
      node.dtype,
      node.dtype,
    );
  }
}

const storePosition = (it: Iteration, group: LoopGroup, { node, level }: StoredNode): Position =>
  level === 'row'
    ? reshapePosition(it.keptPosition, group.kept, node.shape)
    : reshapePosition([...it.keptPosition, ...it.reducedPosition], [...group.kept, ...group.reduced], node.shape);

/** Where the element at `position` of a stored node lies in the memory that it is written to. */
function storeIndex({ node, region }: StoredNode, position: Position): IndexExpression {
  if (region === undefined) return flatten(position, node.shape);
  return flatten(
    position.map((e, i) => offsetIndex(scaleIndex(e, region.steps[i]), region.starts[i])),
    region.owner.shape,
  );
}
/** The constant part of a store's index, which becomes an offset of the buffer so that equal code is shared. */
const storeOffset = ({ region }: StoredNode): number =>
  region?.starts.reduce((sum, start, i) => sum * region.owner.shape[i] + start, 0) ?? 0;

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
  const it = iteration(group.kept.map(dimension), group.reduced.map(dimension), group, group.kept, group.reduced);
  const environment = new NestEnvironment(b, group, it);
  const variables = new Map<IndexSymbol, Value>();
  for (const dim of it.kept) if (dim.symbol !== null) variables.set(dim.symbol, b.scalar(`k${dim.symbol.id}`, 'index'));
  const row = new Emitter(environment, null, variables);
  let statements = 0;
  const inner = new Map<IndexSymbol, Value>();
  for (const dim of it.reduced) if (dim.symbol !== null) inner.set(dim.symbol, b.scalar(`r${dim.symbol.id}`, 'index'));
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

/** Runs of dimensions that every access treats as one: coefficient of the outer = coefficient of the inner × its size. */
function mergeDimensions(dims: readonly Dimension[], accesses: readonly IndexExpression[]): number[] {
  const sizes: number[] = [];
  let previous: Dimension | null = null;
  for (const dim of dims) {
    if (dim.symbol === null) continue;
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

function score(accesses: readonly IndexExpression[], symbol: IndexSymbol | null): Score {
  let contiguous = 0;
  let scattered = 0;
  let irregular = false;
  if (symbol !== null) {
    for (const e of accesses) {
      const c = coefficientOf(e, symbol);
      if (c === 1) contiguous++;
      else if (c === null) irregular = true;
      else if (c !== 0) scattered++;
    }
  }
  return { contiguous, scattered, irregular };
}

const lastSymbol = (dims: readonly Dimension[]): Dimension | null =>
  dims.findLast((dim) => dim.symbol !== null) ?? null;

/** Work (in elements times operations) below which a launch stays on one thread. */
const WORK_PER_THREAD = 60_000;
const TRANSCENDENTAL = new Set<string>([
  'exp',
  'exp2',
  'expm1',
  'log',
  'log2',
  'log10',
  'log1p',
  'sin',
  'cos',
  'tan',
  'tanh',
  'erf',
  'erfc',
  'sigmoid',
  'sinh',
  'cosh',
  'lgamma',
  'digamma',
  'erfinv',
  'asin',
  'acos',
  'atan',
]);
const MAX_SPILL_ELEMENTS = 8192;

/** Expensive full-size values that more than one phase needs. */
function spillable(group: LoopGroup, phaseOf: (node: AnyNode) => number): AnyNode[] {
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
    for (const source of node.sources) visit(source, phase, seen);
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

/** The kernel of a group. Adjacent dimensions that all accesses step through together become one loop, if reductions are still recognised then. */
export function lowerLoops(group: LoopGroup, features: DeviceFeatures): LoweredKernel {
  const analysis = analyse(group);
  const { accesses, it } = analysis;
  try {
    const kept = mergeDimensions(it.kept, accesses);
    return lowerNest(group, features, analysis, kept, mergeDimensions(it.reduced, accesses));
  } catch (error) {
    if (!(error instanceof NotFusable)) throw error;
    return lowerNest(group, features, analysis, group.kept, group.reduced);
  }
}

function lowerNest(
  group: LoopGroup,
  features: DeviceFeatures,
  analysis: Analysis,
  mergedKept: readonly number[],
  mergedReduced: readonly number[],
): LoweredKernel {
  const { accesses } = analysis;
  const phaseOf = phases(group);
  resetSymbols();
  const baseLanes = Math.max(1, Math.floor(features.vectorBytes / 4));
  const hasRows = group.reductions.length > 0;

  // Which dimension goes into the lanes.
  const keptLast = lastSymbol(analysis.it.kept);
  const reducedLast = lastSymbol(analysis.it.reduced);
  const keptScore = score(accesses, keptLast?.symbol ?? null);
  const reducedScore = score(accesses, reducedLast?.symbol ?? null);
  const severalPhases =
    group.stores.some((s) => s.level === 'full') || group.reductions.some((node) => phaseOf(node) > 1);
  const keptInner = mergedKept.at(-1) ?? 1;
  const reducedInner = mergedReduced.at(-1) ?? 1;
  const across =
    hasRows &&
    !severalPhases &&
    !keptScore.irregular &&
    keptInner >= 2 &&
    (keptScore.contiguous - keptScore.scattered > reducedScore.contiguous - reducedScore.scattered ||
      (reducedInner < baseLanes && keptInner >= baseLanes) ||
      reducedScore.irregular);
  const useKept = !hasRows || across;
  const chosen = useKept ? keptScore : reducedScore;
  const vectorSize = useKept ? keptInner : reducedInner;
  const scalarOnly = chosen.irregular || (chosen.contiguous === 0 && chosen.scattered > 0) || vectorSize < 2;
  const phaseCount = useKept ? 1 : 1 + Math.max(0, ...group.reductions.map(phaseOf));
  const laneChoices = scalarOnly
    ? [1]
    : laneList(
        baseLanes,
        analysis.operations / phaseCount,
        vectorSize,
        features,
        !(useKept && mergedKept.length === 1),
      );

  const b = new KernelBuilder(group.name);
  const kept = mergedKept.map(dimension);
  const reduced = mergedReduced.map(dimension);
  const it = iteration(kept, reduced, group, mergedKept, mergedReduced);
  const environment = new NestEnvironment(b, group, it);
  const memories = new Map(
    group.stores.map((stored) => {
      const { node, region } = stored;
      return [
        stored,
        region === undefined
          ? environment.output(node)
          : environment.output(region.owner, region.accumulate ? 'readwrite' : 'write', storeOffset(stored)),
      ];
    }),
  );

  /** All values are computed before any is stored, so that a result may overwrite what it is computed from. */
  const storeAll = (emitter: Emitter, stores: readonly StoredNode[]): void => {
    const values = stores.map((stored) =>
      b.splat(emitter.emit(stored.node, storePosition(it, group, stored)), emitter.lanes),
    );
    stores.forEach((stored, i) => {
      const memory = memories.get(stored);
      if (memory === undefined) return;
      const index = offsetIndex(storeIndex(stored, storePosition(it, group, stored)), -storeOffset(stored));
      emitter.store(memory, index, values[i], stored.node.dtype, stored.region?.accumulate ?? false);
    });
  };

  /** Loops over `dims`, nested, carrying accumulators; the innermost is split by lanes when `vectorInner`. */
  const nest = (
    parent: Emitter,
    dims: readonly Dimension[],
    lanes: number,
    vector: IndexSymbol | null,
    from: Value | number,
    to: Value | number,
    accumulators: readonly Value[],
    body: (emitter: Emitter, accumulators: readonly Value[]) => readonly Value[],
    bound = new Map<IndexSymbol, Value>(),
  ): readonly Value[] => {
    const [dim, ...rest] = dims;
    if (dim === undefined) return body(new Emitter(environment, parent, bound, vector, lanes), accumulators);
    const innermost = rest.length === 0;
    const symbol = dim.symbol as IndexSymbol;
    return b.for(
      innermost ? from : 0,
      innermost ? to : dim.size,
      innermost && vector === symbol ? lanes : 1,
      accumulators,
      (i, ...inner) => nest(parent, rest, lanes, vector, from, to, inner, body, new Map(bound).set(symbol, i)),
    );
  };

  const spills = hasRows && !across ? spillable(group, phaseOf) : [];

  /** Everything that happens for one row (or, across rows, for `lanes` of them). */
  const row = (emitter: Emitter): void => {
    environment.rowValues.clear();
    environment.spills.clear();
    const last = Math.max(
      0,
      ...group.reductions.map(phaseOf),
      ...group.stores.map((s) => (s.level === 'full' ? phaseOf(s.node) : 0)),
    );
    for (let phase = 0; phase <= last; phase++) {
      const members = group.reductions.filter((node) => phaseOf(node) === phase + 1);
      const stores = group.stores.filter((s) => s.level === 'full' && phaseOf(s.node) === phase);
      if (members.length === 0 && stores.length === 0) continue;
      // A row that is passed over several times is in the cache from the second time on: memory can fetch the next one meanwhile.
      environment.ahead = phase === 1 && last > 1 && !across && reduced.length === 1 ? reduced[0].size : 0;
      const toSpill = spills.filter(
        (node) => phaseOf(node) <= phase && !environment.spills.has(node) && isNeeded(group, node, members, stores),
      );
      const point = (inner: Emitter, accumulators: readonly Value[]): readonly Value[] => {
        const next = members.map((node, i) =>
          combine(b, node, b.splat(accumulators[i], inner.lanes), bodyValue(inner, node, it)),
        );
        storeAll(inner, stores);
        for (const node of toSpill) spillValue(inner, node);
        return next;
      };
      const totals =
        across || reduced.length === 0
          ? nest(
              emitter,
              reduced,
              emitter.lanes,
              emitter.vector,
              0,
              reduced.at(-1)?.size ?? 1,
              members
                .map((node) => b.constant(identity(node), accumulatorType(node)))
                .map((v) => b.splat(v, emitter.lanes)),
              point,
            )
          : alongRow(emitter, members, point);
      members.forEach((node, i) => environment.rowValues.set(node, finish(b, node, totals[i])));
      for (const node of toSpill) environment.spills.set(node, spillPlace(node));
    }
    storeAll(
      emitter,
      group.stores.filter((s) => s.level === 'row'),
    );
  };

  const spillMemories = new Map<AnyNode, Memory>();
  const spillIndex = (): IndexExpression => flatten(it.reducedPosition, group.reduced);
  const spillPlace = (node: AnyNode): { memory: Memory; index: IndexExpression } => {
    let memory = spillMemories.get(node);
    if (memory === undefined)
      spillMemories.set(node, (memory = b.local('kept', scalarOfDType(node.dtype), elementCount(group.reduced))));
    return { memory, index: spillIndex() };
  };
  const spillValue = (inner: Emitter, node: AnyNode): void => {
    const { memory, index } = spillPlace(node);
    const value = inner.emit(node, [...it.keptPosition, ...it.reducedPosition]);
    b.store(memory, inner.indexValueOfFirstLane(index), storeValue(b, b.splat(value, inner.lanes), node.dtype));
  };

  const alongRow = (
    emitter: Emitter,
    members: readonly Reduction[],
    point: (inner: Emitter, accumulators: readonly Value[]) => readonly Value[],
  ): readonly Value[] => {
    const inner = reduced[reduced.length - 1];
    let from = 0;
    let totals: Value[] | null = null;
    for (const lanes of laneChoices) {
      const to = from + Math.floor((inner.size - from) / lanes) * lanes;
      if (to === from) continue;
      const zero = members.map((node) => b.splat(b.constant(identity(node), accumulatorType(node)), lanes));
      const sums = nest(emitter, reduced, lanes, inner.symbol, from, to, zero, point).map((v, i) =>
        horizontal(b, members[i], v),
      );
      totals = totals === null ? sums : totals.map((t, i) => combine(b, members[i], t, sums[i]));
      from = to;
    }
    return totals ?? members.map((node) => b.constant(identity(node), accumulatorType(node)));
  };

  // The parallel range.
  const vectorDim = useKept ? (kept.at(-1) ?? null) : null;
  const flat = useKept && kept.length === 1;
  const rows = useKept ? elementCount(mergedKept.slice(0, -1)) : elementCount(mergedKept);
  const overVector = (
    outer: ReadonlyMap<IndexSymbol, Value>,
    parent: Emitter | null,
    start: Value,
    end: Value,
  ): void => {
    if (vectorDim === null || vectorDim.symbol === null) return row(new Emitter(environment, parent, outer));
    const { symbol } = vectorDim;
    let from = start;
    for (const lanes of laneChoices) {
      const last = lanes === laneChoices.at(-1) && lanes === 1;
      const to = last ? end : b.add(from, b.mul(b.div(b.sub(end, from), b.index(lanes)), b.index(lanes)));
      if (from === to) continue;
      b.for(from, to, lanes, [], (i) =>
        row(new Emitter(environment, parent, new Map(outer).set(symbol, i), symbol, lanes)),
      );
      from = to;
    }
  };
  if (flat) overVector(new Map(), null, b.begin, b.end);
  else {
    b.for(b.begin, b.end, 1, [], (r) => {
      const outerDims = useKept ? kept.slice(0, -1) : kept;
      const variables = new Map<IndexSymbol, Value>();
      let rest = r;
      for (let i = outerDims.length - 1; i >= 0; i--) {
        const { symbol, size } = outerDims[i];
        if (symbol !== null) variables.set(symbol, i === 0 ? rest : b.rem(rest, b.index(size)));
        if (i > 0) rest = b.div(rest, b.index(size));
      }
      if (useKept && vectorDim !== null) {
        const outer = new Emitter(environment, null, variables);
        overVector(new Map(), outer, b.index(0), b.index(vectorDim.size));
      } else row(new Emitter(environment, null, variables));
    });
  }
  const kernel = b.build();
  const end = flat ? kept[0].size : rows;
  const perItem =
    (flat ? 1 : useKept ? keptInner : 1) * elementCount(group.reduced) * Math.max(1, analysis.operations / 4);
  return {
    kernel,
    args: environment.argumentsOf(kernel),
    begin: 0,
    end,
    grain: Math.max(1, Math.ceil(WORK_PER_THREAD / Math.max(1, perItem))),
    align: flat ? laneChoices[0] : 1,
    checks: environment.checks,
    // Rows are stored when all that they read has been read.
    inPlace: group.stores.some((s) => s.level === 'full') ? [] : readInPlace(group, analysis),
  };
}

/** Nodes that are read at the position of the results and nowhere else. */
function readInPlace(group: LoopGroup, { reads, it }: Analysis): AnyNode[] {
  const here = flatten(it.keptPosition, group.kept);
  const elsewhere = new Set(
    reads.filter(({ node, position }) => !sameIndex(flatten(position, node.shape), here)).map((read) => read.node),
  );
  return [...new Set(reads.map((read) => read.node))].filter((node) => !elsewhere.has(node));
}

/** Whether the loop of this phase computes `node` anyway. */
function isNeeded(
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
    return node.sources.some(reaches);
  };
  return members.some((node) => reaches(node.sources[0])) || stores.some((s) => reaches(s.node));
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
