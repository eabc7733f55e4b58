/**
 * What all optimisers share: parameter groups, per-parameter state, the state dict in PyTorch's layout, and the order of a step. An update rule
 * only builds lazy in-place operations; the base class evaluates them all at once, so that forward, backward and update are one program.
 */
import { type Defaults, describeValue, ProjError, unknownOption, withDefaults } from '@proj/kernel';
import { evaluate, keep, Tensor, tensor, zerosLike } from '@proj/tensor';
import { inPlaceOperation, nextNodeId, setGradEnabled } from '@proj/tensor/graph';
import { type Numbers, StepNumbers } from './numbers.ts';
import { everyStep } from './replay.ts';
import { camelCase, type PlainValue, snakeCase } from './state-names.ts';

/** Parameters that share hyper-parameters. Schedulers write `lr` (and momenta) here. */
export type ParamGroup<H> = H & { params: Tensor[]; lr: number; initialLr?: number };
/** A group as the caller gives it: what it leaves out comes from the optimiser's options. */
export type ParamGroupInput<H> = Partial<H> & { readonly params: Tensor | Iterable<Tensor> };
/** What the first argument of an optimiser may be. */
export type Params<H> = Iterable<Tensor> | Iterable<ParamGroupInput<H>>;

/** What an optimiser remembers about one parameter. */
export interface ParameterState {
  /** Updates done so far. */
  step: number;
  /** Numbers that follow from the history of hyper-parameters (NAdam's product of momenta …). */
  readonly numbers: Record<string, number>;
  /** Moments and the like, updated in place. */
  readonly tensors: Record<string, Tensor>;
}

export type StateDictValue =
  Tensor | PlainValue | readonly StateDictValue[] | { readonly [key: string]: StateDictValue };
/** PyTorch's layout: state by the parameter's position in the groups, names in snake_case. */
export interface OptimizerStateDict {
  readonly state: Record<string, Record<string, StateDictValue>>;
  readonly param_groups: Record<string, StateDictValue>[];
}

/** Options of PyTorch that say how an update is computed, not which: programs that set them run, without effect. */
const HOW: ReadonlySet<string> = new Set(['foreach', 'fused', 'capturable', 'differentiable']);
const withoutHow = <T extends object>(options: T): T =>
  Object.keys(options).some((name) => HOW.has(name))
    ? (Object.fromEntries(Object.entries(options).filter(([name]) => !HOW.has(name))) as T)
    : options;
/** What a group holds besides the options of its optimiser: what schedulers keep there, and a name of the user's. */
const BESIDE_OPTIONS: ReadonlySet<string> = new Set([
  'params',
  'name',
  'initialLr',
  'maxLr',
  'minLr',
  'maxMomentum',
  'baseMomentum',
  'swaLr',
]);

/** Something that undoes a registration. */
export interface HookHandle {
  remove(): void;
}

/** One parameter in an update: the value without gradient, its gradient (negated when maximising), its state. */
export interface Update {
  readonly param: Tensor;
  readonly grad: Tensor;
  readonly tensors: Record<string, Tensor>;
}

const isIterable = (value: unknown): boolean => typeof value === 'object' && value !== null && Symbol.iterator in value;

/** A function that is registered twice is called twice. */
function register<T>(hooks: Map<object, T>, hook: T): HookHandle {
  const key = {};
  hooks.set(key, hook);
  return { remove: () => void hooks.delete(key) };
}

export function withGradients<T>(enabled: boolean, fn: () => T): T {
  const before = setGradEnabled(enabled);
  try {
    return fn();
  } finally {
    setGradEnabled(before);
  }
}

/** Writes `value()` into `target` as one in-place operation. */
export function write(target: Tensor, value: () => Tensor): void {
  const since = nextNodeId();
  inPlaceOperation(() => target.assign(value().node, 'step', since));
}

/** How `step` and the remembered numbers appear in the state dict, as PyTorch 1.13 has them. */
export type StepLayout = 'tensor' | 'number' | 'none';

/** Base of the optimisers. An update rule gives the state that a parameter starts with, the numbers of a step, and the update as lazy in-place operations. */
export abstract class Optimizer<H extends { lr: number }, N extends Numbers = Numbers> {
  readonly defaults: H;
  readonly paramGroups: ParamGroup<H>[] = [];
  readonly state = new Map<Tensor, ParameterState>();
  protected readonly stepLayout: StepLayout = 'tensor';
  readonly #before = new Map<object, (optimizer: this) => void>();
  readonly #after = new Map<object, (optimizer: this) => void>();

