/**
 * Reverse accumulation over the lazy graph. Nodes are numbered in the order in which they are made, so the newest node that waits has
 * received all contributions: a heap by number is a topological order, also when a checkpoint adds new nodes on the way.
 */
import { ProjError } from '@proj/kernel';
import { evaluate, type Tensor } from '@proj/tensor';
import {
  type AnyNode,
  castNode,
  constantNode,
  type GradientHook,
  gradientHooks,
  isComplexType,
  leafTensors,
  overwrittenNodes,
  type Primitive,
  retainedTensors,
  sameShape,
  setGradEnabled,
  whereNode,
  wrap,
} from '@proj/tensor/graph';
import { accumulate, type ConcatMemo } from './accumulate.ts';
import { constantValue } from './arithmetic.ts';
import { type FunctionLink, linkOf } from './links.ts';
import { NodeHeap } from './node-heap.ts';
import { type Contribution, type GradientRule, RULES, type Saved } from './rules.ts';

export interface PassOptions {
  readonly retainGraph: boolean;
  readonly createGraph: boolean;
  /** The nodes whose gradients are wanted; null for those of all leaves. */
  readonly wanted: ReadonlySet<AnyNode> | null;
}

let anomalyDetection = false;
/** Checks every gradient for NaN as it is made, and names the operation that made one. Slow: each is computed at once. Returns what was set before. */
export function setAnomalyDetection(enabled: boolean): boolean {
  const before = anomalyDetection;
  anomalyDetection = enabled;
  return before;
}

const MOVEMENT: ReadonlySet<Primitive> = new Set<Primitive>([
  'reshape',
  'permute',
  'expand',
  'slice',
  'pad',
  'window',
  'leaf',
  'detach',
  'part',
]);

const freed = (op: string): ProjError =>
  new ProjError('autograd', 'a second backward through a graph whose values were freed by the first', {
    op,
    cure: 'Give { retainGraph: true } to the first backward',
  });

/** The values that the rule of `node` reads, checked for being what they were. */
function savedOf(node: AnyNode): Saved {
  const check = (value: AnyNode): AnyNode => {
    if (constantValue(value) !== null) return value;
    if (node.released) throw freed(node.op);
    for (let at: AnyNode | undefined = value; at !== undefined; at = MOVEMENT.has(at.op) ? at.sources[0] : undefined) {
      const since = overwrittenNodes.get(at);
      if (since !== undefined && node.id < since) {
        throw new ProjError('autograd', 'a value that the gradient needs was changed by an in-place operation', {
          op: node.op,
          shapes: [value.shape],
          dtypes: [value.dtype],
          cure: 'Use the out-of-place form, or clone the tensor before changing it',
        });
      }
    }
    return value;
  };
  return { input: (index) => check(node.sources[index]), output: () => check(node) };
}

/** What the gradient of a node flows on to. */
function upstream(node: AnyNode): readonly AnyNode[] {
  const link = linkOf(node);
  if (link === undefined) return node.op === 'leaf' ? [] : node.sources;
  return node === link.outputs[0] ? link.inputs : [link.outputs[0]];
}

/** Whether a wanted node lies upstream, by depth-first search with memory. */
function leadsTo(wanted: ReadonlySet<AnyNode>): (node: AnyNode) => boolean {
  const known = new Map<AnyNode, boolean>();
  const start = (node: AnyNode): boolean | undefined => {
    if (!node.requiresGrad) return false;
    if (wanted.has(node) || linkOf(node)?.kind === 'recompute') return true;
    return known.get(node);
  };
  return (node) => {
    const stack = [node];
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      if (start(top) !== undefined) {
        known.set(top, start(top) === true);
        stack.pop();
        continue;
      }
      const sources = upstream(top);
      const open = sources.find((source) => start(source) === undefined);
      if (open !== undefined) stack.push(open);
      else {
        known.set(
          top,
          sources.some((source) => start(source) === true),
        );
        stack.pop();
      }
    }
    return known.get(node) === true;
  };
}

