/** The teacher: Gemma 2 in `@proj/nn` modules, its files, its tokenizer, sampling and generation. */
export {};
