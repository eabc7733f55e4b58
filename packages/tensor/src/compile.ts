/**
 * `compile`: a function of tensors is captured once for each combination of shapes, dtypes and devices, and from then on replayed as one
 * program: no graph is built, tensors that the function changes in place (parameters, optimiser state) are updated in their own memory.
 */
import {
  type Device,
  type DeviceBuffer,
  type DType,
  ProjError,
  requireSynchronous,
  runSynchronously,
  withDefaults,
} from '@proj/kernel';
import { evaluate, hasPending, setCapture, takePending } from './evaluate.ts';
import { bufferNode } from './graph/build.ts';
import { type AnyNode, sameShape, type Shape } from './graph/node.ts';
import { mayOverwrite, type Plan, topologicalOrder } from './schedule/plan.ts';
import { checkStatus, planFor, runProgram, scalarsOf, realize, scalarValueOf, scratchFor } from './schedule/realize.ts';
import { type Storage, Tensor } from './tensor.ts';
import { allocate, nextStorageId, runTidy } from './tidy.ts';

/** What a compiled function may take and give: tensors, in arrays and objects as you like; other arguments count as part of the shape. */
export type Compilable = unknown;

const replayHooks = new Set<() => void>();
let capturing = false;

/**
 * Calls `hook` before each replay of the function that is being captured (optimisers count their steps so). Outside a capture it does nothing.
 */
export function onReplay(hook: () => void): void {
  if (capturing) replayHooks.add(hook);
}

type LeafSource =
  | { readonly kind: 'argument'; readonly index: number }
  | { readonly kind: 'storage'; readonly storage: Storage }
  | { readonly kind: 'fixed'; readonly data: DeviceBuffer };

interface Capture {
  readonly plan: Plan;
  readonly device: Device;
  readonly leaves: readonly LeafSource[];
  readonly scalars: readonly (() => number | bigint)[];
  /** The order in which providers are asked: that of the program. */
  readonly scalarOrder: readonly number[];
  /** For each output binding: the storage that it becomes the value of, if any. */
  readonly writes: readonly Write[];
  /** Arguments that are parts of tensors which the function changes. */
  readonly viewsOfState: readonly { readonly index: number; readonly storage: Storage }[];
  readonly outputBytes: readonly number[];
  /** Memory of results that the next call writes to again, by output; null when each call gets fresh memory. */
  readonly kept: Map<number, DeviceBuffer> | null;
  /** The result with a `ResultSlot` for each tensor. */
  readonly skeleton: unknown;
  readonly results: readonly {
    readonly template: Template;
    readonly binding: number | null;
    readonly fixed: DeviceBuffer | null;
  }[];
  /** Bindings that are more than one result or state, or memory from before: nobody may write over them. */
  readonly sharedBindings: ReadonlySet<number>;
  readonly hooks: readonly (() => void)[];
  /** Constant operands as the program reads them: their kept memory, and of which buffers and versions it was made. */
  readonly constants: { memory: DeviceBuffer[]; sources: readonly DeviceBuffer[]; versions: readonly number[] };
  /** Values of the scalars in the traced call, which the first replay uses. */
  readonly firstScalars: readonly (number | bigint)[];
}

/** Shape and dtype of an output; not the node, which would keep the traced graph alive. */
interface Template {
  readonly dtype: DType;
  readonly shape: Shape;
}
interface Write {
  /** What is written; null for the memory of argument `argument`. */
  readonly storage: Storage | null;
  readonly argument: number;
  readonly template: Template;
  readonly binding: number;
  /** The leaf (by index) that the new value may be written over. */
  readonly overLeaf: number | null;
}
class ResultSlot {
  readonly index: number;
  constructor(index: number) {
    this.index = index;
  }
}
const templateOf = ({ dtype, shape }: AnyNode): Template => ({ dtype, shape });

export interface CompileOptions {
  /** Told about each capture: the first one, and those for new shapes. */
  readonly onCapture?: (reason: string) => void;
  /** Each call writes its results over those of the call before, which must not be used any more. Saves fresh memory for large results. */
  readonly reuseOutputs?: boolean;
}

