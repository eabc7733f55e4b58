/**
 * TensorFlow.js: `tfjs.ts THREADS`. The `wasm` backend, its fastest in Node, which has no threads there; where that backend lacks an operation
 * or a gradient (convolution's weights, for one) the case runs on `cpu`, and says so in its details.
 */
import * as tf from '@tensorflow/tfjs';
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import type { CaseSpec } from '../cases.ts';
import { labels, uniform } from '../inputs.ts';
import { residentMegabytes, serve } from '../serve.ts';
import type { Prepared } from '../serve.ts';
import { layerNorm, tfStep } from './tfjs-models.ts';

await serve(async () => {
  tf.env().set('PROD', true);
  setWasmPaths(`${dirname(createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-wasm'))}/`);
  if (!(await tf.setBackend('wasm'))) throw new Error('the wasm backend does not start');
  return {
    version: tf.version.tfjs,
    detail: { backend: 'wasm', threads: 1 },
    async prepare(spec: CaseSpec): Promise<Prepared> {
      await tf.setBackend('wasm');
      tf.disposeVariables();
      try {
        return trial(make(spec), 'wasm');
      } catch {
        await tf.setBackend('cpu');
        return trial(make(spec), 'cpu');
      }
    },
  };
});

/** Tries a case once, so that a missing kernel shows before the timing starts. */
function trial(prepared: Prepared, backend: string): Prepared {
  if (prepared.single !== true) prepared.run();
  return { ...prepared, detail: () => ({ ...prepared.detail?.(), backend }) };
}

function tensor(seed: number, dims: number[]): tf.Tensor {
  return tf.tensor(
    uniform(
      dims.reduce((a, b) => a * b, 1),
      seed,
    ),
    dims,
  );
}

/** Runs `fn` and frees what it made; on these backends an operation is complete when it returns. */
function forward(fn: () => tf.Tensor): Prepared {
  return { run: () => fn().dispose(), output: () => tf.tidy(fn).dataSync() };
}

function make(spec: CaseSpec): Prepared {
  switch (spec.kind) {
    case 'matmul': {
      const [a, b] = [tensor(1, [spec.m, spec.k]), tensor(2, [spec.k, spec.n])];
      return forward(() => tf.matMul(a, b));
    }
    case 'chain': {
      const a = tensor(1, [spec.elements]);
      const [b, c] =
        spec.inputs === 3
          ? [tensor(2, [spec.elements]), tensor(3, [spec.elements])]
          : [tf.scalar(1.5), tf.scalar(0.25)];
      const half = tf.scalar(0.5);
      return forward(() => tf.tidy(() => tf.sqrt(tf.abs(tf.sub(tf.mul(tf.relu(tf.add(tf.mul(a, b), c)), half), a)))));
    }
    case 'exp': {
      const a = tensor(1, [spec.elements]);
      return forward(() => tf.exp(a));
    }
    case 'softmax': {
      const a = tensor(1, [spec.rows, spec.columns]);
      return forward(() => tf.tidy(() => tf.softmax(a)));
    }
    case 'layer-norm': {
      const [a, w, b] = [tensor(1, [spec.rows, spec.columns]), tensor(2, [spec.columns]), tensor(3, [spec.columns])];
      return forward(() => tf.tidy(() => layerNorm(a, w, b)));
    }
    case 'cross-entropy': {
      const a = tensor(1, [spec.rows, spec.columns]);
      const targets = tf.tidy(() =>
        tf.cast(tf.oneHot(tf.tensor1d(labels(spec.rows, spec.columns), 'int32'), spec.columns), 'float32'),
      );
      return forward(() => tf.tidy(() => tf.losses.softmaxCrossEntropy(targets, a)));
    }
    case 'conv2d': {
      const { batch, channels, size, filters, kernel, stride, padding, groups } = spec;
      // Its own layout, channels last; a grouped convolution is offered only one channel a group.
      const x = tf.transpose(tensor(1, [batch, channels, size, size]), [0, 2, 3, 1]) as tf.Tensor4D;
      const w = tensor(2, [filters, channels / groups, kernel, kernel]);
      if (groups > 1) {
        const depthwise = tf.transpose(w, [2, 3, 0, 1]) as tf.Tensor4D;
        return channelsLast(() => tf.depthwiseConv2d(x, depthwise, stride, padding));
      }
      const weights = tf.transpose(w, [2, 3, 1, 0]) as tf.Tensor4D;
      return channelsLast(() => tf.conv2d(x, weights, stride, padding));
    }
    case 'train':
      return training(tfStep(spec.model));
    case 'tiny-step':
      return training(tfStep('tiny'));
    case 'tiny-graph': {
      const [a, b] = [tensor(1, [16]), tensor(2, [16])];
      return { run: () => tf.tidy(() => tf.sum(tf.mul(tf.add(a, b), a)).dataSync()) };
    }
    case 'memory-steps': {
      const step = tfStep('small');
      let detail: Record<string, number> = {};
      return {
        single: true,
        async run() {
          for (let i = 1; i <= spec.early; i++) step();
          const early = residentMegabytes().now;
          for (let i = spec.early + 1; i <= spec.late; i++) step();
          const { now, peak } = residentMegabytes();
          detail = { earlyMB: early, lateMB: now, peakMB: peak, growth: now / early - 1 };
        },
        detail: () => detail,
      };
    }
    case 'memory-gpt': {
      let detail: Record<string, number> = {};
      return {
        single: true,
        async run() {
          const base = residentMegabytes().now;
          const step = tfStep('gpt');
          for (let i = 0; i < spec.steps; i++) step();
          detail = { baseMB: base, peakMB: residentMegabytes().peak };
        },
        detail: () => detail,
      };
    }
    case 'fma-peak':
    case 'read-peak':
    case 'decode':
    case 'prompt':
    case 'matvec':
    case 'memcpy':
    case 'cold-start':
      throw new RangeError(`TensorFlow.js has no '${spec.kind}'`);
    default:
      return spec satisfies never;
  }
}

function channelsLast(fn: () => tf.Tensor): Prepared {
  return { run: () => fn().dispose(), output: () => tf.tidy(() => tf.transpose(fn(), [0, 3, 1, 2])).dataSync() };
}

function training(step: () => number): Prepared {
  let [first, last] = [Number.NaN, Number.NaN];
  return {
    run() {
      last = step();
      if (Number.isNaN(first)) first = last;
    },
    detail: () => ({ firstLoss: first, lastLoss: last }),
  };
}
