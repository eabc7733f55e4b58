// Loads a converted model and makes one token: `ours-load.mjs DEVICE THREADS FILE POSITIONS TOKEN`. Prints the times from opening the file, the device's start included.
import '@proj/device-native';
import { openModel } from '@proj/quant-jit/jit';

const [, , device, threads, path = '', positions, token] = process.argv;

const began = performance.now();
const model = await openModel(path, { device, threads: Number(threads), positions: Number(positions) });
const sequence = model.sequence();
const loadMs = performance.now() - began;
sequence.feed([Number(token)]);
const firstTokenMs = performance.now() - began;
console.log(JSON.stringify({ loadMs, firstTokenMs }));