  /** `defaults` names every option; `options` is what the caller gave. */
  constructor(params: Params<H>, defaults: H, options: Partial<H> = {}) {
    this.defaults = withDefaults<Partial<H>>(new.target.name, defaults as Defaults<H>, withoutHow(options)) as H;
    if (params instanceof Tensor || !isIterable(params))
      throw new ProjError('invalid-argument', `params is ${params instanceof Tensor ? 'a tensor' : typeof params}`, {
        op: this.constructor.name,
        cure: 'Pass model.parameters(), an array of tensors, or an array of groups { params, lr, … }',
      });
    const list = [...params] as (Tensor | ParamGroupInput<H>)[];
    if (list.length === 0)
      throw new ProjError('invalid-argument', 'the list of parameters is empty', {
        op: this.constructor.name,
        cure: 'Pass model.parameters() of a model that has some',
      });
    if (list.every((x) => x instanceof Tensor)) this.addParamGroup({ params: list } as unknown as ParamGroupInput<H>);
    else for (const group of list) this.addParamGroup(group as ParamGroupInput<H>);
  }

  /** Checks the hyper-parameters of a group; throws for values outside their range. */
  protected abstract check(group: H): void;
  /** The state that a parameter starts with. */
  protected abstract initialState(param: Tensor, group: ParamGroup<H>): Record<string, Tensor>;
  protected initialNumbers(_group: ParamGroup<H>): Record<string, number> {
    return {};
  }
  /** The numbers of update number `step` (from 1). May change `memory`, which belongs to the parameters that share the step. */
  protected abstract numbers(group: ParamGroup<H>, step: number, memory: Record<string, number>): N;
  /** Builds the update of one parameter. */
  protected abstract update(update: Update, n: (name: keyof N & string) => Tensor, group: ParamGroup<H>): void;

  /** Adds parameters with hyper-parameters of their own. Errors: not a leaf; given twice. */
  addParamGroup(group: ParamGroupInput<H>): void {
    const op = `${this.constructor.name}.addParamGroup`;
    if (!(group.params instanceof Tensor) && !isIterable(group.params))
      throw new ProjError('invalid-argument', 'a group has no params', {
        op,
        cure: 'Groups look like { params: [tensor, …], lr: 0.01 }',
      });
    const names = Object.keys(this.defaults);
    const unknown = Object.keys(group).find(
      (name) => !names.includes(name) && !BESIDE_OPTIONS.has(name) && !HOW.has(name),
    );
    if (unknown !== undefined) throw unknownOption(op, unknown, names);
    const params = group.params instanceof Tensor ? [group.params] : [...group.params];
    const known = new Set(this.paramGroups.flatMap((g) => g.params));
    for (const param of params) {
      if (!(param instanceof Tensor))
        throw new ProjError('invalid-argument', `a parameter is a ${typeof param}`, {
          op,
          cure: 'Optimisers take tensors',
        });
      if (!param.isLeaf)
        throw new ProjError('invalid-argument', 'a parameter is not a leaf', {
          op,
          shapes: [param.shape],
          dtypes: [param.dtype],
          cure: 'Only leaf tensors can be optimised: detach it and set requiresGrad',
        });
      if (known.has(param))
        throw new ProjError('invalid-argument', 'a parameter appears twice', {
          op,
          shapes: [param.shape],
          dtypes: [param.dtype],
        });
      known.add(param);
    }
    const made = { ...this.defaults, ...group, params } as ParamGroup<H>;
    if (typeof made.lr !== 'number' || Number.isNaN(made.lr))
      throw new ProjError('invalid-argument', `lr is ${describeValue(made.lr)}`, {
        op,
        cure: 'Give a learning rate: { lr: 0.01 }',
      });
    this.check(made);
    this.paramGroups.push(made);
  }

  /** Forgets the gradients; with `setToNone: false` fills them with zeros. */
  zeroGrad({ setToNone = true }: { setToNone?: boolean } = {}): void {
    for (const { params } of this.paramGroups) {
      for (const param of params) {
        if (param.grad === null) continue;
        if (setToNone) param.grad = null;
        else param.grad = zerosLike(param.grad.detach());
      }
    }
  }