/**
 * A function that behaves like `fn` and runs as one compiled program. `fn` takes and gives tensors (in arrays and objects too), may change
 * tensors in place, and must not read values (`item`, `toArray`): return them instead. The first call runs `fn` as it is, so that lazily
 * made state exists; the second is captured. Errors (`capture`): a value is read inside; `fn` must not be async.
 */
export function compile<Args extends readonly unknown[], Result>(
  fn: (...args: Args) => Result,
  options: CompileOptions = {},
): (...args: Args) => Result {
  const { onCapture, reuseOutputs } = withDefaults(
    'compile',
    { onCapture: () => undefined, reuseOutputs: false },
    options,
  );
  requireSynchronous('compile', fn, 'Await before, and pass what came of it as an argument');
  const captures = new Map<string, Capture>();
  let warm = false;
  let last: { readonly inputs: readonly InputShape[]; readonly capture: Capture } | null = null;
  return (...args: Args): Result => {
    if (capturing) return fn(...args);
    if (last !== null && matches(last.inputs, args)) {
      if (hasPending() || args.some((tensor) => (tensor as Tensor).node.data === null))
        evaluate(args as readonly unknown[] as readonly Tensor[]);
      return replay(last.capture, args as readonly unknown[] as readonly Tensor[], false) as Result;
    }
    const tensors: Tensor[] = [];
    const signature = describe(args, tensors);
    if (!warm) {
      warm = true;
      const result = fn(...args);
      const results: Tensor[] = [];
      describe(result, results);
      evaluate(results);
      return result;
    }
    evaluate(tensors);
    let capture = captures.get(signature);
    if (capture === undefined) {
      onCapture(captures.size === 0 ? 'first capture' : `new shapes: ${signature}`);
      capture = record(fn, args, tensors, reuseOutputs);
      captures.set(signature, capture);
      return replay(capture, tensors, true) as Result;
    }
    if (tensors.length === args.length && args.every((arg) => arg instanceof Tensor))
      last = { inputs: tensors.map(inputShape), capture };
    return replay(capture, tensors, false) as Result;
  };
}

/** What a capture depends on in an argument that is a tensor. */
interface InputShape {
  readonly dtype: DType;
  readonly shape: Shape;
  readonly device: Device;
  readonly threads: number;
}
const inputShape = ({ dtype, shape, device }: Tensor): InputShape => ({
  dtype,
  shape,
  device,
  threads: device.features.threads,
});

/** Whether the arguments are the tensors that the last call was made for: the quick way around `describe`. */
function matches(inputs: readonly InputShape[], args: readonly unknown[]): boolean {
  if (args.length !== inputs.length) return false;
  return inputs.every(({ dtype, shape, device, threads }, i) => {
    const arg = args[i];
    if (!(arg instanceof Tensor)) return false;
    const { node } = arg;
    return (
      node.dtype === dtype &&
      node.device === device &&
      device.features.threads === threads &&
      sameShape(node.shape, shape)
    );
  });
}

/** Text that is equal for arguments which one capture serves; collects the tensors among them. */
function describe(value: unknown, tensors: Tensor[]): string {
  if (value instanceof Tensor) {
    tensors.push(value);
    return `${value.dtype}[${value.shape}]@${value.device.name}${value.device.features.threads}`;
  }
  if (Array.isArray(value)) return `[${value.map((item) => describe(item, tensors)).join(',')}]`;
  if (typeof value === 'object' && value !== null)
    return `{${Object.entries(value)
      .map(([key, item]) => `${key}:${describe(item, tensors)}`)
      .join(',')}}`;
  return typeof value === 'function' ? 'function' : `${typeof value}:${String(value)}`;
}

/**
 * Runs `fn` and gives all memory made inside back at once, except that of the tensors it returns, of older tensors that it changed in place,
 * and of those given to `keep`. Nothing needs it: the garbage collector does the same, later.
 */