function checkNumbers(gradient: AnyNode, node: AnyNode): void {
  const value = wrap(gradient);
  evaluate([value]);
  if (value.ne(value).any().item<boolean>()) {
    throw new ProjError(
      'autograd',
      `the gradient of a ${node.op === 'unary' || node.op === 'binary' ? node.attr.fn : node.op} is NaN`,
      { op: 'detectAnomaly', shapes: [node.shape], dtypes: [node.dtype] },
    );
  }
}

function applyHooks(hooks: ReadonlySet<GradientHook> | undefined, gradient: AnyNode): AnyNode {
  let current = gradient;
  for (const hook of hooks ?? []) {
    const replaced = hook(wrap(current));
    if (replaced === undefined || replaced === null) continue;
    if (!sameShape(replaced.shape, gradient.shape))
      throw new ProjError('autograd', 'a hook returned a gradient of another shape', {
        op: 'registerHook',
        shapes: [gradient.shape, replaced.shape],
      });
    current = replaced.node;
  }
  return current;
}

/** `value` as something that depends on `node`, with a gradient of zero: what PyTorch gives for the second derivatives of ReLU and its like. */
const withZeroGradient = (value: AnyNode, node: AnyNode): AnyNode =>
  whereNode(constantNode(node.device, 'bool', node.shape, false), castNode(node, value.dtype), value);

/** Adds to `.grad`, in place unless the gradients are recorded. */
export function accumulateInto(tensor: Tensor, gradient: AnyNode, createGraph: boolean): void {
  if (tensor.grad === null) tensor.grad = wrap(gradient);
  else if (createGraph) tensor.grad = tensor.grad.add(wrap(gradient));
  else tensor.grad.assign(tensor.grad.add(wrap(gradient)).node, 'backward');
}

/** Runs gradients back from `roots`, with `seeds` as theirs; gives those of the wanted nodes, or accumulates into the leaves. */
export function runBackward(
  roots: readonly AnyNode[],
  seeds: readonly AnyNode[],
  options: PassOptions,
): Map<AnyNode, AnyNode> {
  const before = setGradEnabled(options.createGraph);
  try {
    return new BackwardPass(options).run(roots, seeds);
  } finally {
    setGradEnabled(before);
  }
}

class BackwardPass {
  readonly #options: PassOptions;
  readonly #waiting = new NodeHeap();
  readonly #contributions = new Map<AnyNode, Contribution[]>();
  readonly #linkGradients = new Map<FunctionLink, (AnyNode | null)[]>();
  readonly #visited: AnyNode[] = [];
  readonly #memo: ConcatMemo = new Map();
  readonly #found = new Map<AnyNode, AnyNode>();
  readonly #isNeeded: (node: AnyNode) => boolean;
  /** Whether a function with kinks was passed, whose second derivative is zero rather than none. */
  #kinked = false;

  constructor(options: PassOptions) {
    this.#options = options;
    this.#isNeeded = options.wanted === null ? (node) => node.requiresGrad : leadsTo(options.wanted);
  }

