// @proj/nn/utils
export {};
