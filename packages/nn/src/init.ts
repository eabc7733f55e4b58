// @proj/nn/init
export {};
