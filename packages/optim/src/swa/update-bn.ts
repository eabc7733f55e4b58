/** Statistics of batch normalisation for weights that nobody trained with. */
import { describeValue, ProjError, withDefaults } from '@proj/kernel';
import { evaluate, Tensor } from '@proj/tensor';
import { withGradients } from '../optimizer.ts';
import type { AverageableModel } from './averaged-model.ts';

/** What {@link updateBn} needs of a model. */
export type NormalisedModel = Pick<AverageableModel, 'call' | 'buffers' | 'modules'> & {
  readonly training: boolean;
  train(mode?: boolean): unknown;
};

/** Batch normalisation, by what it can do: averages over all batches to come, until the function that is returned is called. */
interface BatchStatistics {
  averageRunningStats(): () => void;
}
const hasStatistics = (module: object): module is BatchStatistics =>
  'averageRunningStats' in module && typeof module.averageRunningStats === 'function';

/**
 * Sets the running statistics of all batch normalisation in `model` to their averages over the batches of `loader`: tensors, or arrays whose first
 * entry is the input. Averaged weights need it, as nobody trained with them. A promise where the loader can only be waited for.
 */
export function updateBn(loader: Iterable<unknown>, model: NormalisedModel, options?: { device?: string | null }): void;
export function updateBn(
  loader: AsyncIterable<unknown>,
  model: NormalisedModel,
  options?: { device?: string | null },
): Promise<void>;
export function updateBn(
  loader: Iterable<unknown> | AsyncIterable<unknown>,
  model: NormalisedModel,
  options: { device?: string | null } = {},
): void | Promise<void> {
  const { device } = withDefaults('updateBn', { device: null }, options);
  const layers = [...model.modules()].filter(hasStatistics);
  const wasTraining = model.training;
  const show = (batch: unknown): void => {
    const input: unknown = Array.isArray(batch) ? batch[0] : batch;
    if (!(input instanceof Tensor))
      throw new ProjError('invalid-argument', `a batch is ${describeValue(input)}`, {
        op: 'updateBn',
        cure: 'Batches must be tensors, or arrays that begin with one',
      });
    withGradients(false, () => void model.call(...([device === null ? input : input.to(device)] as never[])));
    evaluate([...model.buffers()]);
  };
  const begin = (): (() => void) => {
    const undo = layers.map((layer) => layer.averageRunningStats());
    model.train();
    return () => {
      for (const back of undo) back();
      model.train(wasTraining);
    };
  };
  const waitForAll = async (batches: AsyncIterable<unknown>): Promise<void> => {
    const end = begin();
    try {
      for await (const batch of batches) show(batch);
    } finally {
      end();
    }
  };
  if (!(Symbol.iterator in loader)) return layers.length === 0 ? Promise.resolve() : waitForAll(loader);
  if (layers.length === 0) return;
  const end = begin();
  try {
    for (const batch of loader) show(batch);
  } finally {
    end();
  }
}
