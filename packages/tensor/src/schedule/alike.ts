/**
 * Groups that are alike: the layers of a network, or one step after the other, compute the same from other memory. What was found out about a group, or made
 * of it, serves all that read the same way, with nodes told by their places in the group.
 */
import { type AnyNode, operandsOf } from '../graph/node.ts';
import type { KernelArgument } from '../lower/environment.ts';
import type { StoredNode } from '../lower/loop-group.ts';
import type { Lowered } from '../lower/opaque.ts';
import type { ContractGroup, LoopsGroup } from './group.ts';
import { pushMemory, pushNode, pushNumbers } from './structure.ts';

export interface Description {
  /** Equal for groups that are alike. */
  readonly key: string;
  /** The group's own nodes and what they read, in an order that is the same for groups that are alike. */
  readonly nodes: readonly AnyNode[];
  placeOf(node: AnyNode): number;
}

/** `inMemory`: nodes that are read rather than computed. `isConstant`: those whose memory stays the same. */
export function describe(
  group: LoopsGroup | ContractGroup,
  inMemory: (node: AnyNode) => boolean,
  isConstant: (node: AnyNode) => boolean = () => false,
): Description {
  const words: number[] = [];
  const nodes: AnyNode[] = [];
  const places = new Map<AnyNode, number>();
  const own = new Set<AnyNode>(group.stores.map((stored) => stored.node));
  const results = group.kind === 'loops' ? group.reductions : [group.anchor];
  for (const node of results) own.add(node);

  const placeOf = (node: AnyNode): number => {
    const known = places.get(node);
    if (known !== undefined) return known;
    if (!own.has(node) && inMemory(node)) pushMemory(words, node, isConstant(node));
    else {
      const operands = operandsOf(node).map(placeOf);
      pushNode(words, node);
      pushNumbers(words, operands);
    }
    places.set(node, nodes.length);
    return nodes.push(node) - 1;
  };
  pushNumbers(words, results.map(placeOf));
  for (const { node, level, region } of group.stores as readonly StoredNode[]) {
    words.push(placeOf(node), Number(level === 'full'), Number(region !== undefined));
    if (region === undefined) continue;
    words.push(placeOf(region.owner), Number(region.accumulate));
    pushNumbers(words, region.starts);
    pushNumbers(words, region.steps);
  }
  if (group.kind === 'loops') {
    pushNumbers(words, group.kept);
    pushNumbers(words, group.reduced);
  }
  return {
    key: `${group.kind}${words.join()}`,
    nodes,
    placeOf: (node) => {
      const place = places.get(node);
      if (place === undefined) throw new Error(`unreachable: a ${node.op} that is not part of its group`);
      return place;
    },
  };
}

/** Answers by key, the last that were asked for. */
export class Answers<T> {
  readonly #limit: number;
  readonly #known = new Map<string, T>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  get(key: string): T | undefined {
    const found = this.#known.get(key);
    if (found === undefined) return undefined;
    this.#known.delete(key);
    this.#known.set(key, found);
    return found;
  }

  set(key: string, answer: T): void {
    this.#known.set(key, answer);
    if (this.#known.size <= this.#limit) return;
    const [oldest] = this.#known.keys();
    this.#known.delete(oldest);
  }
}

/** The same kernels, bound to what `other` says instead of to nodes. */
export function rebind<A, B>({ kernels, workspaceBytes, prepacked }: Lowered<A>, other: (node: A) => B): Lowered<B> {
  const bound = (argument: KernelArgument<A>): KernelArgument<B> =>
    argument.kind === 'node' || argument.kind === 'constant' ? { ...argument, node: other(argument.node) } : argument;
  return {
    kernels: kernels.map((lowered) => ({
      ...lowered,
      args: lowered.args.map(bound),
      checks: lowered.checks.map(other),
      inPlace: lowered.inPlace.map(other),
    })),
    workspaceBytes,
    ...(prepacked === undefined ? {} : { prepacked: { ...prepacked, source: other(prepacked.source) } }),
  };
}
