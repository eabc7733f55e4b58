/** The first step of scheduling: which nodes are put into memory, and the group (kernel-to-be) that computes each. */
import { type AnyNode, elementCount, operandsOf, type Shape } from '../graph/node.ts';
import { KIND, TRANSCENDENTAL } from '../graph/primitives.ts';
import type { Reduction, StoredNode } from '../lower/loop-group.ts';
import { isReadable } from '../lower/operand.ts';

export interface LoopsGroup {
  readonly kind: 'loops';
  readonly kept: Shape;
  readonly reduced: Shape;
  readonly reductions: readonly Reduction[];
  readonly stores: readonly StoredNode[];
}
export interface ContractGroup {
  readonly kind: 'contract';
  readonly anchor: AnyNode & { readonly op: 'contract' };
  /** Elementwise results computed from the product as it is stored. The product itself is stored when it is among them. */
  readonly stores: readonly StoredNode[];
}
export interface OpaqueGroup {
  readonly kind: 'opaque';
  readonly anchor: AnyNode;
  readonly stores: readonly StoredNode[];
}
export type Group = LoopsGroup | ContractGroup | OpaqueGroup;

export interface Graph {
  /** All nodes, sources before consumers; realised nodes are leaves. */
  readonly order: readonly AnyNode[];
  readonly roots: readonly AnyNode[];
  /** Nodes that get memory. */
  readonly stored: Set<AnyNode>;
  readonly groups: Group[];
}

/** Each walk marks the nodes that it has opened with a number of its own, and those that it is done with by the next. */
let walk = 0;

/** Sources before consumers, without recursion. */
export function topologicalOrder(roots: readonly AnyNode[]): AnyNode[] {
  const order: AnyNode[] = [];
  const stack: AnyNode[] = [];
  const [open, done] = [(walk += 2), walk + 1];
  for (let i = roots.length - 1; i >= 0; i--) stack.push(roots[i]);
  while (stack.length > 0) {
    const node = stack[stack.length - 1];
    if (node.mark < open) {
      node.mark = open;
      const sources = operandsOf(node);
      if (node.data === null)
        for (let i = sources.length - 1; i >= 0; i--) if (sources[i].mark < open) stack.push(sources[i]);
    } else {
      stack.pop();
      if (node.mark === open) {
        node.mark = done;
        order.push(node);
      }
    }
  }
  return order;
}

/** The node whose memory holds the elements of `node` in the same order. */
export function memoryOwner(node: AnyNode, stored: ReadonlySet<AnyNode>): AnyNode {
  let owner = node;
  while (
    owner.data === null &&
    !stored.has(owner) &&
    (owner.op === 'reshape' || owner.op === 'detach' || owner.op === 'leaf' || owner.op === 'contiguous')
  )
    owner = owner.sources[0];
  return owner;
}

const SLOWER = new Set<string>(['div', 'sqrt', 'rsqrt', 'reciprocal', 'remainder', 'fmod', 'floorDivide']);

function ownCost(node: AnyNode): number {
  switch (node.op) {
    case 'unary':
    case 'binary':
      return TRANSCENDENTAL.has(node.attr.fn) ? 10 : SLOWER.has(node.attr.fn) ? 4 : 1;
    case 'where':
    case 'cast':
      return 1;
    case 'take':
      return 4;
    case 'random':
      return 20;
    default:
      return 0;
  }
}
/** Above this an expression is cut and put into memory, to bound code size. */
const MAX_COST = 160;