  /** Updates every parameter that has a gradient. `closure` computes the loss (and gradients) anew; its value is returned. */
  step(): null;
  step<T>(closure: () => T): T;
  step<T>(closure?: (() => T) | null): T | null {
    for (const hook of this.#before.values()) hook(this);
    const loss = closure === undefined || closure === null ? null : withGradients(true, closure);
    withGradients(false, () => this.updateAll());
    for (const hook of this.#after.values()) hook(this);
    return loss;
  }

  protected updateAll(): void {
    const shares = this.paramGroups.flatMap((group) => this.#shares(group));
    everyStep(() => {
      for (const { group, states, numbers } of shares) {
        const [first] = states;
        const values = this.numbers(group, first.step + 1, first.numbers);
        for (const state of states) {
          state.step++;
          Object.assign(state.numbers, first.numbers);
        }
        numbers.values = values;
      }
    });
    const written: Tensor[] = [];
    for (const { group, params, numbers } of shares) {
      for (const [param, state] of params) {
        const value = param.detach();
        const gradient = (param.grad as Tensor).detach();
        const grad = (group as { maximize?: boolean }).maximize === true ? gradient.neg() : gradient;
        this.update({ param: value, grad, tensors: state.tensors }, (name) => numbers.of(name, value), group);
        written.push(value, ...Object.values(state.tensors));
      }
    }
    evaluate(written);
  }

  /** Parameters of a group that have the same history use the same numbers. */
  #shares(
    group: ParamGroup<H>,
  ): { group: ParamGroup<H>; params: [Tensor, ParameterState][]; states: ParameterState[]; numbers: StepNumbers<N> }[] {
    const shares = new Map<
      string,
      { group: ParamGroup<H>; params: [Tensor, ParameterState][]; states: ParameterState[]; numbers: StepNumbers<N> }
    >();
    for (const param of group.params) {
      if (param.grad === null) continue;
      const state = this.stateOf(param, group);
      const key = [state.step, ...Object.values(state.numbers)].join();
      const share = shares.get(key) ?? { group, params: [], states: [], numbers: new StepNumbers<N>() };
      share.params.push([param, state]);
      share.states.push(state);
      shares.set(key, share);
    }
    return [...shares.values()];
  }

  protected stateOf(param: Tensor, group: ParamGroup<H>): ParameterState {
    let state = this.state.get(param);
    if (state === undefined) {
      state = {
        step: 0,
        numbers: this.initialNumbers(group),
        tensors: withGradients(false, () => this.initialState(param.detach(), group)),
      };
      // State made inside tidy() outlives it.
      for (const tensor of Object.values(state.tensors)) keep(tensor);
      this.state.set(param, state);
    }
    return state;
  }

  /** Makes the state of all parameters now, instead of at their first update: for steps that are captured, and to save a run that has not begun. */
  initialize(): void {
    const made = this.paramGroups.flatMap((group) =>
      group.params.flatMap((param) => Object.values(this.stateOf(param, group).tensors)),
    );
    evaluate(made);
  }

  /** Calls `hook` before (after) each step. Not called at replays of a captured step. */
  registerStepPreHook(hook: (optimizer: this) => void): HookHandle {
    return register(this.#before, hook);
  }
  registerStepPostHook(hook: (optimizer: this) => void): HookHandle {
    return register(this.#after, hook);
  }

  /** The groups with their hyper-parameters. */
  toString(): string {
    const groups = this.paramGroups.map(({ params, ...rest }, i) =>
      [
        `Parameter Group ${i}`,
        ...Object.entries({ params: params.length, ...rest }).map(([key, value]) => `    ${key}: ${String(value)}`),
      ].join('\n'),
    );
    return `${this.constructor.name} (\n${groups.join('\n\n')}\n)`;
  }
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString();
  }

  /** The state in PyTorch's layout and names. The tensors are the live ones: clone or save them before the next step. */
  stateDict(): OptimizerStateDict {
    const index = this.#positions();
    const state: OptimizerStateDict['state'] = {};
    for (const [param, entry] of this.state) {
      const position = index.get(param);
      if (position !== undefined) state[position] = this.saveState(entry);
    }
    const groups = this.paramGroups.map(({ params, ...rest }) => {
      const saved: Record<string, StateDictValue> = {};
      for (const [key, value] of Object.entries(rest)) saved[snakeCase(key)] = value as StateDictValue;
      saved['params'] = params.map((param) => index.get(param) ?? -1);
      return saved;
    });
    return { state, param_groups: groups };
  }

  #positions(): Map<Tensor, number> {
    return new Map(this.paramGroups.flatMap((group) => group.params).map((param, i) => [param, i]));
  }

  protected saveState({ step, numbers, tensors }: ParameterState): Record<string, StateDictValue> {
    const saved: Record<string, StateDictValue> = {};
    if (this.stepLayout !== 'none')
      saved['step'] = this.stepLayout === 'number' ? step : tensor(step, { dtype: 'float32' });
    for (const [key, value] of Object.entries(numbers)) saved[snakeCase(key)] = tensor(value, { dtype: 'float32' });
    for (const [key, value] of Object.entries(tensors)) saved[snakeCase(key)] = value;
    return saved;
  }

  /** Takes over a state dict, of ours or of PyTorch. Errors: other groups or group sizes; a tensor whose shape does not fit its parameter. */
  loadStateDict(dict: OptimizerStateDict): void {
    const op = `${this.constructor.name}.loadStateDict`;
    const groups = dict.param_groups;
    const sizes = (list: readonly { readonly params?: unknown }[]): string =>
      list.map((g) => (Array.isArray(g.params) ? g.params.length : 0)).join(', ');
    if (sizes(groups) !== sizes(this.paramGroups)) {
      throw new ProjError(
        'serialization',
        `the state has groups of ${sizes(groups)} parameters, this optimiser of ${sizes(this.paramGroups)}`,
        { op, cure: 'Build the optimiser with the same groups as the saved one' },
      );
    }
    const byIndex = new Map<string, [Tensor, ParamGroup<H>]>();
    this.paramGroups.forEach((group, g) =>
      group.params.forEach((param, i) =>
        byIndex.set(String((groups[g]['params'] as readonly number[])[i]), [param, group]),
      ),
    );
    const loaded = new Map<Tensor, ParameterState>();
    for (const [index, entries] of Object.entries(dict.state)) {
      const owner = byIndex.get(index);
      if (owner !== undefined) loaded.set(owner[0], this.loadState(entries, owner[0], owner[1], op));
    }
    for (const param of this.state.keys()) if (!loaded.has(param)) this.state.delete(param);
    for (const [param, state] of loaded) this.#adopt(param, state);
    evaluate([...loaded.values()].flatMap(({ tensors }) => Object.values(tensors)));
    this.paramGroups.forEach((group, g) => {
      for (const [key, value] of Object.entries(groups[g]))
        if (key !== 'params') (group as Record<string, unknown>)[camelCase(key)] = value;
    });
  }

  /** Where there is state already it is overwritten, not replaced: a captured step holds on to it. */
  #adopt(param: Tensor, loaded: ParameterState): void {
    const known = this.state.get(param);
    if (known === undefined) {
      this.state.set(param, loaded);
      return;
    }
    known.step = loaded.step;
    Object.assign(known.numbers, loaded.numbers);
    for (const [name, value] of Object.entries(loaded.tensors)) {
      const existing = known.tensors[name];
      if (existing === undefined) known.tensors[name] = value;
      else existing.assign(value.node, 'loadStateDict');
    }
  }

  protected loadState(
    entries: Record<string, StateDictValue>,
    param: Tensor,
    group: ParamGroup<H>,
    op: string,
  ): ParameterState {
    const tensors = withGradients(false, () => this.initialState(param.detach(), group));
    const numbers = this.initialNumbers(group);
    const number = (value: StateDictValue): number => (value instanceof Tensor ? value.item() : Number(value));
    let step = 0;
    for (const [name, value] of Object.entries(entries)) {
      const key = camelCase(name);
      if (key === 'step') step = number(value);
      else if (key in numbers) numbers[key] = number(value);
      else if (value instanceof Tensor) {
        const wanted = tensors[key]?.shape ?? param.shape;
        if (value.shape.join() !== wanted.join())
          throw new ProjError('serialization', `"${name}" does not fit its parameter`, {
            op,
            shapes: [value.shape, wanted],
          });
        tensors[key] = tensor(value, { dtype: param.dtype, device: param.device }).clone();
        if (this.stepLayout === 'none') step = 1;
      }
    }
    return { step, numbers, tensors };
  }
}
