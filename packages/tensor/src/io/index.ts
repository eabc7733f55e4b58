/** Reading and writing tensors: safetensors, npy, npz, and nested states. */
export { load, save, saveBytes, type State } from './state.ts';
export {
  loadSafetensors,
  openSafetensors,
  type NamedTensors,
  SafetensorsFile,
  safetensorsBytes,
  type SaveOptions,
  saveSafetensors,
  type TensorEntry,
} from './safetensors.ts';
export { loadNpy, npyBytes, parseNpy, saveNpy } from './npy.ts';
export { loadNpz, npzBytes, type NpzOptions, saveNpz } from './npz.ts';
export { type LoadOptions, tensorBytes, tensorFromBytes } from './bytes.ts';
export { fileBehind, fileError, readAll, type Source, writeAtomically } from './files.ts';
