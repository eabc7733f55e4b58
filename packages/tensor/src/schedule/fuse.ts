/**
 * Merging groups: elementwise results with what reads them in place, rows that need several reductions (softmax, layer norm), siblings that
 * read the same memory, and elementwise work on a matrix product into its store.
 */
import { steadyYoungGeneration } from '@proj/kernel';
import { type AnyNode, elementCount, operandsOf } from '../graph/node.ts';
import { constantIndex, loopSymbol, reshapePosition, sameIndex, symbolIndex } from '../lower/index-expression.ts';
import { type Facts, factsOf } from '../lower/loop-analysis.ts';
import { type LoopGroup, NotFusable, realStores, type Reduction, type StoredNode } from '../lower/loop-group.ts';
import { fitsStore } from '../lower/opaque.ts';
import { Answers, describe } from './alike.ts';
import type { ContractGroup, Graph, Group, LoopsGroup } from './group.ts';
import { memoryOwner } from './group.ts';

/** Parameters that a fused kernel may have. */
const MAX_BUFFERS = 24;
/** Operations that a fused kernel may have: an expression that was cut for its size stays cut. */
const MAX_OPERATIONS = 1500;

/** Reading memory of so many elements twice costs next to nothing. */
const FEW_ELEMENTS = 256;
/** Between looks at the engine's heap. */
const HEAP_CHECK_GROUPS = 16;

/** About groups that are alike; null: they are no nest. */
const facts = new Answers<Facts<number> | null>(4096);

export const nodesOf = (group: Group): readonly AnyNode[] =>
  group.kind === 'loops'
    ? [...new Set([...group.stores.map((s) => s.node), ...group.reductions])]
    : group.stores.map((s) => s.node);

export function loopGroup(group: LoopsGroup, stored: ReadonlySet<AnyNode>, name = 'fused'): LoopGroup {
  const own = new Set<AnyNode>(nodesOf(group));
  return {
    ...group,
    name,
    stores: realStores(group.stores),
    inMemory: (node) => node.data !== null || (stored.has(node) && !own.has(node)),
  };
}

/** The nodes in memory that a group reads. */
function readsOf(group: Group, stored: ReadonlySet<AnyNode>): Set<AnyNode> {
  const own = new Set(nodesOf(group));
  if (group.kind !== 'loops') own.add(group.anchor);
  const reads = new Set<AnyNode>();
  const seen = new Set<AnyNode>();
  const visit = (node: AnyNode): void => {
    if (seen.has(node)) return;
    seen.add(node);
    if (!own.has(node)) {
      if (node.data !== null || stored.has(node)) {
        reads.add(node);
        return;
      }
      if (group.kind === 'opaque' && group.anchor.op !== 'concat' && group.anchor.op !== 'accumulateSlices') {
        const owner = memoryOwner(node, stored);
        if (owner !== node) return visit(owner);
      }
    }
    operandsOf(node).forEach(visit);
  };
  for (const node of own) operandsOf(node).forEach(visit);
  return reads;
}

export class Fusion {
  readonly #graph: Graph;
  readonly #roots: ReadonlySet<AnyNode>;
  /** Whether the graph has complex values. */
  readonly #hasParts: boolean;
  #groups: Group[];
  #producer = new Map<AnyNode, Group>();
  #reads = new Map<Group, Set<AnyNode>>();
  #readers = new Map<AnyNode, Set<Group>>();
  /** Of the groups that were asked about. */
  #producers = new Map<Group, readonly Group[]>();
  /** A group has a higher level than all that it reads from. */
  #levels = new Map<Group, number>();
  #facts = new Map<Group, Facts | null>();

