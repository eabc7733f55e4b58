/**
 * The tensor: a handle on a value of the lazy graph. A tensor is (storage, view): writing through a view gives the storage a new value that
 * every tensor on it sees, which is PyTorch's aliasing made of immutable nodes (functionalisation).
 */
/// <reference lib="esnext.disposable" preserve="true" />
import { type Device, DTYPES, type DType, ProjError } from '@proj/kernel';
import {
  type AnyNode,
  elementCount,
  isComplexType,
  isDifferentiable,
  isGradEnabled,
  keptNodes,
  sameShape,
  type Shape,
} from './graph/node.ts';
import { castNode, constantNode, detachNode, expandNode, leafNode, whereNode } from './graph/build.ts';
import { type Layout, rowByRow } from './layout.ts';
import { formatTensor } from './printing.ts';
import { ComplexScalar } from './promotion.ts';
import { evaluate, forfeitSpares, markPending, noteRead, refuseWhileCapturing } from './evaluate.ts';
import { nextStorageId, noteReplaced } from './tidy.ts';
import { readElements, type ElementArray } from './io/elements.ts';
import type { TensorMethods } from './methods.ts';

/** A step of a view: how to see the base, and how a write to what is seen changes the base. */
export interface ViewStep {
  apply(base: AnyNode): AnyNode;
  /** The base after `value` has been written to the viewed part; null when the view cannot be written to (an expansion). */
  write: ((base: AnyNode, value: AnyNode) => AnyNode) | null;
  /** Where PyTorch would keep the elements that are seen. */
  layout(base: Layout): Layout;
  /** What it was applied to last. */
  applied?: { readonly base: AnyNode; readonly result: AnyNode };
}

/** Views of a view share its steps: each is applied once to a base, so that gradients of several views meet at the node that they view. */
function applyStep(step: ViewStep, base: AnyNode): AnyNode {
  if (step.applied?.base === base) return step.applied.result;
  const result = keptNodes(() => step.apply(base));
  if (result !== base) step.applied = { base, result };
  return result;
}

export class Storage {
  node: AnyNode;
  readonly id = nextStorageId();
  /** Counts in-place writes. */
  version = 0;
  /** The leaf tensor that requires a gradient, when there is one. */
  leaf: Tensor | null = null;
  #leafNode: AnyNode | null = null;
  /** The last value in memory, when nothing but the value that waits to be computed reads it: its memory may be taken for that. */
  #spare: AnyNode | null = null;

  constructor(node: AnyNode) {
    this.node = node;
    this.#own(node);
  }

  /** Takes the memory that the value to be computed may be written over, if there is such. */
  takeSpare(): AnyNode | null {
    const spare = this.#spare;
    this.#spare = null;
    return spare;
  }

  /** Whether the memory of the value may be written over: see `#alone`. */
  get overwritable(): boolean {
    return this.#alone(this.node);
  }

