/** Softmax over many classes by clusters of frequency (Grave et al. 2017). */
import { ProjError, withDefaults } from '@proj/kernel';
import { cat, type Tensor } from '@proj/tensor';
import { logSoftmax } from '../functional/activations.ts';
import { Module } from '../module.ts';
import { ModuleList, Sequential } from './containers.ts';
import { FACTORY, type FactoryOptions, Linear } from './linear.ts';

export interface AdaptiveSoftmaxOptions extends FactoryOptions {
  /** Each further cluster is projected to a size smaller by this factor. */
  readonly divValue?: number;
  readonly headBias?: boolean;
}
/** The log probabilities of the targets, and their negative mean. */
export interface AdaptiveSoftmaxOutput {
  readonly output: Tensor;
  readonly loss: Tensor;
}
/** Inputs [N, inFeatures] and targets [N] to log probabilities of the targets and their loss. Errors: cutoffs that do not rise from 1 to `nClasses - 1`. */
export class AdaptiveLogSoftmaxWithLoss extends Module {
  readonly inFeatures: number;
  readonly nClasses: number;
  readonly cutoffs: readonly number[];
  head: Linear;
  tail: ModuleList<Sequential>;

  constructor(inFeatures: number, nClasses: number, cutoffs: readonly number[], options: AdaptiveSoftmaxOptions = {}) {
    super();
    const { divValue, headBias, ...factory } = withDefaults(
      'AdaptiveLogSoftmaxWithLoss',
      { divValue: 4, headBias: false, ...FACTORY },
      options,
    );
    if (
      cutoffs.some(
        (cutoff, i) =>
          !Number.isInteger(cutoff) || cutoff <= 0 || cutoff > nClasses - 1 || (i > 0 && cutoff <= cutoffs[i - 1]),
      )
    ) {
      throw new ProjError('invalid-argument', `cutoffs must be rising integers between 1 and ${nClasses - 1}`, {
        op: 'AdaptiveLogSoftmaxWithLoss',
      });
    }
    this.inFeatures = inFeatures;
    this.nClasses = nClasses;
    this.cutoffs = [...cutoffs, nClasses];
    const clusters = cutoffs.length;
    this.head = new Linear(inFeatures, this.cutoffs[0] + clusters, { bias: headBias, ...factory });
    this.tail = new ModuleList(
      Array.from({ length: clusters }, (_, i) => {
        const hidden = Math.floor(inFeatures / divValue ** (i + 1));
        return new Sequential(
          new Linear(inFeatures, hidden, { bias: false, ...factory }),
          new Linear(hidden, this.cutoffs[i + 1] - this.cutoffs[i], { bias: false, ...factory }),
        );
      }),
    );
  }
  /** Log probabilities of all classes: [N, inFeatures] → [N, nClasses]. */
  logProb(input: Tensor): Tensor {
    const head = logSoftmax(this.head.call(input), 1);
    const [short] = this.cutoffs;
    const clusters = [...this.tail].map((cluster, i) =>
      logSoftmax(cluster.call(input), 1).add(head.narrow(1, short + i, 1)),
    );
    return cat([head.narrow(1, 0, short), ...clusters], 1);
  }
  /** The most likely class of each case. */
  predict(input: Tensor): Tensor {
    return this.logProb(input).argmax(1);
  }
  override forward(input: Tensor, target: Tensor): AdaptiveSoftmaxOutput {
    const batched = target.ndim === 1;
    if (target.ndim > 1 || input.ndim !== target.ndim + 1)
      throw new ProjError('shape-mismatch', 'an input [N, features] and targets [N] are needed, or one case', {
        op: 'AdaptiveLogSoftmaxWithLoss',
        shapes: [input.shape, target.shape],
      });
    const x = batched ? input : input.unsqueeze(0);
    const picked = this.logProb(x)
      .gather(1, target.reshape([-1, 1]))
      .squeeze(1);
    return { output: batched ? picked : picked.squeeze(0), loss: picked.mean().neg() };
  }
}
