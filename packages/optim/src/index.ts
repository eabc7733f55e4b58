// Optimisers and learning-rate schedulers with the names of torch.optim.
export {};
