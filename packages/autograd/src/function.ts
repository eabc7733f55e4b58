/** Functions with a gradient of their own: `Function` (as torch.autograd.Function), `customGradient`, and `checkpoint`, which computes twice to keep less. */
import { ProjError } from '@proj/kernel';
import { Tensor, zerosLike } from '@proj/tensor';
import {
  type AnyNode,
  detachNode,
  type DrawTape,
  isDifferentiable,
  isGradEnabled,
  leafNode,
  withDraws,
  wrap,
} from '@proj/tensor/graph';
import { listOf, type TensorOrList } from './backward.ts';
import { type FunctionLink, functionLinks } from './links.ts';
import { enableGrad, noGrad } from './modes.ts';

type GradientList = Tensor | null | undefined | readonly (Tensor | null | undefined)[];

/** Outputs of `values` that pass their gradients to `inputs` through `run`. */
function link(
  name: string,
  kind: FunctionLink['kind'],
  inputs: readonly AnyNode[],
  values: readonly Tensor[],
  savesValues: () => boolean,
  run: FunctionLink['run'],
  fixed: ReadonlySet<Tensor> = new Set(),
): Tensor[] {
  const outputs = values.map((value) =>
    isDifferentiable(value.dtype) && !fixed.has(value) ? leafNode(detachNode(value.node)) : value.node,
  );
  const linked = outputs.filter((node) => node.op === 'leaf');
  const record: FunctionLink = {
    name,
    kind,
    inputs,
    outputs: linked,
    released: false,
    get savesValues() {
      return savesValues();
    },
    run,
  };
  for (const node of linked) functionLinks.set(node, record);
  return outputs.map(wrap);
}

const anyRequires = (inputs: readonly unknown[]): boolean =>
  isGradEnabled() && inputs.some((x) => x instanceof Tensor && x.requiresGrad);

/** What `forward` leaves for `backward`. */
export class FunctionContext {
  #saved: readonly Tensor[] = [];
  readonly nonDifferentiable = new Set<Tensor>();
  /** For each input, whether its gradient is wanted. */
  readonly needsInputGrad: readonly boolean[];
  materializesGrads = true;
  /** Anything else: `context.shape = …`. */
  [key: string]: unknown;

  constructor(needsInputGrad: readonly boolean[]) {
    this.needsInputGrad = needsInputGrad;
  }
  /** Keeps tensors for {@link savedTensors}. */
  saveForBackward(...tensors: Tensor[]): void {
    this.#saved = tensors;
  }
  get savedTensors(): readonly Tensor[] {
    return this.#saved;
  }
  /** Outputs that have no gradient. */
  markNonDifferentiable(...outputs: Tensor[]): void {
    for (const output of outputs) this.nonDifferentiable.add(output);
  }
  /** Whether missing gradients of outputs arrive as zeros (the default) or null. */
  setMaterializeGrads(value: boolean): void {
    this.materializesGrads = value;
  }
}

interface FunctionClass<Args extends readonly unknown[]> {
  readonly name: string;
  forward(context: FunctionContext, ...args: Args): TensorOrList;
  backward(context: FunctionContext, ...gradients: Tensor[]): GradientList;
}

