// @proj/nn/functional
export {}
