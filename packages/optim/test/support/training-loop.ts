/** A process of its own: trains a small network and prints its resident size on the way. Arguments: device, how the step is run, steps. */
import '@proj/autograd';
import '@proj/device-native';
import { registerDevice, WasmDevice } from '@proj/kernel';
import { Adam } from '@proj/optim';
import type { Tensor } from '@proj/tensor';
import { compile, fromArray, ones, setDefaultDevice, tidy } from '@proj/tensor';

const [device, way, steps] = [process.argv[2], process.argv[3], Number(process.argv[4])];
registerDevice({ name: 'small-wasm', priority: -1, create: () => new WasmDevice({ maximumBytes: 24 * 2 ** 20 }) });
setDefaultDevice(device);

const numbers = (shape: readonly number[], scale: number): Tensor =>
  fromArray(
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => scale * Math.sin(12.9898 * i)),
    shape,
  );
const parameters = [numbers([32, 64], 0.2), numbers([64], 0.1), numbers([64, 8], 0.2), numbers([8], 0.1)].map((p) =>
  p.requiresGrad_(),
);
const optimizer = new Adam(parameters, { lr: 1e-3 });

function step(x: Tensor, target: Tensor): Tensor {
  const [w1, b1, w2, b2] = parameters;
  const loss = x.matmul(w1).add(b1).relu().matmul(w2).add(b2).sub(target).square().mean();
  optimizer.zeroGrad();
  loss.backward();
  optimizer.step();
  return loss.detach();
}
const captured = compile(step);
const run =
  way === 'compile' ? captured : way === 'tidy' ? (x: Tensor, y: Tensor): Tensor => tidy(() => step(x, y)) : step;

/** Megabytes around a step: the median of the steps before it, because the collector takes memory and gives it back. */
const SAMPLES = 20;
const samples: number[] = [];
const resident: Record<number, number> = {};
const losses: number[] = [];
try {
  if (way === 'large')
    ones([16, 2 ** 20])
      .mul(ones([16, 2 ** 20]))
      .exp()
      .realize();
  for (let k = 1; k <= steps; k++) {
    const [x, y] = [
      fromArray(
        Float32Array.from({ length: 16 * 32 }, (_, i) => Math.cos(i + k)),
        [16, 32],
      ),
      fromArray(
        Float32Array.from({ length: 16 * 8 }, (_, i) => Math.cos(i)),
        [16, 8],
      ),
    ];
    const loss = run(x, y);
    losses.push(way === 'await' ? Number((await loss.read())[0]) : loss.item());
    samples.push(process.memoryUsage.rss() / 2 ** 20);
    if (k % 200 === 0) resident[k] = samples.slice(-SAMPLES).toSorted((a, b) => a - b)[SAMPLES / 2];
  }
  console.log(JSON.stringify({ resident, first: losses[0], last: losses.at(-1) }));
} catch (error) {
  console.log(
    JSON.stringify({
      error:
        error instanceof Error ? { code: (error as { code?: string }).code, message: error.message } : String(error),
      steps: losses.length,
    }),
  );
}
process.exit(0);
