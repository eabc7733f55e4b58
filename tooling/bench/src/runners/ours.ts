/** Our devices: `ours.ts native|wasm|js THREADS`. Written as a user would write it; a step is captured with `compile` but for the eager cases. */
import { getDevice, setDefaultDevice } from '@proj/kernel';
import { compile, fromArray } from '@proj/tensor';
import type { Device } from '@proj/kernel';
import type { Tensor } from '@proj/tensor';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { CaseSpec } from '../cases.ts';
import { labels, uniform } from '../inputs.ts';
import { residentMegabytes, serve } from '../serve.ts';
import type { Prepared } from '../serve.ts';
import { fmaPeak } from './fma-peak.ts';
import { readPeak } from './read-peak.ts';

const [, , deviceName = 'js', threadsText = '1'] = process.argv;

await serve(async () => {
  if (deviceName === 'native') await import('@proj/device-native');
  const device = getDevice(deviceName);
  setDefaultDevice(device);
  device.setThreads(Number(threadsText));
  return {
    version: versionOf(),
    detail: { features: device.features.description },
    prepare: (spec) => prepare(spec, device),
  };
});

function versionOf(): string {
  const manifest = createRequire(import.meta.url).resolve('@proj/tensor/package.json');
  return (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version;
}

function input(seed: number, shape: readonly number[]): Tensor {
  return fromArray(uniform(elements(shape), seed), shape);
}

function elements(shape: readonly number[]): number {
  return shape.reduce((a, b) => a * b, 1);
}

function targets(length: number, classes: number): Tensor {
  return fromArray(labels(length, classes), [length], 'int64');
}

/** Evaluates `fn`. Each run writes over the result of the one before, as the peers' caching allocators do. */
function forward(fn: () => Tensor): Prepared {
  const compiled = compile(fn, { reuseOutputs: true });
  return {
    run: () => {
      compiled();
    },
    output: () => compiled().toTypedArray(),
  };
}

/** The packages above the tensors are loaded by the cases that need them. */
function models(): Promise<typeof import('./ours-models.ts')> {
  return import('./ours-models.ts');
}

async function prepare(spec: CaseSpec, device: Device): Promise<Prepared> {
  const threads = Number(threadsText);
  switch (spec.kind) {
    case 'fma-peak':
      return fmaPeak(device, threads);
    case 'read-peak':
      return readPeak(device, threads, spec.bytes);
    case 'decode':
    case 'prompt':
    case 'matvec':
      return (await import('./ours-low-bit.ts')).prepareLowBit(spec, device, threads);
    case 'matmul': {
      const [a, b] = [input(1, [spec.m, spec.k]), input(2, [spec.k, spec.n])];
      return forward(() => a.matmul(b));
    }
    case 'chain': {
      const a = input(1, [spec.elements]);
      if (spec.inputs === 1) return forward(() => a.mul(1.5).add(0.25).relu().mul(0.5).sub(a).abs().sqrt());
      const [b, c] = [input(2, [spec.elements]), input(3, [spec.elements])];
      return forward(() => a.mul(b).add(c).relu().mul(0.5).sub(a).abs().sqrt());
    }
    case 'exp': {
      const a = input(1, [spec.elements]);
      return forward(() => a.exp());
    }
    case 'softmax': {
      const a = input(1, [spec.rows, spec.columns]);
      return forward(() => a.softmax(-1));
    }
    case 'layer-norm': {
      const [a, weight, bias] = [
        input(1, [spec.rows, spec.columns]),
        input(2, [spec.columns]),
        input(3, [spec.columns]),
      ];
      const { layerNorm } = await import('@proj/nn/functional');
      return forward(() => layerNorm(a, [spec.columns], { weight, bias }));
    }
    case 'cross-entropy': {
      const [a, y] = [input(1, [spec.rows, spec.columns]), targets(spec.rows, spec.columns)];
      const { crossEntropy } = await import('@proj/nn/functional');
      return forward(() => crossEntropy(a, y));
    }
    case 'conv2d': {
      const { batch, channels, size, filters, kernel, stride, padding, groups } = spec;
      const [x, w] = [input(1, [batch, channels, size, size]), input(2, [filters, channels / groups, kernel, kernel])];
      const { conv2d } = await import('@proj/nn/functional');
      return forward(() => conv2d(x, w, { stride, padding, groups }));
    }
    case 'train':
      return training((await models()).stepOf(spec.model, true));
    case 'tiny-step':
      return training((await models()).stepOf('tiny', spec.captured));
    case 'tiny-graph': {
      const [a, b] = [input(1, [16]), input(2, [16])];
      return { run: () => a.add(b).mul(a).sum().item() };
    }
    case 'memory-steps':
      return memorySteps(spec);
    case 'memory-gpt': {
      let detail: Record<string, number> = {};
      return {
        single: true,
        async run() {
          const base = residentMegabytes().now;
          const step = (await models()).stepOf('gpt', true);
          for (let i = 0; i < spec.steps; i++) step();
          detail = { baseMB: base, peakMB: residentMegabytes().peak };
        },
        detail: () => detail,
      };
    }
    case 'memcpy':
    case 'cold-start':
      throw new RangeError(`'${spec.kind}' is not measured here`);
    default:
      return spec satisfies never;
  }
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

/** The resident size after an early and a late step, in a loop that never waits, one that gives way, or one with a captured step. */
function memorySteps({ mode, early, late }: CaseSpec & { kind: 'memory-steps' }): Prepared {
  let detail: Record<string, number> = {};
  return {
    single: true,
    async run() {
      const step = (await models()).stepOf(mode === 'sync, larger net' ? 'mlp' : 'small', mode === 'captured');
      const until = async (from: number, to: number): Promise<void> => {
        for (let i = from; i < to; i++) {
          step();
          // As a loader that reads from a file gives way: a turn of the event loop, in which finalizers run.
          if (mode === 'await') await new Promise((resolve) => setImmediate(resolve));
        }
      };
      await until(0, early);
      const { now: atEarly } = residentMegabytes();
      await until(early, late);
      const { now, peak } = residentMegabytes();
      detail = { earlyMB: atEarly, lateMB: now, peakMB: peak, growth: now / atEarly - 1 };
    },
    detail: () => detail,
  };
}
