// A tiny library for the tests: tensors are arrays of numbers, a handful of operations, no gradients but that of `square`.
import { MissingOperation } from '../src/compare.ts';
import type { TensorData } from '../src/encoded.ts';
import type { Call, Library } from '../src/library.ts';

export class FakeTensor {
  readonly dtype: string;
  readonly shape: readonly number[];
  data: number[];
  readonly requiresGrad: boolean;
  constructor(data: TensorData, requiresGrad = false) {
    this.dtype = data.dtype;
    this.shape = data.shape;
    this.data = Array.from(data.data, Number);
    this.requiresGrad = requiresGrad;
  }
}

type Operation = (args: readonly unknown[], kwargs: Readonly<Record<string, unknown>>) => unknown;

const map = (t: FakeTensor, f: (x: number, i: number) => number): FakeTensor =>
  new FakeTensor({ dtype: t.dtype, shape: t.shape, data: t.data.map(f) });
const as = (value: unknown): FakeTensor => {
  if (!(value instanceof FakeTensor)) throw new TypeError('not a tensor');
  return value;
};

const operations: Readonly<Record<string, Operation>> = {
  'torch.square': ([x]) => map(as(x), (v) => v * v),
  'Tensor.square': ([x]) => map(as(x), (v) => v * v),
  'torch.neg': ([x]) => map(as(x), (v) => -v),
  'torch.add': ([a, b], { alpha = 1 }) =>
    map(as(a), (v, i) => v + Number(alpha) * (b instanceof FakeTensor ? (b.data[i] ?? NaN) : Number(b))),
  'torch.sum': ([x]) =>
    new FakeTensor({ dtype: as(x).dtype, shape: [], data: [as(x).data.reduce((a, b) => a + b, 0)] }),
  'Tensor.square_': ([x]) => {
    const t = as(x);
    t.data = t.data.map((v) => v * v);
    return t;
  },
  'torch.autograd.functional.apply_twice': ([fn, x]) => {
    const f = fn as (x: unknown) => unknown;
    return f(f(x));
  },
  'torch.fail': () => {
    throw new RangeError('no such thing');
  },
};

export class FakeLibrary implements Library {
  readonly calls: Call[] = [];
  isTensor = (value: unknown): boolean => value instanceof FakeTensor;
  read = (t: unknown): TensorData => as(t);
  scalar = (value: unknown): number | bigint | boolean | undefined =>
    typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean' ? value : undefined;
  dtypeName = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
  tensor = (data: TensorData, requiresGrad = false): unknown => new FakeTensor(data, requiresGrad);
  has = (name: string): boolean => name in operations;
  call(call: Call): unknown {
    this.calls.push(call);
    const operation = operations[call.name];
    if (operation === undefined) throw new MissingOperation(`${call.name} does not exist`);
    return operation(call.args, call.kwargs);
  }
  /** d(x²)/dx · cotangent, whatever the outputs are: enough for records of `square`. */
  grad = (_outputs: readonly unknown[], inputs: readonly unknown[], cotangents: readonly unknown[]): unknown[] =>
    inputs.map((x) => map(as(x), (v, i) => 2 * v * (as(cotangents[0]).data[i] ?? 0)));
  property = (object: unknown, name: string): unknown =>
    name === 'requires_grad' ? as(object).requiresGrad : (object as Record<string, unknown>)[name];
  gradEnabled = true;
  setGradEnabled = (enabled: boolean): void => void (this.gradEnabled = enabled);
  capture = (fn: (...tensors: unknown[]) => unknown): ((...tensors: unknown[]) => unknown) => fn;
  evaluate = (): void => undefined;
  collect = (): void => undefined;
  #no = (what: string): never => {
    throw new MissingOperation(`${what} does not exist`);
  };
  sparseCoo = (): unknown => this.#no('sparse');
  sparseCompressed = (): unknown => this.#no('sparse');
  construct = (name: string): object => this.#no(name);
  method = (_object: unknown, _class: string, name: string): unknown => this.#no(name);
  setProperty = (): void => undefined;
  stateDict = (): [string, unknown][] => [];
  loadStateDict = (): void => undefined;
  namedParameters = (): [string, unknown][] => [];
  setTraining = (): void => undefined;
  forward = (): unknown => this.#no('forward');
}
