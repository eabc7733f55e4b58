/**
 * The base of all layers and models. Tensors and modules that are assigned to fields are found there: a `Parameter` is trained, a buffer (`registerBuffer`) is
 * state, a `Module` is a child. Names in state dicts are PyTorch's: the field `selfAttn` is `self_attn`.
 */
import { describeValue, type DType, ProjError, withDefaults } from '@proj/kernel';
import { noGrad } from '@proj/autograd';
import { Tensor, zerosLike } from '@proj/tensor';
import { Parameter } from './parameter.ts';
import { stateName } from './state-names.ts';

export type StateDict = Record<string, Tensor>;
export interface LoadResult {
  readonly missingKeys: readonly string[];
  readonly unexpectedKeys: readonly string[];
}
/** Called before `forward` with its inputs; what it returns replaces them. */
export type ForwardPreHook = (module: Module, inputs: readonly unknown[]) => readonly unknown[] | void;
/** Called after `forward` with its inputs and its output; what it returns replaces the output. */
export type ForwardHook = (module: Module, inputs: readonly unknown[], output: unknown) => unknown;
export interface HookHandle {
  remove(): void;
}
/**
 * A field whose value is computed from other fields of its module, parameters and buffers, whenever it is read: how weights are normalised, parametrised
 * and pruned. It names no module, so that copies share it.
 */
export interface DerivedField {
  /** The function that made it, for errors. */
  readonly op: string;
  compute(module: Module): Tensor;
  /** What assigning to the field does; where it is missing, assigning is an error. */
  assign?(module: Module, value: Tensor): void;
  /** Called before each `forward`. */
  beforeForward?(module: Module): void;
}

interface Internals {
  readonly buffers: Map<string, boolean>;
  readonly preHooks: Map<object, ForwardPreHook>;
  readonly hooks: Map<object, ForwardHook>;
  readonly derived: Map<string, DerivedField>;
}
// Beside the modules, so that they can be copied field by field.
const internals = new WeakMap<Module, Internals>();
function internalsOf(module: Module): Internals {
  const known = internals.get(module);
  if (known !== undefined) return known;
  const made: Internals = { buffers: new Map(), preHooks: new Map(), hooks: new Map(), derived: new Map() };
  internals.set(module, made);
  return made;
}

/** A function that is registered twice is called twice. */
function register<T>(hooks: Map<object, T>, hook: T): HookHandle {
  const key = {};
  hooks.set(key, hook);
  return { remove: () => void hooks.delete(key) };
}

/** Own parameters, of a module without its children. */
function* ownParameters(module: Module): Iterable<[string, Parameter]> {
  if (module.isLazy)
    throw new ProjError('invalid-argument', `a ${module.constructor.name} has no parameters before its first call`, {
      op: 'parameters',
      cure: 'Call the model once with an input of the right shape, then make the optimiser or convert it',
    });
  const { buffers } = internalsOf(module);
  for (const [name, value] of module.fields())
    if (value instanceof Parameter && !buffers.has(name)) yield [name, value];
}
function* ownBuffers(module: Module): Iterable<[string, Tensor]> {
  const { buffers } = internalsOf(module);
  for (const [name, value] of module.fields()) if (value instanceof Tensor && buffers.has(name)) yield [name, value];
}
function* named<T>(
  root: Module,
  own: (module: Module) => Iterable<[string, T]>,
  { prefix = '', recurse = true }: NamedOptions,
): IterableIterator<[string, T]> {
  const seen = new Set<T>();
  for (const [path, module] of recurse ? root.namedModules({ prefix }) : [[prefix, root] as [string, Module]]) {
    for (const [name, value] of own(module)) {
      if (seen.has(value)) continue;
      seen.add(value);
      yield [join(path, name), value];
    }
  }
}
/** Parameters, persistent buffers, then children, as PyTorch orders them. */
function* stateOf(module: Module, prefix: string): Iterable<[string, Tensor]> {
  const { buffers } = internalsOf(module);
  for (const [name, parameter] of ownParameters(module)) yield [`${prefix}${name}`, parameter];
  for (const [name, buffer] of ownBuffers(module)) if (buffers.get(name) === true) yield [`${prefix}${name}`, buffer];
  for (const [name, value] of module.fields()) if (value instanceof Module) yield* stateOf(value, `${prefix}${name}.`);
}
function convert<M extends Module>(root: M, fn: (tensor: Tensor) => Tensor): M {
  // All of them before the first is converted: asking may fail.
  const tensors = [...root.modules()].flatMap((module) => [...ownParameters(module), ...ownBuffers(module)]);
  noGrad(() => {
    for (const [, tensor] of tensors) {
      const converted = fn(tensor.detach());
      if (converted.dtype !== tensor.dtype || converted.device !== tensor.device)
        tensor.storage.replace(converted.node);
      if (tensor.grad !== null) tensor.grad = fn(tensor.grad.detach());
    }
  });
  return root;
}

