/** Gemma 2 from a Hugging Face folder to a few bits a weight and native code. Each area has a sub-path of its own; this one gathers the names used most. */
export {};
