// Datasets and data loaders with the names of torch.utils.data.
export {};
