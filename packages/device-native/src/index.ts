/** The native CPU device: kernels compiled by LLVM for the very machine, through FFI, with a persistent object cache. Importing registers it. */
import { registerDevice } from '@proj/kernel';
import { NativeDevice } from './native-device.ts';

export { NativeDevice, type NativeDeviceOptions } from './native-device.ts';
export { measurePeaks, type MeasureOptions, type Peaks } from './measure.ts';
export { NativeBuffer } from './buffers.ts';
export { cpuTarget, hostCpu, parseCpuInfo, type CpuLevel, type CpuTarget, type HostCpu } from './cpu.ts';
export { findLlvm, LlvmLibrary, type CompileOptions, type LlvmFile, type LlvmSearch } from './llvm-library.ts';
export { renderLlvm } from './llvm-renderer.ts';
export { cacheFolder, ObjectCache, type ObjectCacheOptions } from './object-cache.ts';
export { loadObjects, type LoadedCode } from './object-loader.ts';

registerDevice({ name: 'native', priority: 100, create: () => new NativeDevice() });
