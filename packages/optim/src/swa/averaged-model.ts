/**
 * Averages of weights over training (stochastic weight averaging, Izmailov et al. 2018). A model is known by its methods here, which are those
 * of `Module` of `@proj/nn`: packages of one layer do not know each other.
 */
import { describeValue, ProjError, withDefaults } from '@proj/kernel';
import { evaluate, type Tensor, tensor } from '@proj/tensor';
import { withGradients, write } from '../optimizer.ts';

/** What a model must have to be averaged: any `Module` of `@proj/nn` has it. */
export interface AverageableModel {
  training: boolean;
  copy(): this;
  forward(...inputs: never[]): unknown;
  call(...inputs: never[]): unknown;
  train(mode?: boolean): unknown;
  to(device: string): unknown;
  parameters(): Iterable<Tensor>;
  buffers(): Iterable<Tensor>;
  modules(): Iterable<object>;
  stateDict(options?: { prefix?: string }): Record<string, Tensor>;
  loadStateDict(
    stateDict: Readonly<Record<string, Tensor>>,
    options?: { strict?: boolean },
  ): { readonly missingKeys: readonly string[]; readonly unexpectedKeys: readonly string[] };
}

/** The new average from the present one, the model's value, and how many models the average is of (int64, 0-dim). */
export type AveragingFunction = (average: Tensor, value: Tensor, numAveraged: Tensor) => Tensor;

export interface AveragedModelOptions {
  /** Where the averages live (default: where the model is). */
  readonly device?: string | null;
  /** Default: all models count equally. `(average, value) => average.mul(0.9).add(value.mul(0.1))` is a moving average. */
  readonly avgFn?: AveragingFunction | null;
  /** Averages buffers too (default: they stay what they were when this model was made). */
  readonly useBuffers?: boolean;
}

const equally: AveragingFunction = (average, value, numAveraged) =>
  average.add(value.sub(average).div(numAveraged.add(1)));

const OWN_KEY = 'n_averaged';
const PREFIX = 'module.';

/**
 * A copy of a model whose parameters are averages of those of the models that `updateParameters` was given; the first is copied. It is called, saved and
 * loaded like the model; its state dict has the model's entries under `module.` and `n_averaged`. A step of training that contains
 * `updateParameters` can be captured by `compile`.
 */
export class AveragedModel<M extends AverageableModel> {
  readonly module: M;
  readonly nAveraged: Tensor;
  readonly #avgFn: AveragingFunction;
  readonly #useBuffers: boolean;

  constructor(model: M, options: AveragedModelOptions = {}) {
    const { device, avgFn, useBuffers } = withDefaults(
      'AveragedModel',
      { device: null, avgFn: null, useBuffers: false },
      options,
    );
    if (typeof model?.copy !== 'function' || typeof model.parameters !== 'function')
      throw new ProjError('invalid-argument', `${describeValue(model)} where a model belongs`, {
        op: 'AveragedModel',
        cure: 'Give a Module',
      });
    this.module = model.copy();
    if (device !== null) this.module.to(device);
    const home = device ?? [...this.module.parameters()][0]?.device;
    this.nAveraged = tensor(0, { dtype: 'int64', ...(home === undefined ? {} : { device: home }) });
    this.#avgFn = avgFn ?? equally;
    this.#useBuffers = useBuffers;
  }

  /** Takes the present parameters of `model` into the averages. Errors (`shape-mismatch`): a model of other parameters. */
  updateParameters(model: AverageableModel): void {
    const values = (of: AverageableModel): Tensor[] => [...of.parameters(), ...(this.#useBuffers ? of.buffers() : [])];
    const averages = values(this.module);
    const given = values(model);
    const odd = averages.findIndex((average, i) => average.shape.join() !== given[i]?.shape.join());
    if (averages.length !== given.length || odd !== -1)
      throw new ProjError('shape-mismatch', 'the parameters of the model are not those that are averaged', {
        op: 'AveragedModel.updateParameters',
        shapes: odd === -1 || given[odd] === undefined ? [] : [averages[odd].shape, given[odd].shape],
        cure: 'Give the model that the AveragedModel was made of, or one built alike',
      });
    withGradients(false, () => {
      averages.forEach((target, i) => {
        const average = target.detach();
        const count = this.nAveraged.to(average.device);
        const value = given[i].detach().to(average.device).to(average.dtype);
        const next = this.#avgFn(average, value, count).to(average.dtype);
        write(target, () => value.where(count.eq(0), next));
      });
      write(this.nAveraged, () => this.nAveraged.add(1));
    });
    evaluate([...averages, this.nAveraged]);
  }

  forward(...inputs: Parameters<M['forward']>): ReturnType<M['forward']> {
    return this.module.call(...(inputs as never[])) as ReturnType<M['forward']>;
  }
  /** Calls the averaged model. */
  call(...inputs: Parameters<M['forward']>): ReturnType<M['forward']> {
    return this.forward(...inputs);
  }

  get training(): boolean {
    return this.module.training;
  }
  train(mode = true): this {
    this.module.train(mode);
    return this;
  }
  eval(): this {
    return this.train(false);
  }
  *parameters(): IterableIterator<Tensor> {
    yield* this.module.parameters();
  }
  *buffers(): IterableIterator<Tensor> {
    yield this.nAveraged;
    yield* this.module.buffers();
  }
  *modules(): IterableIterator<object> {
    yield this;
    yield* this.module.modules();
  }

  /** PyTorch's: `n_averaged`, and the model's entries under `module.`; they share memory with the averages. */
  stateDict(options: { prefix?: string } = {}): Record<string, Tensor> {
    const { prefix } = withDefaults('AveragedModel.stateDict', { prefix: '' }, options);
    return { [prefix + OWN_KEY]: this.nAveraged.detach(), ...this.module.stateDict({ prefix: prefix + PREFIX }) };
  }
  /** Errors (`serialization`): with `strict` (the default) keys that are missing or unexpected; sizes that differ. */
  loadStateDict(
    stateDict: Readonly<Record<string, Tensor>>,
    options: { strict?: boolean } = {},
  ): { missingKeys: string[]; unexpectedKeys: string[] } {
    const op = 'AveragedModel.loadStateDict';
    const { strict } = withDefaults(op, { strict: true }, options);
    const foreign = Object.keys(stateDict).filter((key) => key !== OWN_KEY && !key.startsWith(PREFIX));
    const count = stateDict[OWN_KEY];
    if (strict && (count === undefined || foreign.length > 0))
      throw new ProjError(
        'serialization',
        foreign.length > 0 ? `unexpected keys: ${foreign.join(', ')}` : `"${OWN_KEY}" is missing`,
        { op, cure: `Load the state of a plain model into averaged.module` },
      );
    const inner = this.module.loadStateDict(
      Object.fromEntries(
        Object.entries(stateDict)
          .filter(([key]) => key.startsWith(PREFIX))
          .map(([key, value]) => [key.slice(PREFIX.length), value]),
      ),
      { strict },
    );
    if (count !== undefined)
      withGradients(false, () =>
        write(this.nAveraged, () => count.detach().to(this.nAveraged.device).to('int64').reshape([])),
      );
    const prefixed = (keys: readonly string[]): string[] => keys.map((key) => PREFIX + key);
    return {
      missingKeys: [...(count === undefined ? [OWN_KEY] : []), ...prefixed(inner.missingKeys)],
      unexpectedKeys: [...foreign, ...prefixed(inner.unexpectedKeys)],
    };
  }

  toString(): string {
    return `AveragedModel(\n  (module): ${String(this.module).replaceAll('\n', '\n  ')}\n)`;
  }
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString();
  }
}
