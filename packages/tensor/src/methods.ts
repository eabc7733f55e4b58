/** Operations as methods of Tensor: their types from the functions, their implementation from the op table. */
import { ProjError } from '@proj/kernel';
import { inPlaceOperation, nextNodeId } from './graph/node.ts';
import type { InPlaceMethodName, MethodName } from './method-names.ts';
import { opTable } from './op-table.ts';
import type * as operations from './operations.ts';
import type { TensorLike } from './ops/arguments.ts';
import type { ValuesAndIndices } from './ops/ordering.ts';
import { adjoint, conjugateTranspose } from './ops/complex.ts';
import { matrixTranspose, reverseDims } from './ops/layout.ts';
import type { KeepdimOptions, variance } from './ops/reductions.ts';
import { Tensor } from './tensor.ts';

/** `f(tensor, …rest)` as the method `tensor.f(…rest)`. */
type Method<F> = F extends (first: never, ...rest: infer Rest extends readonly unknown[]) => infer Result
  ? (...rest: Rest) => Result
  : never;
type Methods = { [K in MethodName]: Method<(typeof operations)[K]> };
type InPlaceMethods = {
  [K in InPlaceMethodName as `${K}_`]: (...args: Parameters<Method<(typeof operations)[K]>>) => Tensor;
};

/** Methods whose result depends on which arguments are given, or whose function takes them in another order. */
interface OverloadedMethods {
  max(): Tensor;
  max(other: Tensor): Tensor;
  max(dim: number, options?: KeepdimOptions): ValuesAndIndices;
  min(): Tensor;
  min(other: Tensor): Tensor;
  min(dim: number, options?: KeepdimOptions): ValuesAndIndices;
  median(): Tensor;
  median(dim: number, options?: KeepdimOptions): ValuesAndIndices;
  nanmedian(): Tensor;
  nanmedian(dim: number, options?: KeepdimOptions): ValuesAndIndices;
  nonzero(options: { readonly asTuple: true }): Tensor[];
  nonzero(options?: { readonly asTuple?: false }): Tensor;
  where(condition: Tensor, other: TensorLike): Tensor;
  polygamma(n: number): Tensor;
  polygamma_(n: number): Tensor;
}

/** Transposed views that PyTorch writes as properties. */
interface TransposedViews {
  /** All dimensions in reverse order. */
  readonly T: Tensor;
  /** The matrix, or each of a batch, transposed. */
  readonly mT: Tensor;
  /** The matrix, transposed and conjugated. */
  readonly H: Tensor;
  /** The matrix, or each of a batch, transposed and conjugated. */
  readonly mH: Tensor;
}
const PROPERTIES: Record<keyof TransposedViews, (x: Tensor) => Tensor> = {
  T: reverseDims,
  mT: matrixTranspose,
  H: conjugateTranspose,
  mH: adjoint,
};

export interface TensorMethods extends Methods, InPlaceMethods, OverloadedMethods, TransposedViews {
  var: Method<typeof variance>;
}

/**
 * Gives Tensor its methods. Called once, when the package is loaded. They stand in an object of their own that Tensor's prototype inherits from:
 * adding a thousand properties to a prototype that is in use costs V8 fifty times as much.
 */
export function installMethods(): void {
  const own = Tensor.prototype;
  const methods: Record<string, unknown> = {};
  for (const { name, fn, method, inPlace } of opTable) {
    if (!method || name in own || name in methods) continue;
    const call = fn as unknown as (...args: unknown[]) => Tensor;
    methods[name] = function (this: Tensor, ...args: unknown[]) {
      return call(this, ...args);
    };
    if (!inPlace) continue;
    methods[`${name}_`] = function (this: Tensor, ...args: unknown[]) {
      const since = nextNodeId();
      const result = inPlaceOperation(() => call(this, ...args));
      if (result.shape.length > this.shape.length)
        throw new ProjError('shape-mismatch', 'the result does not fit the tensor that is written', {
          op: `${name}_`,
          shapes: [this.shape, result.shape],
        });
      return inPlaceOperation(() => this.assign(result.node, `${name}_`, since));
    };
  }
  for (const [name, view] of Object.entries(PROPERTIES)) {
    Object.defineProperty(methods, name, {
      get(this: Tensor) {
        return view(this);
      },
      configurable: true,
    });
  }
  Object.setPrototypeOf(own, methods);
}
