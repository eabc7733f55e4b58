// @proj/nn/functional
export {};
