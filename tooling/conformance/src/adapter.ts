// Every assumption of the runner about our packages stands in this file: where a PyTorch name lives, how options are written, how a tensor is
// made and read, how gradients, modules and state are reached. The mapping follows the API rule of architecture.md §4.1 and the op tables.
import { readFileSync } from 'node:fs';
import { MissingOperation } from './compare.ts';
import { isTuple, PyValue } from './encoded.ts';
import type { TensorData } from './encoded.ts';
import type { Call, Library } from './library.ts';
import { camelCase, candidateNames, optionName, plainOperators, reflectedOperators } from './names.ts';
import { jsParameters } from './js-parameters.ts';
import type { JsParameter } from './js-parameters.ts';
import { bindCall, parseSignature, toCallForm } from './signature.ts';

type Module = Readonly<Record<string, unknown>>;
type AnyFunction = (...args: unknown[]) => unknown;
type Bag = Record<string, unknown>;

/** A row of an op table, as `@proj/tensor` and `@proj/nn/functional` export them. */
interface OpRow {
  readonly name: string;
  readonly torch: readonly string[];
  readonly signature: string;
  readonly fn: AnyFunction;
}

/** PyTorch's namespaces and the modules that hold their names, in the order in which they are searched; after `#`, an object in the module. */
const homes: Readonly<Record<string, readonly string[]>> = {
  torch: ['@proj/tensor', '@proj/autograd', '@proj/tensor/sparse', '@proj/tensor/quantized'],
  'torch.linalg': ['@proj/tensor/linalg'],
  'torch.fft': ['@proj/tensor/fft'],
  'torch.special': ['@proj/tensor/special'],
  'torch.sparse': ['@proj/tensor/sparse'],
  'torch.nn': ['@proj/nn'],
  'torch.nn.functional': ['@proj/nn/functional'],
  'torch.nn.init': ['@proj/nn/init'],
  'torch.nn.utils': ['@proj/nn/utils'],
  'torch.nn.utils.rnn': ['@proj/nn/utils', '@proj/nn'],
  'torch.nn.utils.parametrize': ['@proj/nn/utils#parametrize'],
  'torch.nn.utils.parametrizations': ['@proj/nn/utils#parametrizations'],
  'torch.nn.utils.prune': ['@proj/nn/utils#prune'],
  'torch.nn.utils.fusion': ['@proj/nn/utils#fusion'],
  'torch.nn.utils.stateless': ['@proj/nn/utils#stateless'],
  'torch.optim': ['@proj/optim'],
  'torch.optim.lr_scheduler': ['@proj/optim'],
  'torch.optim.swa_utils': ['@proj/optim'],
  'torch.utils.data': ['@proj/data'],
  'torch.autograd': ['@proj/autograd'],
  'torch.autograd.functional': ['@proj/autograd'],
  'torch.autograd.forward_ad': ['@proj/autograd'],
  'torch.ao.quantization': ['@proj/nn/quantization', '@proj/nn'],
};

/** Options of PyTorch that have no meaning for us and never change a result on one device. */
const droppedOptions: ReadonlySet<string> = new Set([
  'device',
  'pin_memory',
  'memory_format',
  'out',
  'names',
  '_stacklevel',
  'non_blocking',
  'cudnn_enabled',
]);

/** Where operations on values that are no plain tensors are looked for, by what tells such a value. */
const kinds: readonly (readonly [is: (value: Bag) => boolean, home: string])[] = [
  [(value) => typeof value.layout === 'string' && value.layout.startsWith('sparse'), '@proj/tensor/sparse'],
  [(value) => value.isQuantized === true, '@proj/tensor/quantized'],
];

/** PyTorch's private names of a sparse tensor's parts. */
const privateParts: Readonly<Record<string, string>> = { _indices: 'storedIndices', _values: 'storedValues' };

const selfParameter: JsParameter = { name: 'input', kind: 'plain', keys: [] };

const isFunction = (value: unknown): value is AnyFunction => typeof value === 'function';
const isObject = (value: unknown): value is object =>
  (typeof value === 'object' && value !== null) || typeof value === 'function';

