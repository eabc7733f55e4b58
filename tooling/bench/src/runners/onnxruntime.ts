/** ONNX Runtime, native (`node`) or as WebAssembly (`web`): `onnxruntime.ts node|web THREADS`. Inference only. */
import type { InferenceSession, Tensor, TensorConstructor, InferenceSessionFactory } from 'onnxruntime-node';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { CaseSpec } from '../cases.ts';
import { serve } from '../serve.ts';
import type { LoadedRunner, Prepared } from '../serve.ts';
import { matvecCase } from './onnx-low-bit.ts';
import { onnxCase } from './onnx-models.ts';

interface Runtime {
  readonly InferenceSession: InferenceSessionFactory;
  readonly Tensor: TensorConstructor;
}

const [, , flavour, threadsText] = process.argv;
const threads = Number(threadsText);

await serve(async (): Promise<LoadedRunner> => {
  const runtime: Runtime = flavour === 'web' ? await loadWeb() : await import('onnxruntime-node');
  const options: InferenceSession.SessionOptions =
    flavour === 'web'
      ? { executionProviders: ['wasm'] }
      : { executionProviders: ['cpu'], intraOpNumThreads: threads, interOpNumThreads: 1, logSeverityLevel: 3 };
  return {
    version: versionOf(flavour === 'web' ? 'onnxruntime-web' : 'onnxruntime-node'),
    prepare: (spec) => prepare(runtime, options, spec),
  };
});

async function loadWeb(): Promise<Runtime> {
  const web = await import('onnxruntime-web');
  web.env.wasm.numThreads = threads;
  web.env.wasm.simd = true;
  return web;
}

function versionOf(name: string): string {
  const main = createRequire(import.meta.url).resolve(name);
  for (let folder = dirname(main); folder !== dirname(folder); folder = dirname(folder)) {
    try {
      const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
        name?: string;
        version?: string;
      };
      if (manifest.name === name && manifest.version !== undefined) return manifest.version;
    } catch {
      continue;
    }
  }
  return 'unknown';
}

async function prepare(runtime: Runtime, options: InferenceSession.SessionOptions, spec: CaseSpec): Promise<Prepared> {
  const low = spec.kind === 'matvec' ? matvecCase(spec) : undefined;
  const built = low ?? onnxCase(spec);
  if (built === undefined) throw new RangeError(`onnxruntime has no '${spec.kind}'`);
  const session = await runtime.InferenceSession.create(built.model, options);
  const feeds: Record<string, Tensor> = {};
  for (const { name, dims, data } of built.inputs)
    feeds[name] =
      data instanceof BigInt64Array
        ? new runtime.Tensor('int64', data, dims)
        : new runtime.Tensor('float32', data, dims);
  // Outputs in place where the runtime can: no allocation, no copy. The web runtime always hands out a copy.
  const length = built.output.dims.reduce((a, b) => a * b, 1);
  const target = new runtime.Tensor('float32', new Float32Array(length), built.output.dims);
  const fetches: Record<string, Tensor> = { [built.output.name]: target };
  let last: Tensor | undefined;
  return {
    run:
      flavour === 'web'
        ? async () => {
            last = (await session.run(feeds))[built.output.name];
          }
        : () => session.run(feeds, fetches),
    ...(low === undefined || spec.kind !== 'matvec'
      ? {}
      : { units: spec.copies, detail: () => ({ bytes: low.weightBytes }) }),
    output: () => (last ?? target).data as Float32Array,
    dispose: () => void session.release(),
  };
}
