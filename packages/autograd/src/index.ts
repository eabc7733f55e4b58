// Gradients of any order as a graph transform over lazy tensors.
export {};