async function importModule(name: string): Promise<Module | null> {
  const [specifier = name, inside] = name.split('#');
  try {
    const module = (await import(specifier)) as Module;
    return inside === undefined ? module : ((module[inside] as Module | undefined) ?? null);
  } catch (error) {
    const code = (error as { code?: string }).code;
    const absent =
      code === 'ERR_PACKAGE_PATH_NOT_EXPORTED' ||
      (code === 'ERR_MODULE_NOT_FOUND' && String(error).includes(specifier));
    if (!absent)
      process.stderr.write(
        `conformance: ${specifier} could not be loaded: ${error instanceof Error ? error.message : String(error)}\n`,
      );
    return null;
  }
}

function dtypeName(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  const name = isObject(value) ? (value as { name?: unknown }).name : undefined;
  return typeof name === 'string' ? name : undefined;
}

/** Our packages behind the interface of the runner. */
export class ProjLibrary implements Library {
  readonly #modules: ReadonlyMap<string, Module | null>;
  readonly #rows: ReadonlyMap<string, OpRow>;
  readonly #signatures: Readonly<Record<string, readonly string[]>>;
  readonly #tensorClass: AnyFunction & { prototype: object };
  readonly #fromArray: AnyFunction;

  private constructor(
    modules: ReadonlyMap<string, Module | null>,
    signatures: Readonly<Record<string, readonly string[]>>,
  ) {
    this.#modules = modules;
    this.#signatures = signatures;
    const rows = new Map<string, OpRow>();
    for (const [specifier, table] of [
      ['@proj/tensor', 'opTable'],
      ['@proj/nn/functional', 'functionalTable'],
    ] as const) {
      const list = modules.get(specifier)?.[table];
      if (Array.isArray(list))
        for (const row of list as OpRow[]) for (const name of row.torch) if (!rows.has(name)) rows.set(name, row);
    }
    this.#rows = rows;
    const tensor = modules.get('@proj/tensor');
    if (!isFunction(tensor?.Tensor)) throw new Error('@proj/tensor does not export the class Tensor');
    if (!isFunction(tensor.fromArray)) throw new Error('@proj/tensor does not export fromArray(data, shape, dtype)');
    this.#tensorClass = tensor.Tensor as AnyFunction & { prototype: object };
    this.#fromArray = tensor.fromArray;
  }

  /** Loads the packages; `device` becomes the default device. */
  static async load(device: string | undefined): Promise<ProjLibrary> {
    const kernel = await importModule('@proj/kernel');
    await importModule('@proj/device-native');
    const modules = new Map<string, Module | null>();
    for (const specifier of new Set(Object.values(homes).flat())) modules.set(specifier, await importModule(specifier));
    const library = new ProjLibrary(
      modules,
      JSON.parse(readFileSync(new URL('../signatures.json', import.meta.url), 'utf8')) as Readonly<
        Record<string, readonly string[]>
      >,
    );
    if (device !== undefined) {
      const set = [modules.get('@proj/tensor'), kernel].map((module) => module?.setDefaultDevice).find(isFunction);
      if (set === undefined) throw new Error('no package exports setDefaultDevice(name), so --device cannot be obeyed');
      set(device);
    }
    return library;
  }

  // --- values -------------------------------------------------------------------------------------------------------------------------

  tensor(data: TensorData, requiresGrad = false): unknown {
    const t = this.#fromArray(Array.from(data.data), [...data.shape], data.dtype);
    return requiresGrad ? (t as { requiresGrad_(on?: boolean): unknown }).requiresGrad_() : t;
  }

  sparseCoo(indices: unknown, values: unknown, shape: readonly number[], _dtype: string, coalesced: boolean): unknown {
    const t = this.call({ name: 'torch.sparse_coo_tensor', args: [indices, values, [...shape]], kwargs: {} });
    return coalesced ? this.call({ name: 'Tensor.coalesce', args: [t], kwargs: {} }) : t;
  }

  sparseCompressed(
    layout: 'csr' | 'csc',
    compressed: unknown,
    plain: unknown,
    values: unknown,
    shape: readonly number[],
  ): unknown {
    return this.call({
      name: `torch.sparse_${layout}_tensor`,
      args: [compressed, plain, values, [...shape]],
      kwargs: {},
    });
  }

