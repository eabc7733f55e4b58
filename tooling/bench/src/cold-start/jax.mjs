// Cold start of jax-js on its wasm backend: the first result of an addition.
import { init, defaultDevice, numpy as np } from '@jax-js/jax';

await init('wasm');
defaultDevice('wasm');
console.log([
  ...(await np
    .array([1, 2])
    .add(np.array([3, 4]))
    .data()),
]);
