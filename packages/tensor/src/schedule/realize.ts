/** Runs plans: finds or makes the plan for the pending nodes, gives it memory, and hands the results to the nodes. */
import { type Device, type DeviceBuffer, ProjError, steadyYoungGeneration } from '@proj/kernel';
import type { AnyNode } from '../graph/node.ts';
import { allocate } from '../tidy.ts';
import { announcePlan, debugLevel, runTimed } from './debug.ts';
import { runObserved, workObserver } from './launch-times.ts';
import { makePlan, mayOverwrite, type Plan, topologicalOrder } from './plan.ts';
import { hashStructure, sameStructure, structureOf } from './structure.ts';

interface DeviceState {
  /** By the hash of their structure, or the next free number. */
  readonly plans: Map<number, Plan>;
  arena: DeviceBuffer | null;
  status: DeviceBuffer | null;
}

const states = new WeakMap<Device, DeviceState>();
/** Plans kept per device; the least recently used goes first. */
const MAX_PLANS = 512;
const STATUS_BYTES = 4096;

function stateOf(device: Device): DeviceState {
  let state = states.get(device);
  if (state === undefined) states.set(device, (state = { plans: new Map(), arena: null, status: null }));
  return state;
}

/** The plan for this graph, made when there is none yet. */
export function planFor(
  order: readonly AnyNode[],
  roots: readonly AnyNode[],
  device: Device,
  constants: ReadonlySet<AnyNode> = new Set(),
): Plan {
  const { plans } = stateOf(device);
  const structure = structureOf(order, roots, device.features.threads, constants);
  let key = hashStructure(structure);
  for (let known = plans.get(key); known !== undefined; known = plans.get(++key)) {
    if (!sameStructure(known.structure, structure)) continue;
    plans.delete(key);
    plans.set(key, known);
    return known;
  }
  // Making a plan leaves much behind, which is no reason to keep a large young generation ever after.
  steadyYoungGeneration();
  const start = performance.now();
  const plan = makePlan(structure, roots, device, constants);
  workObserver()?.planned(plan.launches.length, device, start, performance.now() - start);
  plans.set(key, plan);
  announcePlan(plan);
  if (plans.size > MAX_PLANS) {
    const [oldest] = plans;
    oldest[1].program.dispose();
    oldest[1].setup?.program.dispose();
    plans.delete(oldest[0]);
  }
  return plan;
}

/** Scratch memory that all programs of a device share: they run one after the other. */
export function scratchFor(device: Device, bytes: number): { arena: DeviceBuffer; status: DeviceBuffer } {
  const state = stateOf(device);
  if (state.arena === null || state.arena.bytes < bytes) {
    state.arena?.dispose();
    state.arena = device.allocate(Math.max(bytes, 1 << 16));
  }
  if (state.status === null) {
    state.status = device.allocate(STATUS_BYTES);
    device.write(state.status, 0, new Uint8Array(STATUS_BYTES));
  }
  return { arena: state.arena, status: state.status };
}

/** Throws when a kernel met an index out of range. */
export function checkStatus(plan: Pick<Plan, 'checks'>, device: Device, status: DeviceBuffer): void {
  if (plan.checks.length === 0) return;
  const bytes = device.read(status, 0, 8 * plan.checks.length);
  const words = new Int32Array(bytes.buffer, bytes.byteOffset, 2 * plan.checks.length);
  const bad = plan.checks.findIndex((_, i) => words[2 * i] !== 0);
  if (bad < 0) return;
  device.write(status, 0, new Uint8Array(8 * plan.checks.length));
  const { op, bound } = plan.checks[bad];
  throw new ProjError('index-out-of-range', `index ${words[2 * bad + 1]} is out of range for a dimension of ${bound}`, {
    op,
    cure: `Indices must lie in 0 … ${bound - 1}`,
  });
}

let runs = 0;
/** Between looks at the engine's heap. */
const HEAP_CHECK_RUNS = 8;

/** Runs a plan's program, timed launch by launch where `PROJ_DEBUG` or a profiler asks for it. */
export function runProgram(plan: Plan, buffers: readonly DeviceBuffer[], scalars: readonly (number | bigint)[]): void {
  if (runs++ % HEAP_CHECK_RUNS === 0) steadyYoungGeneration();
  if (debugLevel >= 2) runTimed(plan, buffers, scalars);
  else if (!runObserved(plan, buffers, scalars)) plan.program.run(buffers, scalars);
}