export function tidy<T>(fn: () => T): T {
  const collect = (value: unknown): Tensor[] => {
    const tensors: Tensor[] = [];
    describe(value, tensors);
    return tensors;
  };
  const run = (): T => runSynchronously('tidy', fn, 'Await before, and tidy what is computed with the value');
  return runTidy(run, collect, evaluate);
}

/** The same structure with what `replace` gives in place of tensors and slots. */
function rebuildWith(value: unknown, replace: (value: Tensor | ResultSlot) => unknown): unknown {
  if (value instanceof Tensor || value instanceof ResultSlot) return replace(value);
  if (Array.isArray(value)) return value.map((item) => rebuildWith(item, replace));
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, rebuildWith(item, replace)]));
  return value;
}

/** Whether a value hangs on a number that is asked for at each run. */
const isProvided = (node: AnyNode): boolean =>
  topologicalOrder([node]).some((one) => one.op === 'constant' && one.data === null && one.attr.provider !== null);

function record<Args extends readonly unknown[]>(
  fn: (...args: Args) => unknown,
  args: Args,
  inputs: readonly Tensor[],
  reuseOutputs: boolean,
): Capture {
  evaluate([]);
  const read = new Set<Storage>();
  const before = new Map<Storage, AnyNode>();
  // Arguments become leaves of their own, so that one tensor given twice, or a parameter given as argument, stays apart.
  const argumentNodes = inputs.map((tensor) => tensor.node);
  replayHooks.clear();
  capturing = true;
  let result: unknown;
  let written: ReadonlySet<Storage> = new Set();
  const firstInside = nextStorageId();
  setCapture(read, (storage) => {
    // What was made inside is nothing that stays, though it may begin as a copy of what does.
    if (before.has(storage) || storage.id >= firstInside) return;
    // What exists already is memory, so that it can be changed in place, here and between calls.
    if (storage.node.data === null && !isProvided(storage.node)) realize([storage.node]);
    before.set(storage, storage.node);
  });
  try {
    result = fn(...args);
  } catch (error) {
    for (const [storage, node] of before) if (storage.node !== node) storage.restore(node);
    throw error;
  } finally {
    capturing = false;
    setCapture(null);
    written = takePending();
  }
  const resultTensors: Tensor[] = [];
  describe(result, resultTensors);
  // Storages that existed before and were changed; what was made inside matters only where it is returned.
  const state = [...written].filter((storage) => {
    const old = before.get(storage);
    return old !== undefined && old.data !== null && storage.node !== old;
  });
  const roots = [...resultTensors.map((tensor) => tensor.node), ...state.map((storage) => storage.node)];
  const device = roots[0]?.device;
  if (device === undefined)
    throw new ProjError('capture', 'the function neither returns nor changes a tensor', { op: 'compile' });
  const order = topologicalOrder(roots);
  const owner = new Map<DeviceBuffer, Storage>();
  for (const storage of read) {
    const data = before.get(storage)?.data ?? null;
    if (data !== null) owner.set(data, storage);
  }
  const argumentOf = new Map<DeviceBuffer, number>();
  argumentNodes.forEach((node, i) => {
    if (node.data !== null) argumentOf.set(node.data, i);
  });
  const changed = new Set(state);
  /** The argument that is the whole of a storage, -1 where there is none. */
  const wholeArgument = (storage: Storage): number =>
    inputs.findIndex((input) => input.storage === storage && input.viewSteps.length === 0);
  const isConstant = ({ data }: AnyNode): boolean => {
    if (data === null || argumentOf.has(data)) return false;
    const storage = owner.get(data);
    return storage === undefined || !changed.has(storage);
  };
  const plan = planFor(order, roots, device, new Set(order.filter(isConstant)));
  const leaves = plan.leaves.map((position): LeafSource => {
    const { data } = order[position];
    if (data === null) throw new Error('unreachable: leaves are realised');
    const storage = owner.get(data);
    const index = argumentOf.get(data);
    if (index !== undefined && (storage === undefined || !changed.has(storage) || wholeArgument(storage) === index))
      return { kind: 'argument', index };
    if (storage !== undefined) return { kind: 'storage', storage };
    order[position].shared = true;
    return { kind: 'fixed', data };
  });
  const leafCount = leaves.length;
  const bindingOfRoot = (i: number): number | null => plan.rootBindings[i];
  const writes: Write[] = [];
  const outputUsers = plan.outputs.map(() => 0);
  roots.forEach((_, i) => {
    const binding = bindingOfRoot(i);
    if (binding !== null && binding - 2 >= leafCount) outputUsers[binding - 2 - leafCount]++;
  });
  state.forEach((storage, k) => {
    const binding = bindingOfRoot(resultTensors.length + k);
    if (binding === null) return;
    const output = binding - 2 - leafCount;
    const argument = wholeArgument(storage);
    const leaf = leaves.findIndex(
      (source) =>
        (source.kind === 'storage' && source.storage === storage) ||
        (source.kind === 'argument' && source.index === argument),
    );
    const overLeaf =
      output >= 0 && leaf >= 0 && outputUsers[output] === 1 && mayOverwrite(plan, leaf, output) ? leaf : null;
    writes.push({
      storage: argument < 0 ? storage : null,
      argument,
      template: templateOf(storage.node),
      binding,
      overLeaf,
    });
  });
  const scalarNodes = plan.scalars.map((position) => order[position]);
  // Gradients left behind by the traced call hold the traced graph; they are not part of a compiled function's results.
  for (const storage of read) {
    const grad = storage.leaf?.grad;
    if (storage.leaf !== null && grad !== null && grad !== undefined && grad.storage.node.data === null)
      storage.leaf.grad = null;
  }
  const resultBindings = resultTensors.map((tensor, i) => {
    const binding = bindingOfRoot(i);
    if (binding === null) tensor.node.shared = true;
    return binding;
  });
  // Put the storages back: the replay gives them their new values.
  for (const storage of state) {
    const old = before.get(storage);
    if (old !== undefined) storage.restore(old);
  }
  return {
    plan,
    device,
    leaves,
    writes,
    viewsOfState: inputs.flatMap((input, index) =>
      input.viewSteps.length > 0 && changed.has(input.storage) ? [{ index, storage: input.storage }] : [],
    ),
    scalars: scalarNodes.map((node) => scalarValueOf(node)),
    scalarOrder: scalarNodes.map((_, i) => i).sort((a, b) => scalarNodes[a].id - scalarNodes[b].id),
    outputBytes: plan.outputs.map((output) => Math.max(1, output.bytes)),
    firstScalars: scalarsOf(plan, order),
    kept: reuseOutputs ? new Map() : null,
    skeleton: rebuildWith(result, (tensor) => new ResultSlot(resultTensors.indexOf(tensor as Tensor))),
    results: resultTensors.map((tensor, i) => ({
      template: templateOf(tensor.node),
      binding: bindingOfRoot(i),
      fixed: bindingOfRoot(i) === null ? tensor.node.data : null,
    })),
    sharedBindings: sharedBindings(resultBindings, writes, leafCount),
    hooks: [...replayHooks],
    constants: { memory: [], sources: [], versions: [] },
  };
}

