/** The compiler from IL-NN to one program per token step. */
export {};