export function runPlan(plan: Plan, order: readonly AnyNode[], outputs: readonly DeviceBuffer[]): void {
  const { device } = plan;
  const { arena, status } = scratchFor(device, plan.arenaBytes);
  const leaves = plan.leaves.map((position) => {
    const { data } = order[position];
    if (data === null || data.disposed)
      throw new ProjError('invalid-argument', 'a tensor that is read has been disposed of', {
        op: 'evaluate',
        shapes: [order[position].shape],
      });
    return data;
  });
  runProgram(plan, [arena, status, ...leaves, ...outputs], scalarsOf(plan, order));
  checkStatus(plan, device, status);
}

/** Gives the value of a constant, asking its provider each time where it has one. */
export function scalarValueOf(node: AnyNode): () => number | bigint {
  if (node.op !== 'constant') throw new Error('unreachable: scalars are constants');
  const { value, provider } = node.attr;
  if (provider !== null) return node.dtype === 'int64' ? () => BigInt(Math.trunc(provider())) : provider;
  const fixed = asArgument(node, value);
  return () => fixed;
}

function asArgument(node: AnyNode, value: number | bigint | boolean): number | bigint {
  if (node.dtype === 'int64') return typeof value === 'bigint' ? value : BigInt(Math.trunc(Number(value)));
  return Number(value);
}

/** The values of the constants that are arguments, as they were when the graph was built. */
export function scalarsOf(plan: Plan, order: readonly AnyNode[]): (number | bigint)[] {
  return plan.scalars.map((position) => {
    const node = order[position];
    if (node.op !== 'constant') throw new Error('unreachable: scalars are constants');
    return asArgument(node, node.attr.value);
  });
}

/** For outputs that may be written over the memory of a value which nothing else will read (`spares`, by the node that replaces it): that memory. */
function spareMemory(
  plan: Plan,
  order: readonly AnyNode[],
  roots: readonly AnyNode[],
  spares: ReadonlyMap<AnyNode, AnyNode>,
): (DeviceBuffer | undefined)[] {
  const found: (DeviceBuffer | undefined)[] = [];
  if (spares.size === 0) return found;
  const leafOf = new Map(plan.leaves.map((position, leaf) => [order[position], leaf]));
  roots.forEach((root, i) => {
    const spare = spares.get(root);
    const output = (plan.rootBindings[i] ?? 0) - 2 - plan.leaves.length;
    const leaf = spare === undefined ? undefined : leafOf.get(spare);
    if (spare === undefined || spare.data === null || spare.data.disposed || output < 0) return;
    // What is not read at all may be written at any time.
    if (leaf === undefined ? spare.data.bytes === plan.outputs[output].bytes : mayOverwrite(plan, leaf, output))
      found[output] ??= spare.data;
  });
  return found;
}

/** Computes the nodes that have no memory yet; all of one device at once. `spares`: see {@link spareMemory}. */
export function realize(nodes: readonly AnyNode[], spares: ReadonlyMap<AnyNode, AnyNode> = new Map()): void {
  const byDevice = new Map<Device, AnyNode[]>();
  for (const node of new Set(nodes)) {
    if (node.data !== null) continue;
    const list = byDevice.get(node.device) ?? [];
    list.push(node);
    byDevice.set(node.device, list);
  }
  for (const [device, roots] of byDevice) {
    const order = topologicalOrder(roots);
    const plan = planFor(order, roots, device);
    const taken = spareMemory(plan, order, roots, spares);
    const outputs = plan.outputs.map(({ bytes }, i) => taken[i] ?? allocate(device, bytes));
    runPlan(plan, order, outputs);
    plan.outputs.forEach(({ position }, i) => settle(order[position], outputs[i]));
    roots.forEach((root, i) => {
      const binding = plan.rootBindings[i];
      if (binding === null || root.data !== null) return;
      const leaf = binding - 2;
      root.shared = true;
      settle(root, leaf < plan.leaves.length ? order[plan.leaves[leaf]].data : outputs[leaf - plan.leaves.length]);
    });
    for (const [root, spare] of spares) if (root.device === device && spare.data !== root.data) spare.data?.dispose();
  }
}

/** Gives a node its memory; what it was computed from is let go unless a gradient may ask for it. */
function settle(node: AnyNode, data: DeviceBuffer | null): void {
  node.data = data;
  if (!node.requiresGrad || node.released) node.sources = [];
}
