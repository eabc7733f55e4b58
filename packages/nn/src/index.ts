// Neural-network modules, functional forms and initialisers with the names of torch.nn.
export {};