type Forward = (...inputs: never[]) => unknown;

export interface NamedOptions {
  /** Put before every name. */
  readonly prefix?: string;
  /** Also of children (default true). */
  readonly recurse?: boolean;
}

const join = (prefix: string, name: string): string => (prefix === '' ? name : `${prefix}.${name}`);

/** Base of all layers and models: define fields and `forward`, call it with `call`. Errors of loading, of paths and of what a module cannot become are `ProjError`s. */
export class Module {
  /** Whether dropout drops and batch statistics are used; set by `train` and `eval`. */
  training = true;

  /** Whether the parameters do not exist yet: asking for them is an error, lest an optimiser never sees them. */
  get isLazy(): boolean {
    return false;
  }

  /** Computes the output. Subclasses define it. */
  forward(..._inputs: never[]): unknown {
    throw new ProjError('not-implemented', `${this.constructor.name} has no forward`, {
      op: this.constructor.name,
      cure: 'Define forward(…) in the class',
    });
  }

  /** `forward` with the hooks around it: how a module is called. */
  call<F extends Forward>(this: Module & { forward: F }, ...inputs: Parameters<F>): ReturnType<F> {
    const { preHooks, hooks } = internalsOf(this);
    if (preHooks.size === 0 && hooks.size === 0) return this.forward(...inputs) as ReturnType<F>;
    let given: readonly unknown[] = inputs;
    for (const hook of preHooks.values()) given = hook(this, given) ?? given;
    let output: unknown = this.forward(...(given as Parameters<F>));
    for (const hook of hooks.values()) {
      const replaced = hook(this, given, output);
      if (replaced !== undefined && replaced !== null) output = replaced;
    }
    return output as ReturnType<F>;
  }

  // What a module consists of

  /** Fields as (name in state dicts, value). Containers whose members are not fields override it. */
  fields(): Iterable<readonly [string, unknown]> {
    return Object.entries(this).map(([name, value]) => [stateName(name), value] as const);
  }

  /** Children with their names. */
  *namedChildren(): IterableIterator<[string, Module]> {
    const seen = new Set<Module>();
    for (const [name, value] of this.fields()) {
      if (!(value instanceof Module) || seen.has(value)) continue;
      seen.add(value);
      yield [name, value];
    }
  }
  *children(): IterableIterator<Module> {
    for (const [, child] of this.namedChildren()) yield child;
  }
  /** This module and all below it, each once, with their paths. */
  *namedModules(options: { prefix?: string; seen?: Set<Module> } = {}): IterableIterator<[string, Module]> {
    const { prefix, seen } = withDefaults('Module.namedModules', { prefix: '', seen: new Set<Module>() }, options);
    if (seen.has(this)) return;
    seen.add(this);
    yield [prefix, this];
    for (const [name, child] of this.namedChildren()) yield* child.namedModules({ prefix: join(prefix, name), seen });
  }
  *modules(): IterableIterator<Module> {
    for (const [, module] of this.namedModules()) yield module;
  }
  /** Parameters with their paths, each once. */
  namedParameters(options: NamedOptions = {}): IterableIterator<[string, Parameter]> {
    return named(this, ownParameters, options);
  }
  *parameters(options: { recurse?: boolean } = {}): IterableIterator<Parameter> {
    for (const [, parameter] of this.namedParameters(options)) yield parameter;
  }
  namedBuffers(options: NamedOptions = {}): IterableIterator<[string, Tensor]> {
    return named(this, ownBuffers, options);
  }
  *buffers(options: { recurse?: boolean } = {}): IterableIterator<Tensor> {
    for (const [, buffer] of this.namedBuffers(options)) yield buffer;
  }