/** Base of user-written operations: static `forward(ctx, …args)` and `backward(ctx, …gradients)`; called by `Subclass.apply(…args)`. */
export class Function {
  static forward(_context: FunctionContext, ..._args: never[]): TensorOrList {
    throw new ProjError('autograd', `${this.name} has no static forward`, { op: this.name });
  }
  static backward(_context: FunctionContext, ..._gradients: Tensor[]): GradientList {
    throw new ProjError('autograd', `${this.name} has no static backward`, { op: this.name });
  }
  /** Runs `forward` unrecorded, and ties its outputs to `backward`. */
  static apply<Args extends readonly unknown[]>(this: FunctionClass<Args>, ...args: Args): TensorOrList {
    const records = anyRequires(args);
    const context = new FunctionContext(args.map((x) => records && x instanceof Tensor && x.requiresGrad));
    const result = noGrad(() => this.forward(context, ...args));
    if (!records) return result;
    const positions = args.flatMap((x, i) => (x instanceof Tensor && x.requiresGrad ? [i] : []));
    const values = listOf(result);
    const differentiable = values.filter(
      (value) => isDifferentiable(value.dtype) && !context.nonDifferentiable.has(value),
    );
    const outputs = link(
      this.name,
      'backward',
      positions.map((i) => (args[i] as Tensor).node),
      values,
      () => context.savedTensors.length > 0,
      (gradients) => {
        const given = gradients.map((gradient, i) =>
          gradient === null ? (context.materializesGrads ? zerosLike(differentiable[i]) : null) : wrap(gradient),
        );
        let next = 0;
        const forAll = values.map((value) => (differentiable.includes(value) ? given[next++] : zerosLike(value)));
        const results = this.backward(context, ...(forAll as Tensor[]));
        const list = Array.isArray(results)
          ? (results as readonly (Tensor | null | undefined)[])
          : [results as Tensor | null | undefined];
        return positions.map((i) => checked(list[i] ?? null, args[i] as Tensor, this.name));
      },
      context.nonDifferentiable,
    );
    return Array.isArray(result) ? outputs : outputs[0];
  }
}

function checked(gradient: Tensor | null, input: Tensor, name: string): AnyNode | null {
  if (gradient !== null && gradient.shape.join() !== input.shape.join())
    throw new ProjError('autograd', 'backward returned a gradient of another shape than the input', {
      op: name,
      shapes: [input.shape, gradient.shape],
    });
  return gradient?.node ?? null;
}

/** What a function with its own gradient gives: its value, and the gradients of its inputs from that of the value. */
export interface ValueAndGradient {
  readonly value: Tensor;
  readonly gradFunc: (gradient: Tensor) => Tensor | readonly (Tensor | null)[];
}

/** `fn` as a function whose gradient is the one that it returns: `customGradient((x) => ({ value: x.exp(), gradFunc: (g) => g }))`. */
export function customGradient(fn: (...inputs: Tensor[]) => ValueAndGradient): (...inputs: Tensor[]) => Tensor {
  return (...inputs) => {
    const { value, gradFunc } = noGrad(() => fn(...inputs));
    if (!anyRequires(inputs)) return value;
    return link(
      'customGradient',
      'backward',
      inputs.map((input) => input.node),
      [value],
      () => false,
      ([gradient]) => {
        if (gradient === null) return inputs.map(() => null);
        const results = gradFunc(wrap(gradient));
        const list = (results instanceof Tensor ? [results] : results) as readonly (Tensor | null)[];
        return inputs.map((input, i) => checked(list[i] ?? null, input, 'customGradient'));
      },
    )[0];
  };
}

/**
 * `fn(...inputs)` without keeping its intermediate values: the backward pass computes them again. `fn` must be a function of its inputs and of
 * the parameters it uses; random numbers are drawn again as they were.
 */
export function checkpoint<R extends TensorOrList>(fn: (...inputs: Tensor[]) => R, ...inputs: Tensor[]): R {
  if (!isGradEnabled()) return fn(...inputs);
  const draws: DrawTape = { draws: [], replaying: false, at: 0 };
  const again = <T>(run: () => T): T => withDraws({ ...draws, replaying: true, at: 0 }, run);
  const trace = <T>(run: () => T): T => (draws.draws.length > 0 ? again(run) : withDraws(draws, run));
  if (!anyRequires(inputs)) {
    // Only what the function closes over may require a gradient.
    const plain = trace(() => fn(...inputs));
    if (!anyRequires(listOf(plain))) return plain;
  }
  // The values as they are now: the second run must not see later writes.
  const given = inputs.map((input) => wrap(input.node));
  const result = trace(() => noGrad(() => fn(...given)));
  const values = listOf(result);
  const differentiable = values.map((value) => isDifferentiable(value.dtype));
  const outputs = link(
    'checkpoint',
    'recompute',
    given.filter((input) => input.requiresGrad).map((input) => input.node),
    values,
    () => false,
    () =>
      again(() => enableGrad(() => listOf(fn(...given)))).flatMap(({ node }, i) => (differentiable[i] ? [node] : [])),
  );
  return (Array.isArray(result) ? outputs : outputs[0]) as R;
}
