/** A way to choose the elements of a parameter that are set to zero: what all pruning methods share. */
import { describeValue, ProjError, withDefaults } from '@proj/kernel';
import { noGrad } from '@proj/autograd';
import { onesLike, type Tensor } from '@proj/tensor';
import { defineDerived, type DerivedField, derivedFields, type Module, removeField } from '../../module.ts';
import { findField, requireParameter, siblingField } from '../fields.ts';

/**
 * Which part of a parameter is looked at when it is pruned once more: the elements that are left, the channels (along `dim`) of which anything is left, or
 * everything.
 */
export type PruningType = 'unstructured' | 'structured' | 'global';

export interface ImportanceOptions {
  /** Numbers by which elements are compared, in place of the parameter's own. */
  readonly importanceScores?: Tensor | null;
}

/** Base of pruning methods. Subclasses define `pruningType` and `computeMask`. */
export abstract class BasePruningMethod {
  abstract readonly pruningType: PruningType;
  /** Along which channels lie, for structured methods. */
  readonly dim?: number;

  /** The mask (1 keeps, 0 removes) for numbers `t`, within `defaultMask`. */
  abstract computeMask(t: Tensor, defaultMask: Tensor): Tensor;

  /** Makes a method of this class and prunes a parameter with it, on top of earlier prunings. */
  static apply<Arguments extends unknown[], Method extends BasePruningMethod>(
    this: new (...args: Arguments) => Method,
    module: Module,
    name: string,
    ...args: Arguments
  ): Method {
    const method = new this(...args);
    method.applyTo(module, name);
    return method;
  }
  /** Prunes a parameter, on top of earlier prunings. Errors: no such parameter; scores of another shape; what `computeMask` refuses. */
  applyTo(module: Module, name: string, options: ImportanceOptions = {}): void {
    const { importanceScores } = withDefaults(this.constructor.name, { importanceScores: null }, options);
    applyPruning(this, module, name, importanceScores);
  }
  /** `t` with the elements that this method chooses set to zero. */
  prune(t: Tensor, options: ImportanceOptions & { readonly defaultMask?: Tensor | null } = {}): Tensor {
    const { importanceScores, defaultMask } = withDefaults(
      'prune',
      { importanceScores: null, defaultMask: null },
      options,
    );
    requireScores(importanceScores, t);
    return t.mul(noGrad(() => this.computeMask((importanceScores ?? t).detach(), defaultMask ?? onesLike(t.detach()))));
  }
}

function requireScores(scores: Tensor | null, like: Tensor): void {
  if (scores !== null && scores.shape.join() !== like.shape.join())
    throw new ProjError('shape-mismatch', 'importance scores must have the shape of the tensor', {
      op: 'prune',
      shapes: [scores.shape, like.shape],
    });
}

/** Several methods on one parameter, each on what the earlier ones left. */
export class PruningContainer extends BasePruningMethod {
  readonly pruningType = 'global';
  readonly methods: BasePruningMethod[] = [];
  constructor(...methods: readonly BasePruningMethod[]) {
    super();
    for (const method of methods) this.addPruningMethod(method);
  }
  /** Puts one more method last. Errors: something else. */
  addPruningMethod(method: BasePruningMethod): void {
    if (!(method instanceof BasePruningMethod))
      throw new ProjError('invalid-argument', `${describeValue(method)} is no pruning method`, {
        op: 'addPruningMethod',
        cure: 'Give an object of a class that extends BasePruningMethod',
      });
    this.methods.push(method);
  }
  get length(): number {
    return this.methods.length;
  }
  get(index: number): BasePruningMethod | undefined {
    return this.methods.at(index);
  }
  [Symbol.iterator](): Iterator<BasePruningMethod> {
    return this.methods[Symbol.iterator]();
  }
  /** The mask of the last method, within what the others left. */
  override computeMask(t: Tensor, defaultMask: Tensor): Tensor {
    const last = this.methods.at(-1);
    return last === undefined ? defaultMask : maskWithin(last, t, defaultMask.to(t.dtype));
  }
}

/** The mask after one more method, which sees only what its pruning type lets it. */
export function maskWithin(method: BasePruningMethod, t: Tensor, mask: Tensor): Tensor {
  switch (method.pruningType) {
    case 'unstructured': {
      const left = mask.eq(1);
      const part = method.computeMask(t.maskedSelect(left), mask.maskedSelect(left));
      return mask.maskedScatter(left, part.to(mask.dtype));
    }
    case 'structured': {
      const { dim } = method;
      if (dim === undefined)
        throw new ProjError('invalid-argument', `${method.constructor.name} does not say its dim`, {
          op: 'prune',
          cure: 'Structured methods need a field dim',
        });
      const others = t.shape.map((_, d) => d).filter((d) => d !== (dim < 0 ? dim + t.ndim : dim));
      const left = mask.sum(others).ne(0).nonzero().flatten();
      const part = method.computeMask(t.indexSelect(dim, left), mask.indexSelect(dim, left));
      return mask.indexCopy(dim, left, part.to(mask.dtype));
    }
    case 'global':
      return method.computeMask(t, mask).to(mask.dtype);
    default:
      return method.pruningType satisfies never;
  }
}

/** The original times the mask. */
export class PrunedField implements DerivedField {
  readonly op = 'prune';
  readonly original: string;
  readonly mask: string;
  /** The last method, or all of them in a container. */
  readonly method: BasePruningMethod;

  constructor(key: string, method: BasePruningMethod) {
    this.original = siblingField(key, 'orig');
    this.mask = siblingField(key, 'mask');
    this.method = method;
  }
  compute(module: Module): Tensor {
    const original = Reflect.get(module, this.original) as Tensor;
    return original.mul((Reflect.get(module, this.mask) as Tensor).to(original.dtype));
  }
}
/** The pruning of a field, with its key. */
export function pruningOf(module: Module, name: string): { readonly key: string; readonly field: PrunedField } | null {
  const key = module.isLazy ? undefined : findField(module, name);
  const field = key === undefined ? undefined : derivedFields(module).get(key);
  return key !== undefined && field instanceof PrunedField ? { key, field } : null;
}

function applyPruning(method: BasePruningMethod, module: Module, name: string, scores: Tensor | null): void {
  const before = pruningOf(module, name);
  if (before === null) {
    const { key, value } = requireParameter('prune', module, name);
    requireScores(scores, value);
    const mask = noGrad(() => method.computeMask((scores ?? value).detach(), onesLike(value.detach())));
    const field = new PrunedField(key, method);
    removeField(module, key);
    module.registerParameter(field.original, value);
    module.registerBuffer(field.mask, mask);
    defineDerived(module, key, field);
    return;
  }
  const { key, field } = before;
  const value = noGrad(() => field.compute(module));
  requireScores(scores, value);
  const earlier = field.method instanceof PruningContainer ? field.method.methods : [field.method];
  const all = new PruningContainer(...earlier, method);
  const mask = Reflect.get(module, field.mask) as Tensor;
  const next = noGrad(() => all.computeMask((scores ?? value).detach(), mask.detach().clone()));
  removeField(module, key);
  module.registerBuffer(field.mask, next);
  defineDerived(module, key, new PrunedField(key, all));
}