  constructor(graph: Graph) {
    this.#graph = graph;
    this.#hasParts = graph.order.some((node) => node.op === 'part' || node.op === 'complex');
    this.#groups = [...graph.groups];
    this.#roots = new Set(graph.roots.map((root) => memoryOwner(root, graph.stored)));
    for (const group of this.#groups) this.#register(group);
  }

  run(): Group[] {
    for (let i = 0; i < this.#groups.length; i++) {
      // Planning makes more garbage than all that follows, which must not set the size of the young generation.
      if (i % HEAP_CHECK_GROUPS === 0) steadyYoungGeneration();
      let group = this.#groups[i];
      for (let changed = true; changed;) {
        changed = false;
        for (const producer of this.#producersOf(group)) {
          const merged = this.#tryMerge(producer, group);
          if (merged === null) continue;
          this.#replace([producer, group], merged);
          group = merged;
          i = Math.max(-1, this.#groups.indexOf(group));
          changed = true;
          break;
        }
      }
    }
    this.#mergeSiblings();
    return this.#ordered().map((group) => this.#dropUnread(group));
  }

  #register(group: Group): void {
    for (const node of nodesOf(group)) {
      this.#producer.set(node, group);
      for (const reader of this.#readers.get(node) ?? []) this.#producers.delete(reader);
    }
    const reads = readsOf(group, this.#graph.stored);
    this.#reads.set(group, reads);
    for (const node of reads) {
      const readers = this.#readers.get(node);
      if (readers === undefined) this.#readers.set(node, new Set([group]));
      else readers.add(group);
    }
    this.#raise(group, 1 + Math.max(-1, ...this.#producersOf(group).map((producer) => this.#levelOf(producer))));
  }

  #levelOf(group: Group): number {
    return this.#levels.get(group) ?? 0;
  }

  /** Lifts a group to a level, and all that read from it above it. */
  #raise(group: Group, level: number): void {
    const stack: [Group, number][] = [[group, level]];
    for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
      const [lifted, to] = next;
      if ((this.#levels.get(lifted) ?? -1) >= to) continue;
      this.#levels.set(lifted, to);
      for (const node of nodesOf(lifted))
        for (const reader of this.#readers.get(node) ?? []) if (reader !== lifted) stack.push([reader, to + 1]);
    }
  }

  #replace(old: readonly [Group, Group], merged: Group): void {
    const [first, last] = old.map((group) => this.#groups.indexOf(group)).sort((a, b) => a - b);
    this.#groups[last] = merged;
    this.#groups.splice(first, 1);
    for (const group of old) {
      for (const node of this.#readsOf(group)) this.#readers.get(node)?.delete(group);
      this.#reads.delete(group);
      this.#producers.delete(group);
      this.#levels.delete(group);
      this.#facts.delete(group);
    }
    this.#register(merged);
  }

  #readsOf(group: Group): Set<AnyNode> {
    return this.#reads.get(group) ?? new Set();
  }

  #producersOf(group: Group): readonly Group[] {
    let found = this.#producers.get(group);
    if (found === undefined) this.#producers.set(group, (found = this.#findProducers(group)));
    return found;
  }

  #findProducers(group: Group): Group[] {
    const producers = new Set<Group>();
    for (const node of this.#readsOf(group)) {
      const producer = this.#producer.get(node);
      if (producer !== undefined && producer !== group) producers.add(producer);
    }
    // Products first: their store is the best place for elementwise work.
    return [...producers].sort((a, b) => Number(b.kind === 'contract') - Number(a.kind === 'contract'));
  }

  #factsOf(group: LoopsGroup): Facts | null {
    let known = this.#facts.get(group);
    if (known === undefined) this.#facts.set(group, (known = this.#attempt(group)));
    return known;
  }

