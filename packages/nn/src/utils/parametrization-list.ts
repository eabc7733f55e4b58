/** What stands behind a parametrised field: its original tensors and the modules that compute the field from them. */
import { describeValue, ProjError, withDefaults } from '@proj/kernel';
import { noGrad } from '@proj/autograd';
import { Tensor } from '@proj/tensor';
import type { Module } from '../module.ts';
import { ModuleList } from '../modules/containers.ts';
import { Parameter } from '../parameter.ts';

/** A module of one tensor to one tensor; the first of a list may take several. */
export interface Parametrization extends Module {
  forward(...originals: Tensor[]): Tensor;
  /**
   * Originals that give this value, so that the parametrised field can be assigned to; several of them for a parametrization of several. Throws a
   * `ProjError` with the code 'not-implemented' where there are none.
   */
  rightInverse?(value: Tensor): Tensor | readonly Tensor[];
}

const OP = 'registerParametrization';
const sameType = (a: Tensor, b: Tensor): boolean => a.dtype === b.dtype && a.shape.join() === b.shape.join();

/** Refuses what is no tensor or, unless `unsafe`, has another shape or dtype than `like`. */
export function requireLike(
  what: string,
  value: unknown,
  like: Tensor,
  unsafe: boolean,
  op = OP,
): asserts value is Tensor {
  if (!(value instanceof Tensor))
    throw new ProjError('invalid-argument', `${what} is ${describeValue(value)}`, { op, cure: 'Return a tensor' });
  if (!unsafe && !sameType(value, like))
    throw new ProjError(
      value.dtype === like.dtype ? 'shape-mismatch' : 'dtype',
      `${what} differs from the tensor in shape or dtype`,
      {
        op,
        shapes: [value.shape, like.shape],
        dtypes: [value.dtype, like.dtype],
        cure: 'Give { unsafe: true } if this is meant',
      },
    );
}

/** The value of `rightInverse`, or undefined where the parametrization has none. */
export function inverseOf(parametrization: Parametrization, value: Tensor): Tensor | readonly Tensor[] | undefined {
  try {
    return parametrization.rightInverse?.(value);
  } catch (error) {
    if (error instanceof ProjError && error.code === 'not-implemented') return undefined;
    throw error;
  }
}

/**
 * The originals and parametrizations of one field: `original`, or `original0`, `original1`, … where the first parametrization takes several. Made by
 * `registerParametrization`.
 */
export class ParametrizationList extends ModuleList<Parametrization> {
  /** Whether the field may differ from the original in shape and dtype. */
  unsafe: boolean;
  /** The fields that hold the originals. */
  readonly originalNames: readonly string[];

  constructor(modules: Iterable<Parametrization>, original: Tensor, options: { readonly unsafe?: boolean } = {}) {
    super(modules);
    this.unsafe = withDefaults('ParametrizationList', { unsafe: false }, options).unsafe;
    if (this.length === 0)
      throw new ProjError('invalid-argument', 'no parametrization is given', { op: 'ParametrizationList' });
    const inverse = noGrad(() => inverseThrough(this.members, original));
    const parts = inverse instanceof Tensor ? [inverse] : [...inverse];
    const single = inverse instanceof Tensor;
    for (const part of parts)
      requireLike('rightInverse(…)', part, original, single ? part.dtype === original.dtype : true);
    this.originalNames = single ? ['original'] : parts.map((_, i) => `original${i}`);
    if (!this.unsafe) requireLike('the parametrised tensor', chain(this.members, parts), original, false);
    parts.forEach((part, i) => {
      const kept = single ? withValue(original, part) : likeParameter(original, part);
      setOriginal(this, this.originalNames[i], kept);
    });
  }

  /** The originals, in the order in which the first parametrization takes them. */
  get originals(): Tensor[] {
    return this.originalNames.map((name) => Reflect.get(this, name) as Tensor);
  }
  /** The value of the parametrised field. */
  override forward(): Tensor {
    return chain(this.members, this.originals);
  }
  /** Sets the originals so that the field has this value. Errors: a parametrization that has no `rightInverse`. */
  rightInverse(value: Tensor): void {
    noGrad(() => {
      const inverse = this.members.reduceRight<Tensor | readonly Tensor[]>((now, parametrization) => {
        if (parametrization.rightInverse === undefined)
          throw new ProjError('not-implemented', `${parametrization.constructor.name} has no rightInverse`, {
            op: 'assign to a parametrised field',
            cure: 'Define rightInverse(value) in its class, or assign to the originals',
          });
        return parametrization.rightInverse(now as Tensor);
      }, value);
      const parts = inverse instanceof Tensor ? [inverse] : inverse;
      const { originals } = this;
      if (parts.length !== originals.length)
        throw new ProjError('invalid-argument', `rightInverse gives ${parts.length} of ${originals.length} tensors`, {
          op: 'assign to a parametrised field',
        });
      originals.forEach((original, i) => {
        requireLike('rightInverse(…)', parts[i], original, false, 'assign to a parametrised field');
        original.assign(parts[i].node);
      });
    });
  }
  override *fields(): Iterable<readonly [string, unknown]> {
    for (const name of this.originalNames) yield [name, Reflect.get(this, name)];
    yield* super.fields();
  }
}

const inverseThrough = (members: readonly Parametrization[], original: Tensor): Tensor | readonly Tensor[] =>
  members.reduceRight<Tensor | readonly Tensor[]>(
    (now, parametrization) => inverseOf(parametrization, now as Tensor) ?? now,
    original.detach(),
  );
function chain([first, ...rest]: readonly Parametrization[], originals: readonly Tensor[]): Tensor {
  return rest.reduce((value, parametrization) => parametrization.call(value), first.call(...originals));
}
function setOriginal(list: Module, name: string, original: Tensor): void {
  if (original instanceof Parameter) list.registerParameter(name, original);
  else list.registerBuffer(name, original);
}
/** The same tensor with another value, so that an optimiser keeps what it has; a new one where the shape differs. */
export function withValue(original: Tensor, value: Tensor): Tensor {
  if (!sameType(original, value)) return likeParameter(original, value);
  noGrad(() => void original.assign(value.detach().node));
  return original;
}
const likeParameter = (original: Tensor, value: Tensor): Tensor =>
  original instanceof Parameter
    ? new Parameter(value, { requiresGrad: original.requiresGrad })
    : value.detach().clone();
