import { getDevice } from '@proj/kernel';
import '@proj/device-native';
import { rowKernel } from '../src/kernels/rows.ts';
import { appendKernel } from '../src/kernels/attention.ts';
const dev = getDevice('native');
const k = process.argv[2] === 'append' ? appendKernel('k', { scheme: 'q8', kvHeads: 4, headDim: 256, positions: 1024, keyStride: 4096, valueStride: 4096 }, dev.features) : rowKernel('k', { columns: 9216, rows: 'each', residual: false, norm: false, output: process.argv[2] as any, eps: 0, mode: 'exact' }, dev.features);
console.log(dev.inspect!(k as any));