  /** Whether only this storage has the value, and only in-place operations read it. */
  #alone(node: AnyNode): boolean {
    const only =
      node.internalSharers >= 0
        ? (node.sharers?.length ?? 0) === node.internalSharers
        : this.owned(node) && !node.requiresGrad;
    return only && !node.shared && !node.readOutside;
  }

  #own(node: AnyNode): void {
    if (node.owner < 0) node.owner = this.id;
    else if (node.owner !== this.id) (node.sharers ??= []).push(this.id);
  }

  /** Makes the value this storage's alone when all others that had it were tensors of a scope that has ended. */
  forgetOwners(dead: (id: number) => boolean): void {
    const { node, id } = this;
    if ([node.owner, ...(node.sharers ?? [])].some((other) => other !== id && !dead(other))) return;
    node.owner = id;
    node.sharers = null;
  }

  /** The value as gradients see it. */
  get differentiable(): AnyNode {
    if (this.leaf === null) return this.node;
    if (this.#leafNode === null) {
      this.#leafNode = leafNode(this.node);
      leafTensors.set(this.#leafNode, this.leaf);
    }
    return this.#leafNode;
  }

  /**
   * `since`: the first node id of the operation that writes; what it reads itself is not overwritten yet. `internal`: all nodes from there on
   * were made by the operation and are in nobody's hands.
   */
  replace(node: AnyNode, since = node.id, internal = false): void {
    const alone = this.#alone(this.node);
    if (this.node.data !== null) this.#spare = alone ? this.node : null;
    else if (!alone) forfeitSpares();
    if (this.owned(this.node)) overwrittenNodes.set(this.node, since);
    if (this.#leafNode !== null) overwrittenNodes.set(this.#leafNode, since);
    noteReplaced(this, this.node);
    this.node = node;
    this.#own(node);
    if (internal && node.id >= since && !node.requiresGrad) node.internalSharers = node.sharers?.length ?? 0;
    this.#leafNode = null;
    this.version++;
    markPending(this);
  }

  /** Puts an earlier value back, as if the writes since had not happened. */
  restore(node: AnyNode): void {
    this.node = node;
    this.#spare = null;
    this.#leafNode = null;
  }

  /** Whether `node` is the value of this storage alone (now or before), so that its memory may be overwritten. */
  owned(node: AnyNode): boolean {
    return node.owner === this.id && node.sharers === null;
  }

  /** The value without the operations that gradients would flow back through. */
  forgetHistory(): void {
    noteReplaced(this, this.node);
    this.node = detachNode(this.node);
    this.#own(this.node);
    this.#spare = null;
    markPending(this);
  }

  /** Takes a value that has been computed elsewhere. */
  settle(node: AnyNode): void {
    noteReplaced(this, this.node);
    this.node = node;
    this.#own(node);
    this.#spare = null;
    this.#leafNode = null;
    this.version++;
  }

  resetLeaf(): void {
    this.#leafNode = null;
  }
}

/** Which tensor a leaf node of the gradient graph belongs to. */
export const leafTensors = {
  get: (node: AnyNode): Tensor | undefined => node.leafOf as Tensor | undefined,
  set: (node: AnyNode, tensor: Tensor): void => void (node.leafOf = tensor),
};
/** Tensors that want the gradient of a node that is not a leaf (`retainGrad`). */
export const retainedTensors = new WeakMap<AnyNode, Tensor>();
/** Nodes whose memory was overwritten in place, with the id before which their readers were made: no gradient may be computed from them. */
export const overwrittenNodes = {
  get: (node: AnyNode): number | undefined => node.overwrittenSince,
  set: (node: AnyNode, since: number): void => void (node.overwrittenSince = since),
};
export type GradientHook = (gradient: Tensor) => Tensor | void;
/** Functions to call on the gradient of a node, or of a leaf tensor (whose node changes with every update). */
export const gradientHooks = new WeakMap<AnyNode | Tensor, Set<GradientHook>>();

export interface BackwardOptions {
  /** Keeps what a second backward through the same graph needs (default: `createGraph`). */
  readonly retainGraph?: boolean;
  /** Records the gradients themselves, for derivatives of higher order. */
  readonly createGraph?: boolean;
  /** Accumulate into these tensors only. */
  readonly inputs?: Tensor | readonly Tensor[];
}
export type BackwardEngine = (
  tensors: readonly Tensor[],
  gradients: readonly (Tensor | null)[],
  options: BackwardOptions,
) => void;
let backwardEngine: BackwardEngine | null = null;
/** `@proj/autograd` registers itself here when it is loaded. */
export function setBackwardEngine(engine: BackwardEngine): void {
  backwardEngine = engine;
}

/** Where PyTorch would keep a tensor's elements: row by row, but for views. */
export const layoutOf = ({ storage, viewSteps }: Tensor): Layout =>
  viewSteps.reduce((layout, step) => step.layout(layout), rowByRow(storage.node.shape));

/** `written`, which still requires a gradient where all of `before` was written over with what requires none: that of `before` is zero. */
function withHistory(written: AnyNode, before: AnyNode): AnyNode {
  if (!before.requiresGrad || written.requiresGrad) return written;
  return whereNode(constantNode(before.device, 'bool', before.shape, false), before, written);
}

// eslint-disable-next-line @typescript-eslint/no-unsafe-declaration-merging
export interface Tensor extends TensorMethods {}

// eslint-disable-next-line @typescript-eslint/no-unsafe-declaration-merging
/** A tensor: a handle on a value that may not have been computed yet. Operations are its methods; see `opTable` for all of them. */
export class Tensor {
  readonly storage: Storage;
  viewSteps: readonly ViewStep[];
  /** Cut off from the gradients of its storage: it is a value, or (`#requires`) a leaf of its own. */
  #detached: boolean;
  #requires = false;
  /** The detached tensor that this one is a view of. */
  #root: Tensor | null;
  #cached: AnyNode | null = null;
  #cachedFrom: AnyNode | null = null;
  /** The gradient that `backward` has accumulated, null before. */
  grad: Tensor | null = null;

  /** For the library's own use: see `tensor`, `zeros` and the other creation functions. */
  constructor(
    storage: Storage | AnyNode,
    viewSteps: readonly ViewStep[] = [],
    detached = false,
    root: Tensor | null = null,
  ) {
    this.storage = storage instanceof Storage ? storage : new Storage(storage);
    this.viewSteps = viewSteps;
    this.#detached = detached;
    this.#root = root;
  }

  /** The value as a node of the lazy graph. */
  get node(): AnyNode {
    noteRead(this.storage);
    const base =
      this.#root !== null ? this.#root.node : this.#detached ? this.storage.node : this.storage.differentiable;
    if (this.#cached === null || this.#cachedFrom !== base) {
      const steps = this.#root === null ? this.viewSteps : this.viewSteps.slice(this.#root.viewSteps.length);
      const viewed = steps.reduce((node, step) => applyStep(step, node), base);
      this.#cached = this.#detached && this.#root === null ? this.#ownValue(viewed) : viewed;
      // A copy of this tensor may have the same value: it is not the copy's alone.
      if (this.#cached.owner < 0) this.#cached.owner = this.storage.id;
      this.#cachedFrom = base;
    }
    return this.#cached;
  }

  #ownValue(viewed: AnyNode): AnyNode {
    if (!this.#requires) return detachNode(viewed);
    const leaf = leafNode(detachNode(viewed));
    leafTensors.set(leaf, this);
    return leaf;
  }

  get shape(): Shape {
    return this.node.shape;
  }
  get dtype(): DType {
    return this.node.dtype;
  }
  get device(): Device {
    return this.node.device;
  }
  get ndim(): number {
    return this.shape.length;
  }
  dim(): number {
    return this.shape.length;
  }
  /** Number of elements. */
  numel(): number {
    return elementCount(this.shape);
  }
  /** False: sparse tensors are `SparseTensor`s of `@proj/tensor/sparse`. */
  get isSparse(): boolean {
    return false;
  }
  /** False: quantised tensors are `QuantizedTensor`s of `@proj/tensor/quantized`. */
  get isQuantized(): boolean {
    return false;
  }
  /** How PyTorch names the layout of dense tensors. */
  get layout(): 'strided' {
    return 'strided';
  }
  get itemsize(): number {
    return DTYPES[this.dtype].bytes;
  }
  elementSize(): number {
    return DTYPES[this.dtype].bytes;
  }
  /** The shape, or its entry `dim`. */
  size(): Shape;
  size(dim: number): number;
  size(dim?: number): Shape | number {
    return dim === undefined ? this.shape : this.shape[dim < 0 ? dim + this.ndim : dim];
  }
  get version(): number {
    return this.storage.version;
  }

  // Gradients

  get requiresGrad(): boolean {
    return this.node.requiresGrad;
  }
  set requiresGrad(value: boolean) {
    this.requiresGrad_(value);
  }
  get isLeaf(): boolean {
    return !this.requiresGrad || this.#requires || this.storage.leaf === this;
  }
  /** Makes this leaf record gradients (or not). Errors: not a leaf; not a floating-point dtype. */
  requiresGrad_(value = true): this {
    if (!this.isLeaf) {
      if (value) return this;
      throw new ProjError('autograd', 'requiresGrad can be switched off on leaves only', {
        op: 'requiresGrad_',
        cure: 'Use x.detach() for a value without gradient',
      });
    }
    if (value && !isDifferentiable(this.dtype))
      throw new ProjError('autograd', 'only floating-point tensors can require gradients', {
        op: 'requiresGrad_',
        shapes: [this.shape],
        dtypes: [this.dtype],
      });
    if (this.#detached || this.viewSteps.length > 0) {
      this.#detached = true;
      this.#root = null;
      this.#requires = value;
    } else {
      this.storage.leaf = value ? this : null;
      this.storage.resetLeaf();
    }
    this.#cached = null;
    return this;
  }
  /** The same memory, cut off from gradients. */
  detach(): Tensor {
    return new Tensor(this.storage, this.viewSteps, true);
  }
  /**
   * Forgets how the value came about: this tensor becomes a leaf that requires no gradient, with all tensors that share its memory. Errors: a view, which would
   * have to forget for the others.
   */
  detach_(): this {
    if (this.viewSteps.length > 0)
      throw new ProjError('autograd', 'a view cannot be detached in place', {
        op: 'detach_',
        shapes: [this.shape],
        cure: 'Use detach()',
      });
    if (this.isLeaf) return this.requiresGrad ? this.requiresGrad_(false) : this;
    this.storage.forgetHistory();
    this.#cached = null;
    return this;
  }
  /** As {@link detach}: the value without its history. */
  get data(): Tensor {
    return this.detach();
  }
  /** Keeps the gradient of this tensor, which is not a leaf, in `.grad`. */
  retainGrad(): void {
    if (!this.requiresGrad)
      throw new ProjError('autograd', 'this tensor does not require a gradient', { op: 'retainGrad' });
    if (!this.isLeaf) retainedTensors.set(this.node, this);
  }
  get retainsGrad(): boolean {
    return retainedTensors.get(this.node) === this;
  }
  /** Calls `hook` with the gradient of this tensor when it is computed; what it returns replaces it. Returns a handle that removes the hook. */
  registerHook(hook: GradientHook): { remove(): void } {
    if (!this.requiresGrad)
      throw new ProjError('autograd', 'a hook on a tensor that does not require a gradient would never be called', {
        op: 'registerHook',
      });
    const key = this.isLeaf ? this : this.node;
    const hooks = gradientHooks.get(key) ?? new Set();
    hooks.add(hook);
    gradientHooks.set(key, hooks);
    return { remove: () => void hooks.delete(hook) };
  }

  /**
   * Accumulates the gradients of this tensor with respect to all leaves that it depends on into their `.grad`. `gradient` (default 1) is needed
   * unless the tensor has one element. Errors: `@proj/autograd` is not loaded; no gradient is required; the graph was freed by an earlier backward.
   */
  backward(gradient: Tensor | null = null, options: BackwardOptions = {}): void {
    if (backwardEngine === null)
      throw new ProjError('autograd', 'no gradient engine is loaded', {
        op: 'backward',
        cure: "Import '@proj/autograd'",
      });
    backwardEngine([this], [gradient], options);
  }

  // Writing

  /** A tensor that sees part of this one's memory. */
  view_(step: ViewStep): Tensor {
    return new Tensor(
      this.storage,
      [...this.viewSteps, step],
      this.#detached,
      this.#detached ? (this.#root ?? this) : null,
    );
  }

  /** A tensor that sees the whole memory that this one is a view of, through `step`. */
  fromStorage_(step: ViewStep): Tensor {
    return new Tensor(this.storage, [step], this.#detached);
  }

  /** Sees the same memory through one more step from now on: changes of shape in place (`squeeze_`, `transpose_`). */
  restep_(step: ViewStep): this {
    this.viewSteps = [...this.viewSteps, step];
    this.#cached = null;
    return this;
  }

  /** Replaces the elements seen by this tensor with those of `value`, broadcast and cast as needed. The basis of every in-place operation. */
  assign(value: AnyNode, op = 'copy_', since?: number): this {
    const { storage } = this;
    if (isGradEnabled() && (this.#detached ? (this.#root ?? this).#requires : storage.leaf !== null)) {
      throw new ProjError('autograd', 'a leaf that requires a gradient cannot be changed in place', {
        op,
        shapes: [this.shape],
        dtypes: [this.dtype],
        cure: 'Wrap the update in noGrad(() => …)',
      });
    }
    const { shape, dtype } = this;
    if (
      DTYPES[value.dtype].category !== DTYPES[dtype].category &&
      op !== 'copy_' &&
      RANK[DTYPES[value.dtype].category] > RANK[DTYPES[dtype].category]
    ) {
      throw new ProjError('dtype', `the result type ${value.dtype} cannot be stored in a ${dtype} tensor`, {
        op,
        cure: 'Use the out-of-place form, or cast first',
      });
    }
    if (!broadcastsTo(value.shape, shape))
      throw new ProjError('shape-mismatch', 'the value does not broadcast to the tensor that is written', {
        op,
        shapes: [shape, value.shape],
        dtypes: [dtype, value.dtype],
      });
    const stored = expandNode(castNode(value, dtype), shape);
    const written = this.#writeThrough(storage.node, stored, 0, op);
    storage.replace(
      isGradEnabled() ? withHistory(written, storage.node) : written,
      since ?? value.id,
      since !== undefined,
    );
    return this;
  }

  #writeThrough(base: AnyNode, value: AnyNode, at: number, op: string): AnyNode {
    const step = this.viewSteps[at];
    if (step === undefined) return value;
    if (step.write === null)
      throw new ProjError('invalid-argument', 'several elements of an expanded tensor share one memory location', {
        op,
        cure: 'Use .clone() before writing',
      });
    const inner = step.apply(base);
    return step.write(base, this.#writeThrough(inner, value, at + 1, op));
  }

  // Reading

  /** Computes the value now and keeps it. */
  realize(): this {
    evaluate([this]);
    return this;
  }
  /** All elements, row by row, in a new typed array (bool as Uint8Array, int64 as BigInt64Array, complex ones as real and imaginary part in turn). */
  toTypedArray(): ElementArray {
    refuseWhileCapturing();
    evaluate([this]);
    return readElements(this.node);
  }
  /** All elements as numbers, row by row; two for each complex one. int64 beyond 2^53 throws: use `toTypedArray`. */
  toFlatArray(): number[] {
    return Array.from(this.toTypedArray() as ArrayLike<number | bigint>, (x) => {
      const n = Number(x);
      if (typeof x === 'bigint' && !Number.isSafeInteger(n))
        throw new ProjError('dtype', `${x} is not exact as a JavaScript number`, {
          op: 'toFlatArray',
          cure: 'Use toTypedArray(), which gives bigints',
        });
      return n;
    });
  }
  #elements(): (number | boolean | ComplexScalar)[] {
    const flat = this.toFlatArray();
    if (this.dtype === 'bool') return flat.map(Boolean);
    if (!isComplexType(this.dtype)) return flat;
    return Array.from({ length: flat.length / 2 }, (_, i) => new ComplexScalar(flat[2 * i], flat[2 * i + 1]));
  }
  /** Nested arrays of numbers (booleans for bool, `ComplexScalar` for complex dtypes); one of them for a 0-dim tensor. */
  toArray(): NestedArray {
    const flat = this.#elements();
    let at = 0;
    const build = (dims: Shape): NestedArray =>
      dims.length === 0 ? flat[at++] : Array.from({ length: dims[0] }, () => build(dims.slice(1)));
    return build(this.shape);
  }
  /** As {@link toArray}. */
  tolist(): NestedArray {
    return this.toArray();
  }
  /**
   * The only element: a number, true or false of a bool tensor, or a `ComplexScalar` (`item<boolean>()` says so to the compiler). Errors: more or
   * fewer elements than one; an int64 beyond 2^53.
   */
  item<T extends number | boolean | ComplexScalar = number>(): T {
    if (this.numel() !== 1)
      throw new ProjError('shape-mismatch', 'item() needs exactly one element', {
        op: 'item',
        shapes: [this.shape],
        dtypes: [this.dtype],
        cure: 'Use toArray()',
      });
    return this.#elements()[0] as T;
  }
  /** As {@link toTypedArray}, for asynchronous devices too; gives the event loop a turn, so that unused memory can be freed. */
  async read(): Promise<ElementArray> {
    const elements = this.toTypedArray();
    await new Promise<void>((resolve) => (globalThis.setImmediate ?? globalThis.setTimeout)(resolve));
    return elements;
  }
  /** Gives the memory back at once, if the value has any of its own. May be called twice. */
  dispose(): void {
    this.storage.node.data?.dispose();
  }
  [Symbol.dispose](): void {
    this.dispose();
  }
  toString(): string {
    return formatTensor(this);
  }
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return formatTensor(this);
  }
  /** The values, for `JSON.stringify`. */
  toJSON(): NestedArray {
    return this.toArray();
  }
  /** Text where text is wanted. Errors: a number is wanted, as by JavaScript's `*` and `<`, which would quietly go on with NaN. */
  [Symbol.toPrimitive](hint: string): string {
    if (hint === 'number')
      throw new ProjError('invalid-argument', 'a tensor is no number', {
        cure: 'Read it with item(), or compute with methods: x.mul(2), x.lt(1)',
      });
    return formatTensor(this);
  }
}

export type NestedArray = number | boolean | ComplexScalar | NestedArray[];

const RANK = { bool: 0, integer: 1, float: 2, complex: 3 } as const;

export const broadcastsTo = (from: Shape, to: Shape): boolean =>
  from.length <= to.length && from.every((size, i) => size === 1 || size === to[to.length - from.length + i]);

/** A new tensor whose value is `node`. */
export const wrap = (node: AnyNode): Tensor => new Tensor(node);

export { sameShape };