  run(roots: readonly AnyNode[], seeds: readonly AnyNode[]): Map<AnyNode, AnyNode> {
    roots.forEach((root, i) => {
      if (this.#isNeeded(root)) this.#contribute(root, seeds[i]);
    });
    for (let node = this.#waiting.pop(); node !== undefined; node = this.#waiting.pop()) {
      const gradient = accumulate(this.#contributions.get(node) ?? [], node.shape, this.#memo);
      this.#contributions.delete(node);
      this.#visited.push(node);
      this.#visit(node, gradient);
    }
    if (!this.#options.retainGraph) this.#release();
    return this.#found;
  }

  #contribute(node: AnyNode, contribution: Contribution): void {
    const list = this.#contributions.get(node);
    if (list === undefined) {
      this.#contributions.set(node, [contribution]);
      this.#waiting.push(node);
    } else list.push(contribution);
  }

  #visit(node: AnyNode, arrived: AnyNode | null): void {
    const { wanted, createGraph } = this.#options;
    const leaf = leafTensors.get(node);
    let gradient = arrived;
    if (gradient !== null) {
      if (anomalyDetection) checkNumbers(gradient, node);
      gradient = applyHooks(gradientHooks.get(leaf ?? node), gradient);
      const retained = retainedTensors.get(node);
      if (retained !== undefined && wanted === null) retained.grad = wrap(gradient);
      if (wanted?.has(node) === true || (wanted === null && leaf !== undefined)) {
        if (createGraph && this.#kinked && !gradient.requiresGrad) gradient = withZeroGradient(gradient, node);
        if (wanted !== null) this.#found.set(node, gradient);
        else if (leaf !== undefined) accumulateInto(leaf, gradient, createGraph);
      }
    }
    const link = linkOf(node);
    if (link !== undefined) this.#visitLink(link, node, gradient);
    else if (gradient !== null && node.op !== 'leaf') this.#visitPrimitive(node, gradient);
  }

  #visitPrimitive(node: AnyNode, gradient: AnyNode): void {
    if (node.sources.length === 0) throw freed(node.op);
    this.#kinked ||= node.op === 'where' || (node.op === 'unary' && node.attr.fn === 'relu');
    // The table is total: the rule of a node's primitive takes that node.
    const thunks = (RULES[node.op] as GradientRule<Primitive>)(gradient, node, savedOf(node));
    thunks.forEach((thunk, i) => {
      const source = node.sources[i];
      if (thunk !== null && this.#isNeeded(source)) this.#contribute(source, thunk());
    });
  }

  #visitLink(link: FunctionLink, node: AnyNode, gradient: AnyNode | null): void {
    const gradients = this.#linkGradients.get(link) ?? link.outputs.map(() => null);
    this.#linkGradients.set(link, gradients);
    gradients[link.outputs.indexOf(node)] = gradient;
    if (node !== link.outputs[0]) {
      this.#contribute(link.outputs[0], null);
      return;
    }
    if (link.released && link.savesValues) throw freed(link.name);
    const results = link.run(gradients);
    const targets = link.kind === 'recompute' ? results : link.inputs;
    const contributions = link.kind === 'recompute' ? gradients : results;
    targets.forEach((target, i) => {
      const contribution = contributions[i] ?? null;
      if (target !== null && contribution !== null && this.#isNeeded(target)) this.#contribute(target, contribution);
    });
  }

  #release(): void {
    for (const node of this.#visited) {
      const link = linkOf(node);
      if (link !== undefined) link.released = true;
      else if (!MOVEMENT.has(node.op)) {
        node.released = true;
        if (node.data !== null) node.sources = [];
      }
    }
  }
}

/** The gradient to start from: as given, or 1 for a value of one element. */
export function seedFor(
  output: Tensor,
  given: Tensor | null | undefined,
  op: string,
  one: (like: AnyNode) => AnyNode,
): AnyNode {
  if (given === undefined || given === null) {
    if (output.numel() !== 1)
      throw new ProjError('autograd', 'a gradient to start from is needed unless the value has one element', {
        op,
        shapes: [output.shape],
        dtypes: [output.dtype],
        cure: "Give a gradient of the value's shape, or reduce it with .sum()",
      });
    if (isComplexType(output.dtype))
      throw new ProjError('autograd', 'a gradient to start from is made up for real values only', {
        op,
        shapes: [output.shape],
        dtypes: [output.dtype],
        cure: 'Give one, or make the value real: .abs(), .real()',
      });
    return one(output.node);
  }
  if (!sameShape(given.shape, output.shape))
    throw new ProjError('autograd', 'the gradient to start from has another shape than the value', {
      op,
      shapes: [output.shape, given.shape],
      dtypes: [output.dtype, given.dtype],
    });
  return castNode(given.node, output.dtype);
}