  /** Sets field `name` to a tensor that is state but not trained. It is saved unless `persistent` is false. */
  registerBuffer(name: string, tensor: Tensor | null, options: { persistent?: boolean } = {}): void {
    const { persistent } = withDefaults('Module.registerBuffer', { persistent: true }, options);
    if (name.includes('.') || name === '')
      throw new ProjError('invalid-argument', `"${name}" cannot name a buffer`, { op: 'registerBuffer' });
    internalsOf(this).buffers.set(stateName(name), persistent);
    Reflect.set(this, name, tensor);
  }
  /** Sets field `name` to a parameter, or to null for one that is left out. */
  registerParameter(name: string, parameter: Parameter | null): void {
    if (name.includes('.') || name === '')
      throw new ProjError('invalid-argument', `"${name}" cannot name a parameter`, { op: 'registerParameter' });
    Reflect.set(this, name, parameter);
  }
  /** Sets field `name` to a child. */
  registerModule(name: string, module: Module | null): void {
    if (name.includes('.') || name === '')
      throw new ProjError('invalid-argument', `"${name}" cannot name a module`, { op: 'registerModule' });
    Reflect.set(this, name, module);
  }
  addModule(name: string, module: Module | null): void {
    this.registerModule(name, module);
  }
  /** The module at a path such as 'encoder.layers.0'; this one at ''. */
  getSubmodule(target: string): Module {
    if (target === '') return this;
    return target.split('.').reduce<Module>(
      (module, name) =>
        find(
          [...module.fields()].filter((field): field is [string, Module] => field[1] instanceof Module),
          name,
          'module',
          module,
          target,
        ),
      this,
    );
  }
  getParameter(target: string): Parameter {
    return getOwn(this, ownParameters, target, 'parameter');
  }
  getBuffer(target: string): Tensor {
    return getOwn(this, ownBuffers, target, 'buffer');
  }

  // State

  /** All parameters and persistent buffers by path, in PyTorch's order; they share memory with the module. */
  stateDict(options: { prefix?: string } = {}): StateDict {
    const { prefix } = withDefaults('Module.stateDict', { prefix: '' }, options);
    const result: StateDict = {};
    for (const [name, tensor] of stateOf(this, prefix)) result[name] = tensor.detach();
    return result;
  }
  /**
   * Copies values into the parameters and buffers. Errors: sizes that differ; with `strict` (the default) also keys that are missing or unexpected, all
   * of them listed.
   */
  loadStateDict(
    stateDict: Readonly<StateDict> | ReadonlyMap<string, Tensor>,
    options: { strict?: boolean } = {},
  ): LoadResult {
    const { strict } = withDefaults('Module.loadStateDict', { strict: true }, options);
    if (typeof stateDict !== 'object' || stateDict === null)
      throw new ProjError('invalid-argument', `${describeValue(stateDict)} where a state dict belongs`, {
        op: 'loadStateDict',
        cure: 'Give what stateDict() or loadSafetensors() gives',
      });
    const given = new Map<string, Tensor>(stateDict instanceof Map ? stateDict : Object.entries(stateDict));
    for (const [path, module] of this.namedModules()) module.prepareLoad((name) => given.get(join(path, name)));
    const own = [...stateOf(this, '')];
    const names = new Set(own.map(([name]) => name));
    const missingKeys = own.flatMap(([name]) => (given.has(name) ? [] : [name]));
    const unexpectedKeys = [...given.keys()].filter((name) => !names.has(name));
    const quoted = (list: readonly string[]): string => list.map((name) => `"${name}"`).join(', ');
    const problems: string[] = [];
    if (strict && unexpectedKeys.length > 0)
      problems.push(`Unexpected key(s) in state_dict: ${quoted(unexpectedKeys)}. `);
    if (strict && missingKeys.length > 0) problems.push(`Missing key(s) in state_dict: ${quoted(missingKeys)}. `);
    const fitting: [Tensor, Tensor][] = [];
    for (const [name, target] of own) {
      const value = given.get(name);
      if (value === undefined) continue;
      if (!(value instanceof Tensor)) problems.push(`${name} is not a tensor.`);
      else if (value.shape.join() === target.shape.join()) fitting.push([target, value]);
      else
        problems.push(
          `size mismatch for ${name}: copying a param with shape [${value.shape.join(', ')}] from checkpoint, the shape in current model is [${target.shape.join(', ')}].`,
        );
    }
    if (problems.length > 0)
      throw new ProjError(
        'serialization',
        `Error(s) in loading state_dict for ${this.constructor.name}:\n\t${problems.join('\n\t')}`,
        { op: 'loadStateDict' },
      );
    noGrad(() => {
      for (const [target, value] of fitting) target.assign(value.detach().node, 'copy_');
    });
    return { missingKeys, unexpectedKeys };
  }