function replay(capture: Capture, inputs: readonly Tensor[], first: boolean): unknown {
  const { plan, device, leaves, writes } = capture;
  for (const { index, storage } of capture.viewsOfState) {
    if (inputs[index].storage !== storage)
      throw new ProjError(
        'capture',
        `argument ${index} is a view that is changed in place, and a view of another tensor than before`,
        { op: 'compile', cure: 'Pass the whole tensor and make the view inside' },
      );
  }
  if (!first) for (const hook of capture.hooks) hook();
  const scalars = new Array<number | bigint>(capture.scalars.length);
  for (const i of capture.scalarOrder) scalars[i] = first ? capture.firstScalars[i] : capture.scalars[i]();
  const { arena, status } = scratchFor(device, plan.arenaBytes);
  const buffers: DeviceBuffer[] = [arena, status];
  for (const source of leaves) buffers.push(leafData(source, inputs));
  const firstOutput = buffers.length;
  leaves.forEach((source, i) => {
    if (!capture.sharedBindings.has(2 + i)) return;
    if (source.kind === 'storage') source.storage.node.shared = true;
    else if (source.kind === 'argument') inputs[source.index].storage.node.shared = true;
  });
  const overwritten = new Map<number, number>();
  const storageOf = ({ storage, argument }: Write): Storage => storage ?? inputs[argument].storage;
  for (const write of writes) {
    const storage = storageOf(write);
    if (write.overLeaf !== null && storage.overwritable) overwritten.set(write.binding, 2 + write.overLeaf);
  }
  capture.outputBytes.forEach((bytes, i) => {
    const leaf = overwritten.get(firstOutput + i);
    buffers.push(leaf === undefined ? outputBuffer(capture, i, bytes) : buffers[leaf]);
  });
  prepare(capture, buffers);
  runProgram(plan, buffers, scalars);
  checkStatus(plan, device, status);
  for (const write of writes) {
    const { template, binding } = write;
    const node = bufferNode(device, template.dtype, template.shape, buffers[binding]);
    node.shared = capture.sharedBindings.has(binding);
    storageOf(write).settle(node);
  }
  return rebuildWith(capture.skeleton, (slot) => {
    const { template, binding, fixed } = capture.results[(slot as ResultSlot).index];
    const data = binding === null ? fixed : buffers[binding];
    if (data === null) throw new Error('unreachable: results are outputs');
    const node = bufferNode(device, template.dtype, template.shape, data);
    node.shared = binding === null || capture.sharedBindings.has(binding);
    return new Tensor(node);
  });
}

