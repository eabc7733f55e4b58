/** IL-NN, the typed program of a converted model: builder, printer, parser, verifier, interpreter, passes. */
export {};
