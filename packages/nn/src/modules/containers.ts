/** Modules that hold other modules or parameters. */
import { ProjError } from '@proj/kernel';
import type { Tensor } from '@proj/tensor';
import { Module } from '../module.ts';
import { Parameter } from '../parameter.ts';

/** A module of one tensor to one tensor. */
export interface UnaryModule extends Module {
  forward(input: Tensor): Tensor;
}
type Named<T> = Readonly<Record<string, T>>;

function requireModules(op: string, modules: Iterable<unknown>): void {
  for (const module of modules)
    if (!(module instanceof Module))
      throw new ProjError('invalid-argument', `${typeof module} ${String(module)} is not a module`, {
        op,
        cure: 'Pass modules: new Linear(3, 4), new ReLU(), …',
      });
}

const wrapIndex = (index: number, length: number): number => {
  if (!Number.isInteger(index) || index < -length || index >= length)
    throw new ProjError('index-out-of-range', `index ${index} of ${length} modules`);
  return index < 0 ? index + length : index;
};

/** Calls its modules one after the other. `new Sequential(a, b)`, or `new Sequential({ first: a, second: b })` for names. */
export class Sequential extends Module {
  members: [string, Module][];

  constructor(...modules: readonly Module[] | readonly [Named<Module>]) {
    super();
    const [first] = modules;
    this.members =
      modules.length === 1 && !(first instanceof Module)
        ? Object.entries(first as Named<Module>)
        : (modules as readonly Module[]).map((module, i) => [String(i), module]);
    requireModules(
      'Sequential',
      this.members.length < modules.length ? modules : this.members.map(([, module]) => module),
    );
  }
  override *fields(): Iterable<readonly [string, unknown]> {
    yield* this.members;
  }
  get length(): number {
    return this.members.length;
  }
  /** The module at a position; negative ones count from the end. */
  get(index: number): Module {
    return this.members[wrapIndex(index, this.length)][1];
  }
  append(module: Module): this {
    this.members.push([String(this.length), module]);
    return this;
  }
  override forward(input: Tensor): Tensor {
    return this.members.reduce((x, [, module]) => (module as UnaryModule).call(x), input);
  }
  *[Symbol.iterator](): Iterator<Module> {
    for (const [, module] of this.members) yield module;
  }
}

/** A list of modules that are found as children. */
export class ModuleList<M extends Module = Module> extends Module {
  members: M[];

  constructor(modules: Iterable<M> = []) {
    super();
    this.members = [...modules];
    requireModules('ModuleList', this.members);
  }
  override *fields(): Iterable<readonly [string, unknown]> {
    yield* this.members.map((module, i) => [String(i), module] as const);
  }
  get length(): number {
    return this.members.length;
  }
  get(index: number): M {
    return this.members[wrapIndex(index, this.length)];
  }
  set(index: number, module: M): void {
    this.members[wrapIndex(index, this.length)] = module;
  }
  append(module: M): this {
    this.members.push(module);
    return this;
  }
  extend(modules: Iterable<M>): this {
    this.members.push(...modules);
    return this;
  }
  insert(index: number, module: M): void {
    this.members.splice(index, 0, module);
  }
  [Symbol.iterator](): Iterator<M> {
    return this.members[Symbol.iterator]();
  }
}

/** Modules by name, found as children. */
export class ModuleDict<M extends Module = Module> extends Module {
  members: Map<string, M>;

  constructor(modules: Named<M> | Iterable<readonly [string, M]> = {}) {
    super();
    this.members = new Map(
      Symbol.iterator in modules ? (modules as Iterable<readonly [string, M]>) : Object.entries(modules as Named<M>),
    );
  }
  override *fields(): Iterable<readonly [string, unknown]> {
    yield* this.members;
  }
  get size(): number {
    return this.members.size;
  }
  get(name: string): M {
    const module = this.members.get(name);
    if (module === undefined) throw new ProjError('invalid-argument', `no module "${name}"`, { op: 'ModuleDict' });
    return module;
  }
  set(name: string, module: M): this {
    this.members.set(name, module);
    return this;
  }
  has(name: string): boolean {
    return this.members.has(name);
  }
  delete(name: string): boolean {
    return this.members.delete(name);
  }
  keys(): IterableIterator<string> {
    return this.members.keys();
  }
  values(): IterableIterator<M> {
    return this.members.values();
  }
  entries(): IterableIterator<[string, M]> {
    return this.members.entries();
  }
}

const asParameter = (value: Tensor): Parameter => (value instanceof Parameter ? value : new Parameter(value));

/** A list of parameters. */
export class ParameterList extends Module {
  members: Parameter[];

  constructor(values: Iterable<Tensor> = []) {
    super();
    this.members = [...values].map(asParameter);
  }
  override *fields(): Iterable<readonly [string, unknown]> {
    yield* this.members.map((parameter, i) => [String(i), parameter] as const);
  }
  get length(): number {
    return this.members.length;
  }
  get(index: number): Parameter {
    return this.members[wrapIndex(index, this.length)];
  }
  append(value: Tensor): this {
    this.members.push(asParameter(value));
    return this;
  }
  [Symbol.iterator](): Iterator<Parameter> {
    return this.members[Symbol.iterator]();
  }
}

/** Parameters by name. */
export class ParameterDict extends Module {
  members: Map<string, Parameter>;

  constructor(parameters: Named<Tensor> = {}) {
    super();
    this.members = new Map(Object.entries(parameters).map(([name, value]) => [name, asParameter(value)]));
  }
  override *fields(): Iterable<readonly [string, unknown]> {
    yield* this.members;
  }
  get(name: string): Parameter {
    const parameter = this.members.get(name);
    if (parameter === undefined)
      throw new ProjError('invalid-argument', `no parameter "${name}"`, { op: 'ParameterDict' });
    return parameter;
  }
  set(name: string, value: Tensor): this {
    this.members.set(name, asParameter(value));
    return this;
  }
}