function sharedBindings(results: readonly (number | null)[], writes: readonly Write[], leaves: number): Set<number> {
  const all = [...results.filter((binding) => binding !== null), ...writes.map((write) => write.binding)];
  return new Set(all.filter((binding, i) => binding < 2 + leaves || all.indexOf(binding) !== i));
}

/** Binds the kept memory of constant operands, rearranging those that are new or have another value than before. */
function prepare(capture: Capture, buffers: DeviceBuffer[]): void {
  const {
    plan: { setup },
    device,
    constants,
  } = capture;
  if (setup === null) return;
  if (constants.memory.length === 0) constants.memory = setup.bytes.map((bytes) => device.allocate(bytes));
  buffers.push(...constants.memory);
  const sources = setup.leaves.map((leaf) => buffers[2 + leaf]);
  const versions = setup.leaves.map((leaf) => {
    const source = capture.leaves[leaf];
    return source.kind === 'storage' ? source.storage.version : 0;
  });
  if (
    constants.sources.length > 0 &&
    sources.every((source, i) => source === constants.sources[i] && versions[i] === constants.versions[i])
  )
    return;
  setup.program.run(buffers, []);
  constants.sources = sources;
  constants.versions = versions;
}

function outputBuffer({ device, kept, writes, leaves }: Capture, output: number, bytes: number): DeviceBuffer {
  const isState = writes.some((write) => write.binding === 2 + leaves.length + output);
  if (kept === null || isState) return allocate(device, bytes);
  let buffer = kept.get(output);
  if (buffer === undefined || buffer.disposed) kept.set(output, (buffer = device.allocate(bytes)));
  return buffer;
}

function leafData(source: LeafSource, inputs: readonly Tensor[]): DeviceBuffer {
  let data: DeviceBuffer | null;
  switch (source.kind) {
    case 'argument':
      data = inputs[source.index].node.data;
      break;
    case 'storage':
      if (source.storage.node.data === null) evaluate([new Tensor(source.storage)]);
      data = source.storage.node.data;
      break;
    case 'fixed':
      data = source.data;
      break;
    default:
      return source satisfies never;
  }
  if (data === null || data.disposed)
    throw new ProjError('invalid-argument', 'a tensor that the compiled function reads has been disposed of', {
      op: 'compile',
    });
  return data;
}
