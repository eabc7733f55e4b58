/** Nodes of the lazy graph: immutable descriptions of values. Constructors check and simplify; nothing here computes. */
import { ProjError, type Device, type DeviceBuffer, type DType } from '@proj/kernel';
import type { Attributes, Primitive } from './primitives.ts';

export type Shape = readonly number[];

let created = 0;
/** The id that the next node will have. */
export const nextNodeId = (): number => created;

let insideOperation = false;
function inside<T>(is: boolean, body: () => T): T {
  const before = insideOperation;
  insideOperation = is;
  try {
    return body();
  } finally {
    insideOperation = before;
  }
}
/** Runs the body of an in-place operation: the nodes that it makes serve the value that is written, and are in nobody's hands. */
export const inPlaceOperation = <T>(body: () => T): T => inside(true, body);
/** Builds nodes that are kept for later readers, in-place operation or not. */
export const keptNodes = <T>(body: () => T): T => inside(false, body);

export class Node<P extends Primitive = Primitive> {
  readonly id = created++;
  readonly op: P;
  readonly dtype: DType;
  readonly shape: Shape;
  readonly device: Device;
  readonly attr: Attributes[P];
  /** Emptied when the value has been realised and no gradient needs them. */
  sources: readonly AnyNode[];
  /** Memory, once realised: contiguous, from offset 0. */
  data: DeviceBuffer | null = null;
  readonly requiresGrad: boolean;
  /** A backward pass has gone through it and will not again: its sources may be dropped once it is realised, although it requires a gradient. */
  released = false;
  /** Nodes that were built on this one; a hint for reusing memory in place. */
  consumers = 0;
  /** Whether one of them was built outside in-place operations, so that somebody may have it in hands. */
  readOutside = false;
  /** Its memory is that of another node too. */
  shared = false;
  /** The storage (by its id) whose value it is, -1 for none; copies are free, so that several may share it. */
  owner = -1;
  sharers: number[] | null = null;
  /** For a value that an in-place operation made and handed to nobody else: the handles that it had on the way, -1 for other values. */
  internalSharers = -1;
  /** The first node made by the in-place operation after which it is no longer anybody's value. */
  overwrittenSince: number | undefined = undefined;
  /** The tensor that a leaf of the gradient graph belongs to. What is kept on nodes rather than in tables of weak keys dies young. */
  leafOf: object | undefined = undefined;
  /** Scratch of whoever walks the graph: when it was seen last, and its place in the order that is being looked at. */
  mark = 0;
  position = 0;

  constructor(
    op: P,
    device: Device,
    dtype: DType,
    shape: Shape,
    sources: readonly AnyNode[],
    attr: Attributes[P],
    requiresGrad: boolean,
  ) {
    this.op = op;
    this.device = device;
    this.dtype = dtype;
    this.shape = shape;
    this.sources = sources;
    this.attr = attr;
    this.requiresGrad = requiresGrad;
    for (const source of sources) {
      source.consumers++;
      if (!insideOperation) source.readOutside = true;
    }
  }
}

/** A node of any primitive; `switch (node.op)` narrows its attributes. */
export type AnyNode = { [P in Primitive]: Node<P> }[Primitive];

/** Whether a dtype is complex: values of it are pairs of real ones in the graph. */
export const isComplexType = (dtype: DType): boolean => dtype === 'complex64' || dtype === 'complex128';

/** The complex value whose elements `node` has, in order: with memory, or made of parts. */
function complexOrigin(node: AnyNode): AnyNode {
  let at = node;
  while (
    at.data === null &&
    (at.op === 'reshape' || at.op === 'detach' || at.op === 'leaf' || at.op === 'contiguous') &&
    at.sources.length > 0
  )
    at = at.sources[0];
  return at;
}

function complexOperands(node: AnyNode): readonly AnyNode[] {
  // What is in memory has let go of its sources.
  if (node.sources.length === 0) return node.sources;
  if (node.op !== 'part') return node.sources.length > 2 ? node.sources.slice(0, 2) : node.sources;
  const origin = complexOrigin(node.sources[0]);
  return [origin.op === 'complex' && origin.data === null ? origin.sources[Number(node.attr.imaginary)] : origin];
}

/**
 * What a node is computed from. Differs from its sources where complex values are concerned: a part of one that has no memory is that part's own
 * node, and what only the gradient of a complex function needs is left out.
 */
export const operandsOf = (node: AnyNode): readonly AnyNode[] =>
  node.op === 'part' || node.op === 'complex' ? complexOperands(node) : node.sources;

let gradEnabled = true;
export const isGradEnabled = (): boolean => gradEnabled;
/** Sets whether new nodes record gradients; returns what it was. */
export function setGradEnabled(enabled: boolean): boolean {
  const before = gradEnabled;
  gradEnabled = enabled;
  return before;
}

const FLOATS: ReadonlySet<DType> = new Set(['float32', 'float64', 'float16', 'bfloat16', 'complex64', 'complex128']);
export const isDifferentiable = (dtype: DType): boolean => FLOATS.has(dtype);

/** Builds nodes that record no gradients. */
export function withoutGradients<T>(body: () => T): T {
  const before = setGradEnabled(false);
  try {
    return body();
  } finally {
    gradEnabled = before;
  }
}

/** A new node; it requires a gradient when a source does, recording is on and its dtype can carry one. */
export function makeNode<P extends Primitive>(
  op: P,
  dtype: DType,
  shape: Shape,
  sources: readonly AnyNode[],
  attr: Attributes[P],
  device = sources[0].device,
): AnyNode {
  let requiresGrad = false;
  for (const source of sources) {
    if (source.requiresGrad) requiresGrad = true;
    if (source.device !== device) {
      throw new ProjError('device-unavailable', `operands live on ${device.name} and ${source.device.name}`, {
        op,
        cure: 'Move one with .to(device)',
      });
    }
  }
  return new Node(op, device, dtype, shape, sources, attr, requiresGrad && gradEnabled && FLOATS.has(dtype)) as AnyNode;
}

export function elementCount(shape: Shape): number {
  let count = 1;
  for (let i = 0; i < shape.length; i++) count *= shape[i];
  return count;
}

export function sameShape(a: Shape, b: Shape): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
