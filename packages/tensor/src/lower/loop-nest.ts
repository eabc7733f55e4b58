/**
 * Lowers a group of fused nodes to one kernel: a parallel range over kept positions; inside it, phase by phase, loops over the reduced
 * positions that accumulate reductions and store full-size results. A map is a nest without reductions; softmax and layer norm are rows of
 * three phases; a sum over leading dimensions is vectorised across the kept ones.
 */
import { type DeviceFeatures, KernelBuilder, type Memory, type Value } from '@proj/kernel';
import { type AnyNode, elementCount } from '../graph/node.ts';
import { storeValue } from './elementwise.ts';
import { Emitter, scalarOfDType } from './emitter.ts';
import type { LoweredKernel } from './environment.ts';
import { flatten, type IndexExpression, type IndexSymbol, offsetIndex, resetSymbols } from './index-expression.ts';
import {
  type Analysis,
  analyse,
  chooseLanes,
  isNeeded,
  mergeDimensions,
  readInPlace,
  spillable,
} from './loop-analysis.ts';
import {
  type Dimension,
  dimension,
  iteration,
  type LoopGroup,
  loopSizes,
  NotFusable,
  phases,
  type StoredNode,
  storeIndex,
  storeOffset,
  storePosition,
} from './loop-group.ts';
import { NestEnvironment } from './nest-environment.ts';
import { accumulatorType, bodyValue, combine, finish, horizontal, identity, type Reduction } from './reduction.ts';

/** Work (in elements times operations) below which a launch stays on one thread. */
const WORK_PER_THREAD = 60_000;
/** Operations of a row up to which its loops are written out. */
const MOST_UNROLLED = 200;
/** The kernel of a group. Adjacent dimensions that all accesses step through together become one loop, if reductions are still recognised then. */
export function lowerLoops(group: LoopGroup, features: DeviceFeatures): LoweredKernel {
  const analysis = analyse(group);
  const { accesses, it } = analysis;
  try {
    const kept = mergeDimensions(it.kept, accesses);
    return lowerNest(group, features, analysis, kept, mergeDimensions(it.reduced, accesses));
  } catch (error) {
    if (!(error instanceof NotFusable)) throw error;
    return lowerNest(group, features, analysis, loopSizes(group.kept), loopSizes(group.reduced));
  }
}

/**
 * The rows of the parallel range. Their last dimension is a loop of its own, so that where the others stand is divided out once for each pass of it.
 */
function forRows(
  b: KernelBuilder,
  dims: readonly Dimension[],
  environment: NestEnvironment,
  body: (row: Emitter) => void,
): void {
  const placed = (row: Value, among: readonly Dimension[]): Map<IndexSymbol, Value> => {
    const variables = new Map<IndexSymbol, Value>();
    let rest = row;
    for (let i = among.length - 1; i >= 0; i--) {
      const { symbol, size } = among[i];
      variables.set(symbol, i === 0 ? rest : b.rem(rest, size));
      if (i > 0) rest = b.div(rest, size);
    }
    return variables;
  };
  const last = dims.at(-1);
  if (dims.length < 2 || last === undefined) {
    b.for(b.begin, b.end, 1, [], (row) => body(new Emitter(environment, null, placed(row, dims))));
    return;
  }
  const { symbol, size } = last;
  b.for(b.div(b.begin, size), b.div(b.add(b.end, size - 1), size), 1, [], (pass) => {
    const start = b.mul(pass, size);
    const outer = new Emitter(environment, null, placed(pass, dims.slice(0, -1)));
    b.for(b.max(b.sub(b.begin, start), 0), b.min(b.sub(b.end, start), size), 1, [], (row) =>
      body(new Emitter(environment, outer, new Map([[symbol, row]]))),
    );
  });
}

function lowerNest(
  group: LoopGroup,
  features: DeviceFeatures,
  analysis: Analysis,
  mergedKept: readonly number[],
  mergedReduced: readonly number[],
): LoweredKernel {
  const phaseOf = phases(group);
  resetSymbols();
  const { across, overKept, laneChoices, overlaps } = chooseLanes(group, features, analysis, mergedKept, mergedReduced);
  const hasRows = group.reductions.length > 0;

  const b = new KernelBuilder(group.name);
  const kept = mergedKept.map(dimension);
  const reduced = mergedReduced.map(dimension);
  const it = iteration(kept, reduced, group, mergedKept, mergedReduced);
  const environment = new NestEnvironment(b, group, it);
  const memories = new Map(
    group.stores.map((stored) => {
      const { node, region, half } = stored;
      return [
        stored,
        half !== undefined
          ? environment.output(half.owner, 'write', half.start)
          : region === undefined
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
    const { symbol } = dim;
    if (unrolled) {
      let current = accumulators;
      for (let i = 0; i < dim.size; i++)
        current = nest(parent, rest, lanes, vector, from, to, current, body, new Map(bound).set(symbol, b.index(i)));
      return current;
    }
    return b.for(
      innermost ? from : 0,
      innermost ? to : dim.size,
      innermost && vector === symbol ? lanes : 1,
      accumulators,
      (i, ...inner) => nest(parent, rest, lanes, vector, from, to, inner, body, new Map(bound).set(symbol, i)),
    );
  };

  const unrolled = across && elementCount(mergedReduced) * analysis.operations <= MOST_UNROLLED;
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
  const vectorDim = overKept ? (kept.at(-1) ?? null) : null;
  const flat = overKept && kept.length === 1;
  const rows = overKept ? elementCount(mergedKept.slice(0, -1)) : elementCount(mergedKept);
  const overVector = (
    outer: ReadonlyMap<IndexSymbol, Value>,
    parent: Emitter | null,
    start: Value,
    end: Value,
  ): void => {
    if (vectorDim === null) return row(new Emitter(environment, parent, outer));
    const { symbol, size } = vectorDim;
    const vector = (i: Value, lanes: number): void =>
      row(new Emitter(environment, parent, new Map(outer).set(symbol, i), symbol, lanes));
    if (overlaps) {
      const [lanes] = laneChoices;
      b.for(0, size, lanes, [], (i) => vector(b.min(i, size - lanes), lanes));
      return;
    }
    let from = start;
    for (const lanes of laneChoices) {
      const last = lanes === laneChoices.at(-1) && lanes === 1;
      const to = last ? end : b.add(from, b.mul(b.div(b.sub(end, from), b.index(lanes)), b.index(lanes)));
      if (from === to) continue;
      b.for(from, to, lanes, [], (i) => vector(i, lanes));
      from = to;
    }
  };
  if (flat) overVector(new Map(), null, b.begin, b.end);
  else {
    const rowAt = (emitter: Emitter): void => {
      if (overKept && vectorDim !== null) overVector(new Map(), emitter, b.index(0), b.index(vectorDim.size));
      else row(emitter);
    };
    forRows(b, overKept ? kept.slice(0, -1) : kept, environment, rowAt);
  }
  const kernel = b.build();
  const end = flat ? kept[0].size : rows;
  const perItem =
    (flat ? 1 : overKept ? (mergedKept.at(-1) ?? 1) : 1) *
    elementCount(group.reduced) *
    Math.max(1, analysis.operations / 4);
  return {
    kernel,
    args: environment.argumentsOf(kernel),
    begin: 0,
    end,
    grain: Math.max(1, Math.ceil(WORK_PER_THREAD / Math.max(1, perItem))),
    align: flat ? laneChoices[0] : 1,
    checks: environment.checks,
    // Rows are stored when all that they read has been read.
    inPlace: overlaps || group.stores.some((s) => s.level === 'full') ? [] : readInPlace(group, analysis),
  };
}
