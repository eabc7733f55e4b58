// @proj/nn/init
export {}
