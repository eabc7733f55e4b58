/**
 * A plan: the program that computes a graph of a given structure. It holds no nodes, only positions in the graph's order, so that it serves
 * every graph of the same structure.
 */
import {
  type Argument,
  type CompiledKernel,
  type Device,
  type DType,
  DTYPES,
  type Kernel,
  type Launch,
  type Program,
  ProjError,
  SCALARS,
  steadyYoungGeneration,
} from '@proj/kernel';
import { type AnyNode, elementCount } from '../graph/node.ts';
import type { KernelArgument, LoweredKernel } from '../lower/environment.ts';
import { lowerLoops } from '../lower/loop-nest.ts';
import { lowerContract, type Lowered, lowerOpaque } from '../lower/opaque.ts';
import { Answers, describe, rebind } from './alike.ts';
import { Fusion, loopGroup, nodesOf } from './fuse.ts';
import {
  buildGraph,
  type ContractGroup,
  type Graph,
  type Group,
  type LoopsGroup,
  memoryOwner,
  topologicalOrder,
} from './group.ts';
import { planArena } from './memory.ts';

/** Bindings of every program: the arena and the status buffer; then the leaves, then the outputs. */
const ARENA = 0;
const STATUS = 1;
const FIRST_LEAF = 2;

export interface PlannedLaunch {
  readonly launch: Launch;
  readonly name: string;
  /** Bytes that its buffers hold, as an estimate of what it moves. */
  readonly bytes: number;
  /** Floating-point operations of a product; 0 for other kernels. */
  readonly operations: number;
}

export interface Plan {
  /** Of the graphs that it serves. */
  readonly structure: readonly number[];
  readonly device: Device;
  readonly program: Program;
  readonly launches: readonly PlannedLaunch[];
  readonly arenaBytes: number;
  /** Rearranges constant operands into kept memory, which is bound after the outputs; null when there is nothing to rearrange. */
  readonly setup: {
    readonly program: Program;
    readonly bytes: readonly number[];
    readonly leaves: readonly number[];
  } | null;
  /** Positions (in the graph's order) of the realised nodes that are read, and of the constants that are arguments. */
  readonly leaves: readonly number[];
  readonly scalars: readonly number[];
  /** For each output binding: the position of the node that it holds. */
  readonly outputs: readonly { readonly position: number; readonly bytes: number }[];
  /** For each root: its memory is that of an output or leaf binding; null when it was realised before. */
  readonly rootBindings: readonly (number | null)[];
  /** What a set slot of the status buffer means. */
  readonly checks: readonly { readonly op: string; readonly bound: number }[];
  /** What {@link mayOverwrite} looks at. */
  readonly uses: MemoryUses;
}

/** When leaves are read last, and outputs written first, by launch. No nodes are kept: a plan outlives the graph that it was made from. */
interface MemoryUses {
  readonly leaves: readonly { readonly last: number; readonly bytes: number; readonly dtype: DType }[];
  readonly outputs: readonly {
    readonly first: number;
    readonly bytes: number;
    readonly dtype: DType;
    /** Leaves that the first launch reads at the place that it writes. */
    readonly inPlace: ReadonlySet<number>;
  }[];
}

/** An output may take a leaf's memory (both by index) when nothing reads the leaf after the output is written, and the writing kernel reads it in place. */
export function mayOverwrite({ uses }: Plan, leaf: number, output: number): boolean {
  const [source, target] = [uses.leaves[leaf], uses.outputs[output]];
  if (source.bytes !== target.bytes || source.dtype !== target.dtype) return false;
  return source.last < target.first || (source.last === target.first && target.inPlace.has(leaf));
}

interface Step extends Lowered {
  readonly group: Group;
}

/** Reads of nodes by the lowered kernels of a step. */
const nodesRead = (step: Step): AnyNode[] =>
  step.kernels.flatMap((k) => k.args.flatMap((a) => (a.kind === 'node' ? [a.node] : [])));

