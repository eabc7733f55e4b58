// Cold start of TensorFlow.js on its wasm backend: the first result of an addition.
import * as tf from '@tensorflow/tfjs';
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';

tf.env().set('PROD', true);
setWasmPaths(`${dirname(createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-wasm'))}/`);
await tf.setBackend('wasm');
console.log([...tf.add(tf.tensor([1, 2]), tf.tensor([3, 4])).dataSync()]);