  /** Called before values are loaded; `given` tells what will be, by the names of this module. For buffers whose size follows what is loaded. */
  prepareLoad(_given: (name: string) => Tensor | undefined): void {}

  // Modes and conversion

  /** Sets training mode here and below. */
  train(mode = true): this {
    for (const module of this.modules()) module.training = mode;
    return this;
  }
  /** Sets evaluation mode here and below. */
  eval(): this {
    return this.train(false);
  }
  /** Whether all parameters record gradients. */
  requiresGrad_(requiresGrad = true): this {
    for (const parameter of this.parameters()) parameter.requiresGrad_(requiresGrad);
    return this;
  }
  /** Forgets all gradients (or sets them to zero, with `setToNone: false`). */
  zeroGrad(options: { setToNone?: boolean } = {}): void {
    const { setToNone } = withDefaults('Module.zeroGrad', { setToNone: true }, options);
    for (const module of this.modules()) {
      if (module.isLazy) continue;
      for (const [, parameter] of ownParameters(module)) {
        if (setToNone || parameter.grad === null) parameter.grad = null;
        else parameter.grad = zerosLike(parameter.grad.detach());
      }
    }
  }
  /** Converts all parameters and buffers in place: a float dtype (applied to float tensors only) or a device. */
  to(target: DType | Parameters<Tensor['to']>[0]): this {
    const toFloat = typeof target === 'string' && /^(bfloat|float)\d+$/.test(target);
    if (typeof target === 'string' && /^(u?int\d+|bool)$/.test(target))
      throw new ProjError('dtype', `a module cannot be ${target}`, {
        op: `${this.constructor.name}.to`,
        cure: 'Give a float dtype, or a device',
      });
    return convert(this, (tensor) => (toFloat && !/float/.test(tensor.dtype) ? tensor : tensor.to(target)));
  }
  float(): this {
    return this.to('float32');
  }
  double(): this {
    return this.to('float64');
  }
  half(): this {
    return this.to('float16');
  }
  bfloat16(): this {
    return this.to('bfloat16');
  }
  /** Calls `fn` with every module below, then this one. */
  apply(fn: (module: Module) => void): this {
    for (const child of this.children()) child.apply(fn);
    fn(this);
    return this;
  }
  /** A copy with parameters and buffers of its own, as Python's deepcopy. */
  copy(): this {
    return copyModule(this, new Map()) as this;
  }

  // Hooks

  registerForwardPreHook(hook: ForwardPreHook): HookHandle {
    return register(internalsOf(this).preHooks, hook);
  }
  registerForwardHook(hook: ForwardHook): HookHandle {
    return register(internalsOf(this).hooks, hook);
  }

  /** What stands between the parentheses when the module is printed. */
  extraRepr(): string {
    return '';
  }
  toString(): string {
    const lines = [...this.namedChildren()].map(
      ([name, child]) => `(${name}): ${child.toString().replaceAll('\n', '\n  ')}`,
    );
    const extra = this.extraRepr();
    if (lines.length === 0) return `${this.constructor.name}(${extra})`;
    return `${this.constructor.name}(\n${[...(extra === '' ? [] : [extra]), ...lines].map((line) => `  ${line}`).join('\n')}\n)`;
  }
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString();
  }
}