  /** Null where the group cannot be one nest. */
  #attempt(group: LoopsGroup): Facts | null {
    if (group.stores.some((s) => elementCount(s.node.shape) === 0)) return null;
    const { stored } = this.#graph;
    const { key, nodes, placeOf } = describe(group, (node) => node.data !== null || stored.has(node));
    const known = facts.get(key);
    if (known !== undefined)
      return known && { ...known, reads: known.reads.map((read) => ({ ...read, node: nodes[read.node] })) };
    const found = tryFacts(loopGroup(group, stored));
    const placed = found?.reads.map((read) => ({ ...read, node: placeOf(read.node) }));
    facts.set(key, found && { ...found, reads: placed ?? [] });
    return found;
  }

  #tryMerge(producer: Group, consumer: Group): Group | null {
    if (consumer.kind !== 'loops' || producer.kind === 'opaque') return null;
    const merged =
      producer.kind === 'contract' ? this.#intoProduct(producer, consumer) : this.#joinLoops(producer, consumer);
    if (merged === null || this.#hasOtherPath(producer, consumer)) return null;
    if (merged.kind === 'loops') {
      const known = this.#factsOf(merged);
      if (
        known === null ||
        known.operations > MAX_OPERATIONS ||
        known.reads.length + merged.stores.length > MAX_BUFFERS
      )
        return null;
    }
    return merged;
  }

  #intoProduct(producer: ContractGroup, consumer: LoopsGroup): ContractGroup | null {
    if (consumer.reductions.length > 0 || elementCount(consumer.kept) !== elementCount(producer.anchor.shape))
      return null;
    const known = this.#factsOf(consumer);
    if (known === null || !readsInPlace(producer, known)) return null;
    if (!consumer.stores.every(({ node }) => survivesReshape(producer.anchor.shape, node.shape))) return null;
    if (known.reads.length + producer.stores.length + consumer.stores.length > 10) return null;
    const stores = [...producer.stores, ...consumer.stores];
    // Chains of reshapes, as complex values make them, may hide a position from itself.
    if (this.#hasParts && !fitsStore(producer.anchor, stores, (node) => this.#inMemory(node, producer.anchor)))
      return null;
    return { ...producer, stores };
  }

  #inMemory(node: AnyNode, product: AnyNode): boolean {
    return node.data !== null || (this.#graph.stored.has(node) && node !== product);
  }

  #joinLoops(producer: LoopsGroup, consumer: LoopsGroup): LoopsGroup | null {
    const producerRows = producer.reductions.length > 0;
    const consumerRows = consumer.reductions.length > 0;
    const known = this.#factsOf(consumer);
    if (known === null) return null;
    if (!producerRows && !readsInPlace(producer, known)) return null;
    const count = elementCount(consumer.kept);
    const stores = (list: readonly StoredNode[], level: 'row' | 'full'): StoredNode[] =>
      list.map((s) => ({ ...s, level }));
    if (!producerRows && !consumerRows) {
      const kept = producer.kept.length > consumer.kept.length ? producer.kept : consumer.kept;
      return elementCount(producer.kept) === count
        ? { ...consumer, kept, stores: [...stores(producer.stores, 'row'), ...consumer.stores] }
        : null;
    }
    if (producerRows && !consumerRows) {
      const rows = elementCount(producer.kept);
      if (count === rows) return { ...producer, stores: [...producer.stores, ...stores(consumer.stores, 'row')] };
      if (count === rows * elementCount(producer.reduced) && trailing(producer))
        return { ...producer, stores: [...producer.stores, ...stores(consumer.stores, 'full')] };
      return null;
    }
    if (!producerRows) {
      const size = elementCount(producer.kept);
      if (size === count * elementCount(consumer.reduced) && elementCount(consumer.reduced) > 1)
        return trailing(consumer)
          ? { ...consumer, stores: [...stores(producer.stores, 'full'), ...consumer.stores] }
          : null;
      return size === count ? { ...consumer, stores: [...stores(producer.stores, 'row'), ...consumer.stores] } : null;
    }
    if (
      !sameSizes(producer.kept, consumer.kept) ||
      !sameSizes(producer.reduced, consumer.reduced) ||
      !trailing(producer) ||
      !trailing(consumer)
    )
      return null;
    return {
      ...consumer,
      reductions: byId([...producer.reductions, ...consumer.reductions]),
      stores: [...producer.stores, ...consumer.stores],
    };
  }

  /** Whether `to` also depends on `from` through a third group, so that merging the two would make a cycle. */
  #hasOtherPath(from: Group, to: Group): boolean {
    const isRead = nodesOf(from).some((node) => {
      for (const reader of this.#readers.get(node) ?? []) if (reader !== to && reader !== from) return true;
      return false;
    });
    if (!isRead) return false;
    const level = this.#levelOf(from);
    const seen = new Set<Group>([to]);
    // The lowest first: they are the nearest to where the path would begin.
    const open: Group[] = [];
    const visit = (group: Group): void => {
      if (seen.has(group) || this.#levelOf(group) <= level) return;
      seen.add(group);
      insertRanked(open, group, (other) => this.#levelOf(other));
    };
    for (const group of this.#producersOf(to)) if (group !== from) visit(group);
    for (let group = open.pop(); group !== undefined; group = open.pop())
      for (const producer of this.#producersOf(group)) {
        if (producer === from) return true;
        visit(producer);
      }
    return false;
  }

  #dependsOn(group: Group, target: Group): boolean {
    return this.#hasOtherPath(target, group) || this.#producersOf(group).includes(target);
  }

  /** Reductions over the same memory and of the same form share one pass over it. */
  #mergeSiblings(): void {
    for (let i = 0; i < this.#groups.length; i++) {
      const group = this.#groups[i];
      for (const j of this.#placesOfKin(group)) {
        if (j <= i) continue;
        const pair = [group, this.#groups[j]] as const;
        const merged = this.#siblings(...pair);
        if (merged === null) continue;
        this.#replace(pair, merged);
        // Pairs without it have been tried: the search goes on with the first group that it fits, or where it was.
        const earlier = this.#placesOfKin(merged).find((at) => this.#siblings(this.#groups[at], merged) !== null);
        i = Math.min(i, earlier ?? i) - 1;
        break;
      }
    }
  }

  /** Where the groups stand, in order, that reduce what a group that reduces reads too. */
  #placesOfKin(group: Group): number[] {
    const kin = new Set<Group>();
    if (!hasRows(group)) return [];
    for (const node of this.#readsOf(group))
      if (elementCount(node.shape) > FEW_ELEMENTS)
        for (const reader of this.#readers.get(node) ?? []) if (reader !== group && hasRows(reader)) kin.add(reader);
    return [...kin].map((other) => this.#groups.indexOf(other)).sort((a, b) => a - b);
  }

  /** Both in one, or null where they have too little in common or cannot be one. */
  #siblings(a: Group, b: Group): LoopsGroup | null {
    if (
      !hasRows(a) ||
      !hasRows(b) ||
      !sameSizes(a.kept, b.kept) ||
      !sameSizes(a.reduced, b.reduced) ||
      trailing(a) !== trailing(b)
    )
      return null;
    const [readByA, readByB] = [this.#readsOf(a), this.#readsOf(b)];
    const common = [...readByA].filter((node) => readByB.has(node));
    if (!common.some((node) => elementCount(node.shape) > FEW_ELEMENTS)) return null;
    const reads = readByA.size + readByB.size - common.length;
    if (reads + a.stores.length + b.stores.length > MAX_BUFFERS) return null;
    if (this.#dependsOn(a, b) || this.#dependsOn(b, a)) return null;
    const merged: LoopsGroup = {
      ...a,
      reductions: byId([...a.reductions, ...b.reductions]),
      stores: [...a.stores, ...b.stores],
    };
    const known = this.#factsOf(merged);
    return known === null || known.operations > 400 ? null : merged;
  }

  /** Results that nobody outside the group reads need no memory. */
  #dropUnread(group: Group): Group {
    if (group.kind === 'opaque') return group;
    const readElsewhere = (node: AnyNode): boolean => {
      if (this.#roots.has(node)) return true;
      for (const reader of this.#readers.get(node) ?? []) if (reader !== group) return true;
      return false;
    };
    const stores = group.stores.filter((s) => s.region !== undefined || readElsewhere(s.node));
    if (stores.length === group.stores.length) return group;
    for (const { node } of group.stores) if (!stores.some((s) => s.node === node)) this.#graph.stored.delete(node);
    return { ...group, stores };
  }

  /** Producers first; among those that are ready, in the order of the program. */
  #ordered(): Group[] {
    const ages = new Map(
      this.#groups.map((group) => [
        group,
        Math.max(...nodesOf(group).map((node) => node.id), group.kind === 'loops' ? 0 : group.anchor.id),
      ]),
    );
    const age = (group: Group): number => ages.get(group) ?? 0;
    const readers = new Map<Group, Group[]>(this.#groups.map((group) => [group, []]));
    const missing = new Map<Group, number>();
    const ready: Group[] = [];
    for (const group of this.#groups) {
      const producers = this.#producersOf(group);
      for (const producer of producers) readers.get(producer)?.push(group);
      missing.set(group, producers.length);
      if (producers.length === 0) ready.push(group);
    }
    ready.sort((a, b) => age(b) - age(a));
    const result: Group[] = [];
    for (let next = ready.pop(); next !== undefined; next = ready.pop()) {
      result.push(next);
      for (const reader of readers.get(next) ?? []) {
        const left = (missing.get(reader) ?? 0) - 1;
        missing.set(reader, left);
        if (left > 0) continue;
        insertRanked(ready, reader, age);
      }
    }
    if (result.length < this.#groups.length) throw new Error('unreachable: fused groups form a cycle');
    return result;
  }

  /** Nodes that each group reads, after fusion. */
  reads(group: Group): ReadonlySet<AnyNode> {
    return readsOf(group, this.#graph.stored);
  }
}

function tryFacts(group: LoopGroup): Facts | null {
  try {
    return factsOf(group);
  } catch (error) {
    if (error instanceof NotFusable) return null;
    throw error;
  }
}

/** Every read of the producer's results is at the position that the consumer is computing. */
function readsInPlace(producer: Group, { reads }: Facts): boolean {
  const made = new Set(nodesOf(producer));
  return reads.every(({ node, inPlace }) => inPlace || !made.has(node));
}

/** Whether a position of `from`, seen as one of `to`, is recognised as itself when it is seen as one of `from` again. */
function survivesReshape(from: readonly number[], to: readonly number[]): boolean {
  const position = from.map((size) => (size === 1 ? constantIndex(0) : symbolIndex(loopSymbol(size))));
  const back = reshapePosition(reshapePosition(position, from, to), to, from);
  return back.every((e, i) => sameIndex(e, position[i]));
}

/** Puts an item into a list whose last has the lowest rank. */
function insertRanked<T>(list: T[], item: T, rankOf: (item: T) => number): void {
  const rank = rankOf(item);
  let [low, high] = [0, list.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (rankOf(list[middle]) > rank) low = middle + 1;
    else high = middle;
  }
  list.splice(low, 0, item);
}

const hasRows = (group: Group): group is LoopsGroup => group.kind === 'loops' && group.reductions.length > 0;
const sameSizes = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((size, i) => size === b[i]);
const byId = (reductions: readonly Reduction[]): Reduction[] => [...new Set(reductions)].sort((a, b) => a.id - b.id);

/** Whether the group reduces the last dimensions, so that a row is contiguous. */
function trailing(group: LoopsGroup): boolean {
  return group.reductions.every((node) => {
    if (node.op !== 'reduce') return false;
    const rank = node.sources[0].shape.length;
    const { axes } = node.attr;
    return axes.every((axis, i) => axis === rank - axes.length + i);
  });
}
