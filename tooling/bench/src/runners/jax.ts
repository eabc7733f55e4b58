/**
 * jax-js on its `wasm` backend: `jax.ts THREADS`. Every case is under `jit`, its best setting, but for the eager step. Its arrays are owned by
 * reference count: an argument is consumed by the call unless it is passed as `.ref`.
 */
import type { numpy } from '@jax-js/jax';
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import type { CaseSpec } from '../cases.ts';
import { labels, uniform } from '../inputs.ts';
import { residentMegabytes, serve } from '../serve.ts';
import type { Prepared } from '../serve.ts';
import { installWebWorkers } from './web-worker.ts';

const threads = Number(process.argv[2]);

await serve(async () => {
  installWebWorkers(threads);
  const jax = await import('@jax-js/jax');
  await jax.init('wasm');
  jax.defaultDevice('wasm');
  const models = await import('./jax-models.ts');
  const { numpy: np, nn, lax, jit } = jax;

  const array = async (seed: number, dims: number[]): Promise<numpy.Array> =>
    jax.blockUntilReady(
      np
        .array(
          uniform(
            dims.reduce((a, b) => a * b, 1),
            seed,
          ),
        )
        .reshape(dims),
    );

  /** Runs a compiled function over inputs that stay. */
  function forward(fn: (...inputs: numpy.Array[]) => numpy.Array, inputs: readonly numpy.Array[]): Prepared {
    const compiled = jit(fn);
    const call = (): numpy.Array => compiled(...inputs.map((input) => input.ref)) as numpy.Array;
    return {
      async run() {
        const result = call();
        await result.blockUntilReady();
        result.dispose();
      },
      output: () => call().data(),
      dispose: () => inputs.forEach((input) => input.dispose()),
    };
  }

  /** A loop of training steps that reads the loss of each. */
  function training(step: () => Promise<number>): Prepared {
    let [first, last] = [Number.NaN, Number.NaN];
    return {
      async run() {
        last = await step();
        if (Number.isNaN(first)) first = last;
      },
      detail: () => ({ firstLoss: first, lastLoss: last }),
    };
  }

  async function prepare(spec: CaseSpec): Promise<Prepared> {
    switch (spec.kind) {
      case 'matmul':
        return forward((a, b) => np.matmul(a, b), [await array(1, [spec.m, spec.k]), await array(2, [spec.k, spec.n])]);
      case 'chain': {
        const tail = (scaled: numpy.Array, a: numpy.Array): numpy.Array =>
          np.sqrt(np.absolute(nn.relu(scaled).mul(0.5).sub(a)));
        const a = await array(1, [spec.elements]);
        return spec.inputs === 1
          ? forward((x) => tail(x.ref.mul(1.5).add(0.25), x), [a])
          : forward(
              (x, y, z) => tail(x.ref.mul(y).add(z), x),
              [a, await array(2, [spec.elements]), await array(3, [spec.elements])],
            );
      }
      case 'exp':
        return forward((x) => np.exp(x), [await array(1, [spec.elements])]);
      case 'softmax':
        return forward((x) => nn.softmax(x, -1), [await array(1, [spec.rows, spec.columns])]);
      case 'layer-norm':
        return forward(models.layerNorm, [
          await array(1, [spec.rows, spec.columns]),
          await array(2, [spec.columns]),
          await array(3, [spec.columns]),
        ]);
      case 'cross-entropy': {
        const oneHot = await jax.blockUntilReady(nn.oneHot(np.array(labels(spec.rows, spec.columns)), spec.columns));
        return forward(models.crossEntropy, [await array(1, [spec.rows, spec.columns]), oneHot]);
      }
      case 'conv2d': {
        const { batch, channels, size, filters, kernel, stride, padding, groups } = spec;
        const pads: [number, number] = [padding, padding];
        const inputs = [
          await array(1, [batch, channels, size, size]),
          await array(2, [filters, channels / groups, kernel, kernel]),
        ];
        return forward(
          (x, w) => lax.convGeneralDilated(x, w, [stride, stride], [pads, pads], { featureGroupCount: groups }),
          inputs,
        );
      }
      case 'train':
        return training(await models.trainStep(spec.model, true));
      case 'tiny-step':
        return training(await models.trainStep('tiny', spec.captured));
      case 'tiny-graph': {
        const [a, b] = [await array(1, [16]), await array(2, [16])];
        const compiled = jit((x: numpy.Array, y: numpy.Array) => x.ref.add(y).mul(x).sum());
        return { run: async () => void (await (compiled(a.ref, b.ref) as numpy.Array).data()) };
      }
      case 'memory-steps': {
        const step = await models.trainStep('small', true);
        return memoryLoop(step, spec.early, spec.late);
      }
      case 'memory-gpt': {
        const before = residentMegabytes();
        const step = await models.trainStep('gpt', true);
        return memoryPeak(step, spec.steps, before.now);
      }
      case 'fma-peak':
      case 'read-peak':
      case 'decode':
      case 'prompt':
      case 'matvec':
      case 'memcpy':
      case 'cold-start':
        throw new RangeError(`jax-js has no '${spec.kind}'`);
      default:
        return spec satisfies never;
    }
  }
  return { version: versionOf(), detail: { backend: 'wasm', threads }, prepare };
});

function versionOf(): string {
  const main = createRequire(import.meta.url).resolve('@jax-js/jax');
  const manifest = JSON.parse(readFileSync(new URL('../package.json', `file://${main}`), 'utf8')) as {
    version: string;
  };
  return manifest.version;
}

/** One run of `late` steps; resident size after step `early` and at the end. */
function memoryLoop(step: () => Promise<number>, early: number, late: number): Prepared {
  let detail: Record<string, number> = {};
  return {
    single: true,
    async run() {
      for (let i = 1; i <= late; i++) {
        await step();
        if (i === early) detail = { earlyMB: residentMegabytes().now };
      }
      const { now, peak } = residentMegabytes();
      detail = { ...detail, lateMB: now, peakMB: peak, growth: now / (detail['earlyMB'] ?? Number.NaN) - 1 };
    },
    detail: () => detail,
  };
}

/** One run of `steps` steps; the peak of the resident size, and what it was with the library loaded and nothing else. */
function memoryPeak(step: () => Promise<number>, steps: number, before: number): Prepared {
  let detail: Record<string, number> = {};
  return {
    single: true,
    async run() {
      for (let i = 0; i < steps; i++) await step();
      detail = { baseMB: before, peakMB: residentMegabytes().peak };
    },
    detail: () => detail,
  };
}
