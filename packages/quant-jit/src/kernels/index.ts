/** The kernels of every quantiser, in the kernel language. */
export {};