/** `constants`: realised nodes whose memory stays the same between runs of the program. */
export function makePlan(
  structure: readonly number[],
  roots: readonly AnyNode[],
  device: Device,
  constants: ReadonlySet<AnyNode> = new Set(),
): Plan {
  const graph = buildGraph(roots);
  const steps = lowerGroups(graph, device, constants);
  const position = new Map(graph.order.map((node, i) => [node, i]));
  const positionOf = (node: AnyNode): number => {
    const at = position.get(node);
    if (at === undefined)
      throw new ProjError('kernel-compilation', `a kernel reads a ${node.op} that is not part of the graph`);
    return at;
  };

  // Which memory each node has.
  const rootOwners = roots.map((root) => memoryOwner(root, graph.stored));
  const outputNodes = [...new Set(rootOwners.filter((owner) => owner.data === null))];
  const leaves = [...new Set([...steps.flatMap(nodesRead), ...rootOwners].filter((node) => node.data !== null))];
  const binding = new Map<AnyNode, number>();
  leaves.forEach((node, i) => binding.set(node, FIRST_LEAF + i));
  outputNodes.forEach((node, i) => binding.set(node, FIRST_LEAF + leaves.length + i));

  const from = new Map<AnyNode, number>();
  const to = new Map<AnyNode, number>();
  steps.forEach((step, i) => {
    for (const node of nodesRead(step)) {
      if (!from.has(node)) from.set(node, i);
      to.set(node, i);
    }
  });
  const temporaries = [...from.keys()].filter((node) => !binding.has(node));
  const lifetimes = [
    ...temporaries.map((node) => ({ bytes: bytesOf(node), from: from.get(node) ?? 0, to: to.get(node) ?? 0 })),
    ...steps.map((step, i) => ({ bytes: step.prepacked === undefined ? step.workspaceBytes : 0, from: i, to: i })),
  ];
  const arena = planArena(lifetimes);
  const offsetOf = new Map(temporaries.map((node, i) => [node, arena.offsets[i]]));

  const scalars = new Map<AnyNode, number>();
  const checks: { op: string; bound: number }[] = [];
  const launches: PlannedLaunch[] = [];
  const kernels: Kernel[] = [];
  const kept = steps.flatMap((step, i) => (step.prepacked === undefined ? [] : [i]));
  const keptBinding = (step: number): number => FIRST_LEAF + leaves.length + outputNodes.length + kept.indexOf(step);
  const pendingLaunches: { lowered: LoweredKernel; args: Argument[]; operations: number; once: boolean }[] = [];
  steps.forEach((step, i) => {
    for (const lowered of step.kernels) {
      const firstCheck = checks.length;
      for (const node of lowered.checks)
        checks.push({ op: node.op === 'scatter' ? 'scatter' : 'indexing', bound: node.sources[0].shape[0] });
      const args = lowered.args.map((argument): Argument => bind(argument, i, firstCheck, lowered));
      if (lowered.end > lowered.begin) {
        kernels.push(lowered.kernel);
        pendingLaunches.push({
          lowered,
          args,
          operations: step.kernels.indexOf(lowered) === step.kernels.length - 1 ? operationsOf(step.group) : 0,
          once: step.kernels.indexOf(lowered) < (step.prepacked?.count ?? 0),
        });
      }
    }
  });

  function bind(argument: KernelArgument, step: number, firstCheck: number, lowered: LoweredKernel): Argument {
    switch (argument.kind) {
      case 'node': {
        const offset = argument.offset * SCALARS[DTYPES[argument.node.dtype].scalar].bytes;
        const bound = binding.get(argument.node);
        return bound !== undefined
          ? { kind: 'buffer', binding: bound, offset }
          : { kind: 'buffer', binding: ARENA, offset: (offsetOf.get(argument.node) ?? 0) + offset };
      }
      case 'constant': {
        const at = scalars.get(argument.node) ?? scalars.size;
        scalars.set(argument.node, at);
        return { kind: 'scalar', scalar: at };
      }
      case 'status':
        void lowered;
        return { kind: 'buffer', binding: STATUS, offset: 8 * firstCheck };
      case 'workspace':
        return kept.includes(step)
          ? { kind: 'buffer', binding: keptBinding(step), offset: argument.offset }
          : { kind: 'buffer', binding: ARENA, offset: arena.offsets[temporaries.length + step] + argument.offset };
      default:
        return argument satisfies never;
    }
  }

  const compiled: CompiledKernel[] = device.compile(kernels);
  const setupLaunches: Launch[] = [];
  pendingLaunches.forEach(({ lowered, args, operations, once }, i) => {
    const { begin, end, grain, align } = lowered;
    const launch: Launch = { kernel: compiled[i], args, begin, end, grain, align };
    if (once) {
      setupLaunches.push(launch);
      return;
    }
    launches.push({
      launch,
      name: lowered.kernel.name,
      bytes: lowered.args.reduce((sum, a) => sum + (a.kind === 'node' ? bytesOf(a.node) : 0), 0),
      operations,
    });
  });
  const bindings = FIRST_LEAF + leaves.length + outputNodes.length + kept.length;
  const program = device.program(
    launches.map((l) => l.launch),
    bindings,
  );
  const setup =
    kept.length === 0
      ? null
      : {
          program: device.program(setupLaunches, bindings),
          bytes: kept.map((i) => steps[i].workspaceBytes),
          leaves: kept.flatMap((i) => steps[i].prepacked?.source ?? []).map((node) => leaves.indexOf(node)),
        };
  return {
    structure,
    device,
    program,
    launches,
    setup,
    arenaBytes: arena.bytes,
    leaves: leaves.map(positionOf),
    scalars: [...scalars.keys()].map(positionOf),
    outputs: outputNodes.map((node) => ({ position: positionOf(node), bytes: bytesOf(node) })),
    rootBindings: rootOwners.map((owner) => binding.get(owner) ?? null),
    checks,
    uses: memoryUses(
      leaves,
      outputNodes,
      pendingLaunches.map((p) => p.lowered),
    ),
  };
}

