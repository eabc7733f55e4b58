// Lazy tensors with PyTorch semantics over the kernel language: graph, scheduler with fusion, compile(), scan().
export {};