export function buildGraph(roots: readonly AnyNode[]): Graph {
  const order = topologicalOrder(roots);
  const stored = new Set<AnyNode>();
  const cost = new Map<AnyNode, number>();
  const uses = new Map<AnyNode, number>();
  const replicated = new Set<AnyNode>();

  // How often each computed node is used, seen through movement.
  const countUse = (from: AnyNode): void => {
    let node = from;
    let replicates = false;
    while (node.data === null && KIND[node.op] === 'movement' && node.op !== 'complex') {
      if (node.op === 'expand' || node.op === 'window') replicates = true;
      [node] = operandsOf(node);
    }
    if (node.op === 'complex' && node.data === null) return operandsOf(node).forEach(countUse);
    uses.set(node, (uses.get(node) ?? 0) + 1);
    if (replicates) replicated.add(node);
  };
  for (const node of order) {
    if (node.data !== null || KIND[node.op] === 'movement') continue;
    for (const source of node.sources) countUse(source);
  }
  for (const root of roots) countUse(root);

  // Matrices of windows that one product multiplies and nothing else reads: it takes them from the image itself.
  const windows = new Set<AnyNode>();
  for (const node of order) {
    if (node.data !== null || node.op !== 'contract') continue;
    const [, right] = node.sources;
    if (right.data === null && right.op === 'contiguous' && uses.get(right) === 1) windows.add(right);
  }
  const isRead = (node: AnyNode, side: 'left' | 'right', inMemory = isStored): boolean =>
    isReadable(node, side, inMemory, windows.has(node));
  const isStored = (node: AnyNode): boolean => node.data !== null || stored.has(node);
  const store = (node: AnyNode): void => {
    const owner = memoryOwner(node, stored);
    if (owner.data === null) stored.add(owner);
  };

  for (const node of order) {
    if (node.data !== null) continue;
    const sum = operandsOf(node).reduce(
      (total, source) => total + (source.data !== null || stored.has(source) ? 0 : (cost.get(source) ?? 0)),
      ownCost(node),
    );
    cost.set(node, sum);
    switch (KIND[node.op]) {
      case 'opaque':
        stored.add(node);
        if (node.op === 'contract') {
          storeBase(node.sources[0], stored);
          if (!windows.has(node.sources[1])) storeBase(node.sources[1], stored);
          if (!isRead(node.sources[0], 'left')) store(node.sources[0]);
          if (!isRead(node.sources[1], 'right')) store(node.sources[1]);
        } else if (node.op !== 'concat' && node.op !== 'accumulateSlices') {
          node.sources.forEach((source) => store(source));
        }
        break;
      case 'reduce':
        stored.add(node);
        break;
      case 'elementwise': {
        if (node.op === 'contiguous') {
          if (windows.has(node)) {
            const image = imageOf(node, isStored);
            if (image.op !== 'constant' && isRead(node, 'right', (other) => other === image || isStored(other))) {
              if (image.data === null) stored.add(image);
              break;
            }
            windows.delete(node);
          }
          const owner = memoryOwner(node.sources[0], stored);
          if (owner.data === null && !stored.has(owner)) stored.add(node);
          break;
        }
        const shared = (uses.get(node) ?? 0) > 1 && sum >= 2;
        const repeated = replicated.has(node) && sum >= 4;
        if (shared || repeated || sum > MAX_COST) stored.add(node);
        break;
      }
      case 'leaf':
      case 'movement':
        break;
      default:
        throw new Error(`unreachable: primitive ${node.op}`);
    }
  }
  for (const root of roots) store(root);
  // What was put into memory later may stand between a product and the memory that it was to read: look again until nothing changes.
  for (let before = -1; before !== stored.size;) {
    before = stored.size;
    for (const node of order) {
      if (node.data !== null || node.op !== 'contract') continue;
      if (!isRead(node.sources[0], 'left')) store(node.sources[0]);
      if (!isRead(node.sources[1], 'right')) store(node.sources[1]);
    }
  }
  const groups = order.filter((node) => stored.has(node) && node.data === null).map((node) => groupOf(node));
  return { order, roots, stored, groups: mergeOutputs(groups) };
}

/** Puts what a chain of movements starts from into memory. */
function storeBase(node: AnyNode, stored: Set<AnyNode>): void {
  let base = node;
  while (base.data === null && !stored.has(base) && KIND[base.op] === 'movement') [base] = operandsOf(base);
  if (base.data === null && base.op !== 'constant') stored.add(base);
}

/** What windows are taken of: padding is written out, so that no window reaches beyond. */
function imageOf(node: AnyNode, isStored: (node: AnyNode) => boolean): AnyNode {
  let image = node;
  while (!isStored(image) && image.op !== 'pad' && (KIND[image.op] === 'movement' || image.op === 'contiguous'))
    [image] = operandsOf(image);
  return image;
}

function groupOf(node: AnyNode): Group {
  if (node.op === 'reduce') {
    const { axes } = node.attr;
    return {
      kind: 'loops',
      kept: node.shape,
      reduced: axes.map((axis) => node.sources[0].shape[axis]),
      reductions: [node],
      stores: [{ node, level: 'row' }],
    };
  }
  if (node.op === 'fold')
    return {
      kind: 'loops',
      kept: node.shape,
      reduced: [node.attr.size],
      reductions: [node],
      stores: [{ node, level: 'row' }],
    };
  if (node.op === 'contract') return { kind: 'contract', anchor: node, stores: [{ node, level: 'row' }] };
  if (KIND[node.op] === 'opaque') return { kind: 'opaque', anchor: node, stores: [{ node, level: 'row' }] };
  return { kind: 'loops', kept: finestShape(node), reduced: [], reductions: [], stores: [{ node, level: 'row' }] };
}

/**
 * The shape to loop over: reshapes below an elementwise value may hide dimensions whose strides differ (the windows of a convolution, say),
 * and a loop for each of them needs no division.
 */
function finestShape(node: AnyNode): Shape {
  const count = elementCount(node.shape);
  let finest = node.shape;
  const visit = (at: AnyNode, depth: number): void => {
    if (elementCount(at.shape) !== count) return;
    if (at.shape.length > finest.length) finest = at.shape;
    if (at.data !== null || depth > 8) return;
    if (
      at.op === 'reshape' ||
      at.op === 'contiguous' ||
      at.op === 'detach' ||
      at.op === 'leaf' ||
      at.op === 'complex' ||
      at.op === 'part' ||
      KIND[at.op] === 'elementwise'
    )
      operandsOf(at).forEach((source) => visit(source, depth + 1));
  };
  visit(node, 0);
  return finest;
}

/** The outputs of one custom operation are one group. */
function mergeOutputs(groups: readonly Group[]): Group[] {
  const result: Group[] = [];
  for (const group of groups) {
    const twin =
      group.kind === 'opaque' && group.anchor.op === 'custom'
        ? result.findIndex((other) => other.kind === 'opaque' && isTwin(group.anchor, other.anchor))
        : -1;
    const other = result[twin];
    if (other !== undefined && other.kind === 'opaque')
      result[twin] = { ...other, stores: [...other.stores, ...group.stores] };
    else result.push(group);
  }
  return result;
}

const isTwin = (a: AnyNode, b: AnyNode): boolean =>
  a.op === 'custom' &&
  b.op === 'custom' &&
  a.attr.operation === b.attr.operation &&
  a.attr.options === b.attr.options &&
  a.sources.length === b.sources.length &&
  a.sources.every((s, i) => s === b.sources[i]);
