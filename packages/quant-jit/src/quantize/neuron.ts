/**
 * A binary neuron that learns (BinaryConnect, Courbariaux et al. 2015; XNOR-Net's scale): it computes with the signs of its weights and one scale, and
 * keeps the real weights behind them, which are what gradients change.
 */
import { ProjError } from '@proj/kernel';
import { signWords, xnorDot } from './binary.ts';

/** Options of {@link NativeCodeNeuron}. */
export interface NativeCodeNeuronOptions {
  readonly bias?: number;
  /** `binary`: signs and a mean absolute value stand for the input too; `float`: the input is taken as it is (the default). */
  readonly input?: 'float' | 'binary';
}

/** One output of a binary layer: `scale · Σ sign(w_i) x_i + bias`. */
export class NativeCodeNeuron {
  /** The real weights, in [-1, 1]. */
  readonly latentWeights: Float32Array;
  /** Their signs, in words of `signWords`. */
  binaryWeights: Int32Array;
  /** Mean absolute value of the latent weights. */
  scale: number;
  bias: number;
  readonly inputKind: 'float' | 'binary';

  /** `weights` beyond [-1, 1] are clipped. */
  constructor(weights: Float32Array, { bias = 0, input = 'float' }: NativeCodeNeuronOptions = {}) {
    if (weights.length === 0 || !weights.every(Number.isFinite))
      throw new ProjError('invalid-argument', 'a neuron needs one weight at least, and all of them finite', {
        op: 'NativeCodeNeuron',
      });
    this.latentWeights = weights.map(clip);
    this.binaryWeights = signWords(this.latentWeights);
    this.scale = meanAbsolute(this.latentWeights);
    this.bias = bias;
    this.inputKind = input;
  }

  get inputs(): number {
    return this.latentWeights.length;
  }

  /** The weight that input `i` meets: +scale or -scale. */
  weight(i: number): number {
    return this.latentWeights[i] >= 0 ? this.scale : -this.scale;
  }

  /** The output for one input vector. */
  forward(input: Float32Array): number {
    this.#check('NativeCodeNeuron.forward', input);
    if (this.inputKind === 'binary') {
      const dot = xnorDot(this.binaryWeights, signWords(input), this.inputs);
      return this.scale * meanAbsolute(input) * dot + this.bias;
    }
    let sum = 0;
    for (let i = 0; i < input.length; i++) sum += this.latentWeights[i] >= 0 ? input[i] : -input[i];
    return this.scale * sum + this.bias;
  }

  /**
   * One step of descent for `gradient` = ∂loss/∂output at `input`: the sign lets the gradient through where |w| ≤ 1, the scale counts as a constant,
   * and weights are clipped to [-1, 1]. Gives ∂loss/∂input, of binary inputs where |x| ≤ 1.
   */
  update(input: Float32Array, gradient: number, learningRate: number): Float32Array {
    this.#check('NativeCodeNeuron.update', input);
    const binary = this.inputKind === 'binary';
    const inputScale = binary ? meanAbsolute(input) : 1;
    const towardsInput = input.map((x, i) => (binary && Math.abs(x) > 1 ? 0 : gradient * this.weight(i) * inputScale));
    const step = learningRate * gradient * this.scale;
    for (let i = 0; i < input.length; i++) {
      const seen = binary ? (input[i] >= 0 ? inputScale : -inputScale) : input[i];
      this.latentWeights[i] = clip(this.latentWeights[i] - step * seen);
    }
    this.bias -= learningRate * gradient;
    this.binaryWeights = signWords(this.latentWeights);
    this.scale = meanAbsolute(this.latentWeights);
    return towardsInput;
  }

  #check(op: string, input: Float32Array): void {
    if (input.length !== this.inputs)
      throw new ProjError('shape-mismatch', `${input.length} inputs for a neuron of ${this.inputs}`, { op });
  }
}

const clip = (x: number): number => (x < -1 ? -1 : x > 1 ? 1 : x);
const meanAbsolute = (values: Float32Array): number => values.reduce((sum, x) => sum + Math.abs(x), 0) / values.length;
