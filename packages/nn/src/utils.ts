// @proj/nn/utils
export {}
