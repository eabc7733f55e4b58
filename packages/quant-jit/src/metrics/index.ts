/** How far a converted model is from its teacher: MSE, KL, perplexity, BLEU. */
export {};
