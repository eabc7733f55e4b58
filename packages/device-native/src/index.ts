// The native CPU device: kernels compiled by LLVM for the very machine, through FFI, with a persistent object cache.
export {}
