/** For tests of devices and targets: random kernels, and the comparison of two devices. */
export { compareDevices, runKernel, type KernelInputs } from './compare.ts';
export { randomElements, randomNumbers } from './data.ts';
export { MATH_FUNCTIONS, mathKernel } from './math-cases.ts';
export { randomKernel, type RandomKernel, withConstants } from './random-kernel.ts';
