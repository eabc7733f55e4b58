import { getDevice } from '@proj/kernel';
import '@proj/device-native';
import { linearKernel } from '../src/kernels/linear.ts';
import { SCHEMES } from '../src/quantize/index.ts';
const dev = getDevice('native');
const k = linearKernel('k', { scheme: SCHEMES[process.argv[2] as 'q1'], activation: process.argv[2] === 'q1' || process.argv[2] === 'q158' ? 'a8' : 'a8g32', rows: 9216, columns: 2304, tile: 1, counted: false, tileSize: Number(process.argv[3] ?? 32) }, dev.features);
console.log(dev.inspect!(k as any).assembly);