function memoryUses(
  leaves: readonly AnyNode[],
  outputs: readonly AnyNode[],
  kernels: readonly LoweredKernel[],
): MemoryUses {
  const first = new Map<AnyNode, number>();
  const last = new Map<AnyNode, number>();
  kernels.forEach(({ args }, i) => {
    for (const argument of args) {
      if (argument.kind !== 'node') continue;
      if (!first.has(argument.node)) first.set(argument.node, i);
      last.set(argument.node, i);
    }
  });
  const indexOf = new Map(leaves.map((leaf, i) => [leaf, i]));
  return {
    leaves: leaves.map((leaf) => ({ last: last.get(leaf) ?? -1, bytes: bytesOf(leaf), dtype: leaf.dtype })),
    outputs: outputs.map((output) => {
      const at = first.get(output) ?? 0;
      const inPlace = new Set((kernels[at]?.inPlace ?? []).flatMap((node) => indexOf.get(node) ?? []));
      return { first: at, bytes: bytesOf(output), dtype: output.dtype, inPlace };
    }),
  };
}

/** Kernels of groups that are alike, for each device. */
const lowered = new WeakMap<Device, Answers<Lowered<number>>>();
const MOST_LOWERED = 256;

const bytesOf = (node: AnyNode): number => elementCount(node.shape) * DTYPES[node.dtype].bytes;

function lowerGroups(graph: Graph, device: Device, constants: ReadonlySet<AnyNode>): Step[] {
  const fusion = new Fusion(graph);
  const { stored } = graph;
  const { features } = device;
  const context = {
    features,
    inMemory: (node: AnyNode): boolean => node.data !== null || stored.has(node),
    isConstant: (node: AnyNode): boolean => constants.has(node),
    owner: (node: AnyNode): AnyNode => memoryOwner(node, stored),
  };
  let known = lowered.get(device);
  if (known === undefined) lowered.set(device, (known = new Answers(MOST_LOWERED)));
  const answers = known;
  const groups = fusion.run();
  /** What `lower` gives for a group, or gave for one that is alike. */
  const once = (group: LoopsGroup | ContractGroup, lower: () => Lowered): Lowered => {
    if (groups.length === 1) return lower();
    const { key, nodes, placeOf } = describe(group, context.inMemory, context.isConstant);
    const full = `${features.threads} ${key}`;
    const found = answers.get(full);
    if (found !== undefined) return rebind(found, (place) => nodes[place]);
    const made = lower();
    answers.set(full, rebind(made, placeOf));
    return made;
  };
  return groups.map((group): Step => {
    steadyYoungGeneration();
    switch (group.kind) {
      case 'loops':
        if (group.stores.length === 0 || group.stores.every((s) => elementCount(s.node.shape) === 0))
          return { group, kernels: [], workspaceBytes: 0 };
        return {
          group,
          ...once(group, () => ({
            kernels: [lowerLoops(loopGroup(group, stored, nameOf(group)), features)],
            workspaceBytes: 0,
          })),
        };
      case 'contract':
        if (elementCount(group.anchor.shape) === 0) return { group, kernels: [], workspaceBytes: 0 };
        return { group, ...once(group, () => lowerContract(group.anchor, group.stores, context)) };
      case 'opaque':
        return { group, ...lowerOpaque(group.anchor, nodesOf(group), context) };
      default:
        return group satisfies never;
    }
  });
}

const operationsOf = (group: Group): number =>
  group.kind === 'contract' ? 2 * elementCount(group.anchor.shape) * group.anchor.sources[0].shape[2] : 0;

function nameOf(group: Group): string {
  const labels = new Set<string>();
  for (const node of nodesOf(group))
    labels.add(node.op === 'unary' || node.op === 'binary' || node.op === 'reduce' ? node.attr.fn : node.op);
  return [...labels].slice(0, 3).join('_');
}

export { ARENA, FIRST_LEAF, STATUS, topologicalOrder };
