/** How far a converted model is from its teacher: MSE, KL, perplexity, BLEU. */
export { meanSquaredError, relativeMeanSquaredError } from './errors.ts';
export { crossEntropy, klDivergence, nextTokenAccuracy, perplexity, topOneAgreement } from './logits.ts';
export { type Bleu, type BleuOptions, type BleuSmoothing, corpusBleu, sentenceBleu, type Sentence } from './bleu.ts';
export { NgramModel, type NgramOptions } from './ngram.ts';
