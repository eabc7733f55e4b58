/** Nodes of the lazy graph: immutable descriptions of values. Constructors check and simplify; nothing here computes. */
import { ProjError, type Device, type DeviceBuffer, type DType } from '@proj/kernel';
import type { Attributes, Primitive } from './primitives.ts';

export type Shape = readonly number[];

let created = 0;
/** The id that the next node will have. */
export const nextNodeId = (): number => created;

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
  /** Unrealised nodes that were built on this one; a hint for reusing memory in place. */
  consumers = 0;
  /** The storage (by its id) whose value it is, -1 for none; copies are free, so that several may share it. */
  owner = -1;
  sharers: number[] | null = null;
  /** The first node made by the in-place operation after which it is no longer anybody's value. */
  overwrittenSince: number | undefined = undefined;
  /** The tensor that a leaf of the gradient graph belongs to. What is kept on nodes rather than in tables of weak keys dies young. */
  leafOf: object | undefined = undefined;

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
    for (const source of sources) source.consumers++;
  }
}

/** A node of any primitive; `switch (node.op)` narrows its attributes. */
export type AnyNode = { [P in Primitive]: Node<P> }[Primitive];

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

export const elementCount = (shape: Shape): number => shape.reduce((product, size) => product * size, 1);
export const sameShape = (a: Shape, b: Shape): boolean => a.length === b.length && a.every((size, i) => size === b[i]);