  isTensor(value: unknown): boolean {
    return value instanceof this.#tensorClass;
  }

  /** Whether a parameter of PyTorch's type Tensor takes the value: a tensor, sparse and quantised ones too. */
  #isAnyTensor(value: unknown): boolean {
    return this.isTensor(value) || this.#homeOf([value]) !== undefined;
  }

  /** The module of the operations on sparse or quantised tensors, where one is among the arguments (or in a list among them). */
  #homeOf(args: readonly unknown[]): string | undefined {
    const flat = args.flat();
    return kinds.find(([is]) => flat.some((value) => isObject(value) && is(value as Bag)))?.[1];
  }

  read(tensor: unknown): TensorData {
    const t = tensor as { toTypedArray(): ArrayLike<number | bigint>; shape: readonly number[]; dtype: unknown };
    return { dtype: dtypeName(t.dtype) ?? 'unknown', shape: [...t.shape], data: t.toTypedArray() };
  }

  scalar(value: unknown): number | bigint | boolean | readonly [number, number] | undefined {
    if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean') return value;
    if (isObject(value) && 're' in value && 'im' in value) return [Number(value.re), Number(value.im)];
    return undefined;
  }

  dtypeName(value: unknown): string | undefined {
    return dtypeName(value);
  }

  part(value: unknown, name: string): unknown {
    return isObject(value) ? this.property(value, privateParts[name] ?? name) : undefined;
  }

  /** A Python value as our functions take it; `type` is that of the parameter, where a schema tells. */
  #argument(value: unknown, type = ''): unknown {
    if (value instanceof PyValue) {
      switch (value.kind) {
        case 'float': {
          const scalar = this.#modules.get('@proj/tensor')?.FloatScalar;
          const wrap = /^(Scalar|int\b|SymInt)/.test(type) && isFunction(scalar);
          return wrap ? new (scalar as unknown as new (x: unknown) => object)(value.value) : value.value;
        }
        case 'dtype':
        case 'device':
        case 'layout':
        case 'memory_format':
          return value.value;
        case 'complex': {
          const [re, im] = value.value as readonly [number, number];
          const make = this.#modules.get('@proj/tensor')?.complexScalar;
          // Where there is no complex scalar, a 0-dim tensor is how one is written.
          return isFunction(make) ? make(re, im) : this.#fromArray([re, im], [], 'complex64');
        }
        case 'slice': {
          const [start, stop, step] = (value.value as readonly (number | null)[]).map((x) => x ?? undefined);
          return { start, stop, step };
        }
        case 'ellipsis':
          return '...';
        default:
          return value.kind satisfies never;
      }
    }
    // Python's int parameters take 0-dim tensors; ours take numbers.
    if (/^(int|SymInt)\??$/.test(type) && this.isTensor(value)) return Number(this.read(value).data[0]);
    if (Array.isArray(value)) return value.map((entry) => this.#argument(entry, type));
    if (isObject(value) && Object.getPrototypeOf(value) === Object.prototype) {
      return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, this.#argument(entry, type)]));
    }
    return value;
  }

  #options(options: readonly (readonly [name: string, value: unknown, type: string])[]): Bag {
    const out: Bag = {};
    for (const [name, value, type] of options) {
      // A layout means something where tensors are sparse.
      const dropped =
        droppedOptions.has(name) || (name === 'layout' && !String(this.#argument(value)).startsWith('sparse'));
      if (!dropped) out[optionName(name)] = this.#argument(value, type);
    }
    return out;
  }

  /** Arguments in our form: positional ones and the options object. `own` are the parameters of our function, where they can be read. */
  #arguments(
    signatures: readonly string[],
    row: OpRow | undefined,
    own: readonly JsParameter[] | null,
    args: readonly unknown[],
    kwargs: Readonly<Bag>,
  ): unknown[] {
    const bound = bindCall(signatures, args, kwargs, (v) => this.#isAnyTensor(v));
    if (bound === null) {
      const options = this.#options(Object.entries(kwargs).map(([name, value]) => [name, value, '']));
      const positional = args.map((value) => this.#argument(value) ?? undefined);
      return Object.keys(options).length > 0 ? [...positional, options] : positional;
    }
    const form = toCallForm(bound, row === undefined ? null : parseSignature(row.signature), own);
    const options = this.#options(form.options.map(({ parameter, value }) => [parameter.name, value, parameter.type]));
    const out = form.positional.map((entry) =>
      entry === null ? undefined : (this.#argument(entry.value, entry.parameter.type) ?? undefined),
    );
    if (Object.keys(options).length === 0) return out;
    while (out.length < (form.optionsAt ?? 0)) out.push(undefined);
    return [...out, options];
  }

  #signaturesOf(name: string, extra: readonly string[] = []): readonly string[] {
    const twin = name.startsWith('Tensor.') ? name.replace('Tensor.', 'torch.') : name.replace(/^torch\./, 'Tensor.');
    const plain = name.replace(/_$/, '');
    for (const key of [name, twin, plain, plain.replace('Tensor.', 'torch.')]) {
      const found = this.#signatures[key];
      if (found !== undefined && found.length > 0) return found;
    }
    return extra;
  }

  // --- calls --------------------------------------------------------------------------------------------------------------------------

  #find(name: string): AnyFunction | undefined {
    const row = this.#rows.get(name);
    if (row !== undefined) return row.fn;
    const dot = name.lastIndexOf('.');
    const leaf = name.slice(dot + 1);
    for (const specifier of homes[name.slice(0, dot)] ?? []) {
      const module = this.#modules.get(specifier);
      for (const candidate of candidateNames(leaf)) if (isFunction(module?.[candidate])) return module[candidate];
    }
    return undefined;
  }

  has(name: string): boolean {
    if (!name.startsWith('Tensor.')) return this.#find(name) !== undefined;
    const leaf = name.slice('Tensor.'.length);
    return (
      candidateNames(leaf).some((key) => key in this.#tensorClass.prototype) ||
      leaf in plainOperators ||
      leaf in reflectedOperators
    );
  }

  call({ name, args, kwargs, signatures }: Call): unknown {
    const home = this.#homeOf([...args, ...Object.values(kwargs)]);
    if (home !== undefined) return this.#callSpecial(home, { name, args, kwargs, ...(signatures && { signatures }) });
    if (name.startsWith('Tensor.')) return this.#callMethod(name, args, kwargs, signatures);
    const fn = this.#find(name);
    // torch.relu_ and its like are the methods.
    if (fn === undefined && /^torch\.\w+_$/.test(name) && this.has(name.replace('torch.', 'Tensor.')))
      return this.#callMethod(name.replace('torch.', 'Tensor.'), args, kwargs, signatures);
    if (fn === undefined) throw new MissingOperation(`${name} does not exist`);
    // Its result tells 2.0 from 2, anywhere in the batch.
    if (name === 'torch.utils.data.default_collate') return fn(...args.map((value) => this.#argument(value, 'Scalar')));
    return fn(
      ...this.#arguments(this.#signaturesOf(name, signatures), this.#rows.get(name), jsParameters(fn), args, kwargs),
    );
  }

  /** A call on sparse or quantised tensors: a function of their module, or else a method of the first argument. */
  #callSpecial(home: string, { name, args, kwargs, signatures }: Call): unknown {
    const leaf = name.slice(name.lastIndexOf('.') + 1);
    const known = plainOperators[leaf] ?? privateParts[leaf] ?? leaf;
    const module = this.#modules.get(home);
    const fn = candidateNames(known)
      .map((key) => module?.[key])
      .find(isFunction);
    const [self] = args;
    if (
      fn === undefined &&
      known.endsWith('_') &&
      isObject(self) &&
      !candidateNames(known).some((key) => key in self && !this.isTensor(self))
    ) {
      // There is one operation in place: copying the result.
      const result = this.#callSpecial(home, {
        name: name.replace(/_$/, ''),
        args,
        kwargs,
        ...(signatures && { signatures }),
      });
      return ((self as Bag).copy_ as AnyFunction).call(self, result);
    }
    if (fn === undefined) return this.#callOwnMethod(name, known, args, kwargs, signatures);
    return fn(...this.#arguments(this.#signaturesOf(name, signatures), undefined, jsParameters(fn), args, kwargs));
  }

  #callOwnMethod(
    name: string,
    leaf: string,
    args: readonly unknown[],
    kwargs: Readonly<Bag>,
    signatures: readonly string[] | undefined,
  ): unknown {
    const [self] = args;
    const exists = isObject(self) && candidateNames(leaf).some((key) => key in self);
    // What exists for dense tensors alone is refused to others, as PyTorch refuses it, rather than missing.
    if (!exists && !this.isTensor(self) && this.has(`Tensor.${leaf}`)) throw new TypeError(`${name} of such a tensor`);
    return this.#callMethod(`Tensor.${leaf}`, args, kwargs, signatures);
  }

  #callMethod(
    name: string,
    args: readonly unknown[],
    kwargs: Readonly<Bag>,
    signatures: readonly string[] | undefined,
  ): unknown {
    const leaf = name.slice('Tensor.'.length);
    const [self, ...rest] = args;
    const reflected = reflectedOperators[leaf];
    if (reflected !== undefined) return this.#callReflected(reflected, self, rest[0]);
    const operator = plainOperators[leaf];
    if (operator !== undefined) return this.#callMethod(`Tensor.${operator}`, args, kwargs, signatures);
    if (!isObject(self)) throw new MissingOperation(`${name} of a ${typeof self}`);
    const key = candidateNames(leaf).find((candidate) => candidate in self);
    if (key === undefined) {
      if (this.isTensor(self)) return this.call({ name: name.replace('Tensor.', 'torch.'), args, kwargs });
      throw new MissingOperation(`${name} does not exist`);
    }
    const member = (self as Bag)[key];
    if (!isFunction(member)) return member;
    if (leaf === '__getitem__') return member.call(self, ...this.#indices(rest[0]));
    if (leaf === '__setitem__') return member.call(self, this.#indices(rest[0]), this.#argument(rest[1]));
    const row = this.isTensor(self) ? (this.#rows.get(name) ?? this.#rows.get(name.replace(/_$/, ''))) : undefined;
    const own = jsParameters(row === undefined ? member : row.fn);
    const withSelf = row === undefined && own !== null ? [selfParameter, ...own] : own;
    const form = this.#arguments(this.#signaturesOf(name, signatures), row, withSelf, args, kwargs);
    return member.call(self, ...form.slice(1));
  }

  #callReflected(operator: string, self: unknown, other: unknown): unknown {
    if (!this.isTensor(self)) throw new TypeError(`a ${typeof self} has no reflected ${operator}`);
    let left = this.isTensor(other) ? other : this.call({ name: 'torch.tensor', args: [other], kwargs: {} });
    // PyTorch copies the base of `__rpow__` into a new tensor, so no gradient reaches it.
    if (operator === 'pow') left = this.call({ name: 'Tensor.detach', args: [left], kwargs: {} });
    return this.call({ name: `torch.${operator}`, args: [left, self], kwargs: {} });
  }

  #indices(key: unknown): unknown[] {
    const keys = Array.isArray(key) && isTuple(key) ? key : [key];
    return keys.map((entry: unknown) => this.#argument(entry));
  }

  construct(name: string, args: readonly unknown[], kwargs: Readonly<Bag>): object {
    const constructor = this.#find(name) as unknown as (new (...args: unknown[]) => object) | undefined;
    if (constructor === undefined) throw new MissingOperation(`${name} does not exist`);
    const own = jsParameters(constructor as unknown as AnyFunction);
    return new constructor(...this.#arguments(this.#signaturesOf(name), undefined, own, args, kwargs));
  }

  method(object: unknown, className: string, name: string, args: readonly unknown[], kwargs: Readonly<Bag>): unknown {
    const key = isObject(object) ? candidateNames(name).find((candidate) => candidate in object) : undefined;
    const member = key === undefined ? undefined : (object as Bag)[key];
    if (!isFunction(member)) throw new MissingOperation(`${className}.${name} does not exist`);
    const signatures = this.#signatures[`${className}.${name}`] ?? [];
    return member.call(object, ...this.#arguments(signatures, undefined, jsParameters(member), args, kwargs));
  }

  property(object: unknown, name: string): unknown {
    if (!isObject(object)) return undefined;
    const key = candidateNames(name).find((candidate) => candidate in object);
    if (key === undefined) return undefined;
    const value = (object as Bag)[key];
    return isFunction(value) ? value.call(object) : value;
  }

  setProperty(object: unknown, name: string, value: unknown): void {
    (object as Bag)[camelCase(name)] = this.#argument(value);
  }

  // --- gradients ----------------------------------------------------------------------------------------------------------------------

  grad(outputs: readonly unknown[], inputs: readonly unknown[], cotangents: readonly unknown[]): unknown[] {
    const grad = this.#modules.get('@proj/autograd')?.grad;
    if (!isFunction(grad)) throw new MissingOperation('torch.autograd.grad does not exist');
    // An output that does not depend on anything differentiable has no gradient to give; asking for one alone is an error.
    const kept = outputs
      .map((output, i) => ({ output, cotangent: cotangents[i] }))
      .filter(({ output }) => this.property(output, 'requires_grad') === true);
    if (kept.length === 0) return inputs.map(() => null);
    const gradOutputs = kept.map(({ cotangent }) => cotangent);
    const result = grad(
      kept.map(({ output }) => output),
      [...inputs],
      { gradOutputs, allowUnused: true },
    );
    return Array.isArray(result) ? result : [result];
  }

  setGradEnabled(enabled: boolean): void {
    const set = [this.#modules.get('@proj/autograd'), this.#modules.get('@proj/tensor')]
      .map((m) => m?.setGradEnabled)
      .find(isFunction);
    if (set === undefined) throw new MissingOperation('torch.set_grad_enabled does not exist');
    set(enabled);
  }

  capture(fn: (...tensors: unknown[]) => unknown): (...tensors: unknown[]) => unknown {
    const compile = this.#modules.get('@proj/tensor')?.compile;
    if (!isFunction(compile)) throw new MissingOperation('compile does not exist');
    return compile(fn) as (...tensors: unknown[]) => unknown;
  }

  evaluate(tensors: readonly unknown[]): void {
    const module = this.#modules.get('@proj/tensor');
    const evaluate = [module?.evaluate, module?.evaluateAll, module?.realize].find(isFunction);
    if (evaluate !== undefined && tensors.length > 0) evaluate([...tensors]);
  }

  // --- modules ------------------------------------------------------------------------------------------------------------------------

  #entries(value: unknown): [string, unknown][] {
    if (value instanceof Map) return [...(value as Map<string, unknown>)];
    if (isObject(value) && Symbol.iterator in value) return [...(value as Iterable<[string, unknown]>)];
    return Object.entries(value as Bag);
  }

  stateDict(module: object): [string, unknown][] {
    return this.#entries(this.method(module, 'torch.nn.Module', 'state_dict', [], {}));
  }

  loadStateDict(module: object, entries: readonly (readonly [string, unknown])[]): void {
    this.method(module, 'torch.nn.Module', 'load_state_dict', [Object.fromEntries(entries)], {});
  }

  namedParameters(module: object): [string, unknown][] {
    return this.#entries(this.method(module, 'torch.nn.Module', 'named_parameters', [], {}));
  }

  setTraining(module: object, training: boolean): void {
    this.method(module, 'torch.nn.Module', training ? 'train' : 'eval', [], {});
  }

  forward(module: object, className: string, args: readonly unknown[], kwargs: Readonly<Bag>): unknown {
    const bag = module as Bag;
    const forward = isFunction(module) ? module : [bag.forward].find(isFunction);
    if (forward === undefined) throw new MissingOperation(`${className}.forward does not exist`);
    const signatures = this.#signatures[`${className}.forward`] ?? [];
    const form = this.#arguments(signatures, undefined, jsParameters(forward), args, kwargs);
    // The call runs the hooks around forward.
    return (isFunction(bag.call) && !isFunction(module) ? bag.call : forward).call(module, ...form);
  }

  collect(): void {
    globalThis.gc?.();
  }
}
