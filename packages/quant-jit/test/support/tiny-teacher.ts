/** Small models for the tests, with weights large enough that every part of the model matters. */
import { noGrad } from '@proj/autograd';
import type { DType } from '@proj/kernel';
import { manualSeed } from '@proj/tensor';
import { type Gemma2Config, gemma2Config, Gemma2ForCausalLM, type Gemma2Sizes } from '../../src/gemma2/index.ts';
import type { Weights } from './naive-gemma2.ts';

/** A geometry in which no two sizes are equal, and no size is a square or a power of two by chance. */
export const ODD_SIZES: Gemma2Sizes = {
  vocabSize: 37,
  hiddenSize: 24,
  intermediateSize: 40,
  numHiddenLayers: 3,
  numAttentionHeads: 6,
  numKeyValueHeads: 2,
  headDim: 10,
  queryPreAttnScalar: 7,
  slidingWindow: 5,
  maxPositionEmbeddings: 128,
  attnLogitSoftcapping: 3,
  finalLogitSoftcapping: 4,
  ropeTheta: 500,
  bosTokenId: 2,
  eosTokenIds: [1],
  padTokenId: 0,
};

/** A model with random weights of a fixed seed. */
export function tinyTeacher(
  sizes: Partial<Gemma2Config> = {},
  { dtype = 'float32', scale = 0.4 }: { readonly dtype?: DType; readonly scale?: number } = {},
): Gemma2ForCausalLM {
  const model = new Gemma2ForCausalLM(gemma2Config({ ...ODD_SIZES, ...sizes }), { dtype });
  manualSeed(7);
  noGrad(() => {
    for (const parameter of model.parameters()) parameter.normal_(0, scale).realize();
  });
  return model.eval();
}

/** The weights of a model as numbers. */
export const weightsOf = (model: Gemma2ForCausalLM): Weights =>
  new Map(
    Object.entries(model.stateDict()).map(([name, tensor]) => [name, tensor.double().toTypedArray() as Float64Array]),
  );
