/** Operations as methods of Tensor: their types from the functions, their implementation from the op table. */
import { ProjError } from '@proj/kernel';
import { opTable } from './op-table.ts';
import type * as elementwise from './ops/elementwise.ts';
import type * as products from './ops/products.ts';
import type * as reductions from './ops/reductions.ts';
import type * as views from './ops/views.ts';
import { Tensor } from './tensor.ts';

type Functions = typeof elementwise & typeof views & typeof reductions & typeof products;

/** `f(tensor, …rest)` as the method `tensor.f(…rest)`. */
type Method<F> = F extends (first: infer First, ...rest: infer Rest) => infer Result ? (Tensor extends First ? (...rest: Rest) => Result : never) : never;
type TensorFunctionNames = { [K in keyof Functions]: Functions[K] extends (...args: never[]) => unknown ? (Method<Functions[K]> extends never ? never : K) : never }[keyof Functions];
type Methods = { [K in Exclude<TensorFunctionNames, InternalNames>]: Method<Functions[K]> };
type InPlaceMethods = { [K in Exclude<TensorFunctionNames, InternalNames> & string as `${K}_`]: (...args: Parameters<Method<Functions[K]>>) => Tensor };
/** Helpers of the ops files that are not methods. */
type InternalNames = 'constantLike' | 'truth' | 'unary' | 'isScalar' | 'contiguousCopy' | 'cast';

export interface TensorMethods extends Methods, InPlaceMethods {
  var: Method<typeof reductions.variance>;
}

/** Gives Tensor its methods. Called once, when the package is loaded. */
export function installMethods(): void {
  const prototype = Tensor.prototype as unknown as Record<string, unknown>;
  for (const { name, fn, method, inPlace } of opTable) {
    if (!method) continue;
    const call = fn as unknown as (...args: unknown[]) => Tensor;
    if (name in prototype) continue;
    prototype[name] = function (this: Tensor, ...args: unknown[]) {
      return call(this, ...args);
    };
    if (inPlace) {
      prototype[`${name}_`] = function (this: Tensor, ...args: unknown[]) {
        const result = call(this, ...args);
        if (result.shape.length > this.shape.length) throw new ProjError('shape-mismatch', 'the result does not fit the tensor that is written', { op: `${name}_`, shapes: [this.shape, result.shape] });
        return this.assign(result.node, `${name}_`);
      };
    }
  }
}