/** Turns `module` into what `other` is: its class, fields and buffers. How lazy layers become ordinary ones. */
export function become(module: Module, other: Module): void {
  for (const name of Object.keys(module)) Reflect.deleteProperty(module, name);
  Object.setPrototypeOf(module, Object.getPrototypeOf(other) as object);
  internals.set(module, { ...internalsOf(module), buffers: new Map(internalsOf(other).buffers) });
  Object.assign(module, other);
}

/** Computes field `name` from now on; the plain field of that name must have been removed. */
export function defineDerived(module: Module, name: string, field: DerivedField): void {
  const { derived, preHooks } = internalsOf(module);
  derived.set(name, field);
  if (field.beforeForward !== undefined) preHooks.set(field, (owner) => field.beforeForward?.(owner));
  defineAccessor(module, name, field);
}
// Not enumerable, hence none of the fields that state dicts and printing see.
function defineAccessor(module: Module, name: string, field: DerivedField): void {
  Object.defineProperty(module, name, {
    configurable: true,
    enumerable: false,
    get: () => field.compute(module),
    set(value: Tensor) {
      if (field.assign === undefined)
        throw new ProjError('invalid-argument', `${name} is computed from other fields and cannot be assigned`, {
          op: field.op,
          cure: 'Assign to the parameters that it is computed from, or remove what computes it first',
        });
      field.assign(module, value);
    },
  });
}
/** The computed fields of a module, without its children. */
export const derivedFields = (module: Module): ReadonlyMap<string, DerivedField> => internalsOf(module).derived;
/** Removes a field: a parameter, a buffer, a child or a computed one. */
export function removeField(module: Module, name: string): void {
  const { derived, preHooks, buffers } = internalsOf(module);
  const field = derived.get(name);
  if (field !== undefined) preHooks.delete(field);
  derived.delete(name);
  buffers.delete(stateName(name));
  Reflect.deleteProperty(module, name);
}
/** Whether a field holds a buffer. */
export const isBuffer = (module: Module, name: string): boolean => internalsOf(module).buffers.has(stateName(name));

// No private method, which copies (made without a constructor) would not have.
function getOwn<T>(root: Module, own: (module: Module) => Iterable<[string, T]>, target: string, what: string): T {
  const dot = target.lastIndexOf('.');
  const module = root.getSubmodule(target.slice(0, Math.max(0, dot)));
  return find(own(module), target.slice(dot + 1), what, module, target);
}
/** The entry of a module that is named; `path` is what was asked for. */
function find<T>(entries: Iterable<[string, T]>, name: string, what: string, module: Module, path: string): T {
  const all = new Map(entries);
  const found = all.get(name);
  if (found !== undefined) return found;
  const of = name === path ? '' : ` (of "${path}")`;
  throw new ProjError('invalid-argument', `${module.constructor.name} has no ${what} "${name}"${of}`, {
    op: `get ${what}`,
    cure: all.size === 0 ? `It has no ${what}s of its own` : `It has ${[...all.keys()].join(', ')}`,
  });
}

function copyModule(module: Module, done: Map<object, object>): Module {
  const copied = done.get(module);
  if (copied instanceof Module) return copied;
  const result = Object.create(Object.getPrototypeOf(module) as object) as Module;
  done.set(module, result);
  const { buffers, preHooks, hooks, derived } = internalsOf(module);
  internals.set(result, {
    buffers: new Map(buffers),
    preHooks: new Map(preHooks),
    hooks: new Map(hooks),
    derived: new Map(derived),
  });
  for (const [name, value] of Object.entries(module)) Reflect.set(result, name, copyValue(value, done));
  for (const [name, field] of derived) defineAccessor(result, name, field);
  return result;
}

function copyValue(value: unknown, done: Map<object, object>): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const known = done.get(value);
  if (known !== undefined) return known;
  if (value instanceof Module) return copyModule(value, done);
  let result: object = value;
  if (value instanceof Parameter) result = new Parameter(value, { requiresGrad: value.requiresGrad });
  else if (value instanceof Tensor) result = value.detach().clone();
  else if (value instanceof Map) result = new Map([...value].map(([key, entry]) => [key, copyValue(entry, done)]));
  else if (Array.isArray(value)) result = value.map((entry) => copyValue(entry, done));
  done.set(value, result);
  return result;
}
