/**
 * Exact functions, tables (`Mode.Data`) and integer shortcuts (`Mode.Logic`) in attention and norms: error and time of each, on one layer's shape of Gemma 2 2B.
 *
 * `node --conditions=source packages/quant-jit/bench/modes.ts [positions] [threads]`
 */
import { type Device, getDevice } from '@proj/kernel';
import '@proj/device-native';
import { constantsFrom, IlBuilder, type Mode, NativeCodeILNN, TILE_SIZE } from '@proj/quant-jit/il';
import { CompiledNativeILNN, packWeights } from '@proj/quant-jit/jit';

const positions = Number(process.argv[2] ?? 2048);
const threads = Number(process.argv[3] ?? 1);
const [heads, kvHeads, headDim] = [8, 4, 256];
const width = heads * headDim + 2 * kvHeads * headDim;

let state = 1;
/** Nearly normal: the sum of twelve uniform numbers, less six. */
function normal(): number {
  let sum = -6;
  for (let i = 0; i < 12; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    sum += state / 2 ** 32;
  }
  return sum;
}

/** Rows of q, k and v side by side, through attention. */
function attentionProgram(mode: Mode): NativeCodeILNN {
  const b = new IlBuilder();
  const x = b.loadInput(width);
  const part = (begin: number, end: number): string => b.slice(x, begin, end);
  const q = part(0, heads * headDim);
  const k = part(heads * headDim, (heads + kvHeads) * headDim);
  const v = part((heads + kvHeads) * headDim, width);
  b.store(
    b.attention(q, k, v, {
      layer: 0,
      heads,
      kv_heads: kvHeads,
      head_dim: headDim,
      scale: 1 / 16,
      cap: 50,
      window: 0,
      cache: 'q8',
      mode,
    }),
  );
  return new NativeCodeILNN({ name: 'attention', positions: positions + 64, tileSize: TILE_SIZE }, b.build());
}

function normProgram(mode: Mode): NativeCodeILNN {
  const b = new IlBuilder();
  const x = b.loadInput(2304);
  b.store(b.norm(x, b.constant('gain', { kind: 'weight', scheme: 'f32', shape: [2304] }), { eps: 1e-6, mode }));
  return new NativeCodeILNN({ name: 'norm', positions: 0, tileSize: TILE_SIZE }, b.build());
}

const relativeError = (got: Float32Array, want: Float32Array): number => {
  let [error, size] = [0, 0];
  want.forEach((x, i) => {
    error += (got[i] - x) ** 2;
    size += x ** 2;
  });
  return Math.sqrt(error / size);
};

function timed(run: () => Float32Array): { readonly microseconds: number; readonly result: Float32Array } {
  const times: number[] = [];
  let result = run();
  for (let i = 0; i < 30; i++) {
    const start = performance.now();
    result = run();
    times.push(1000 * (performance.now() - start));
  }
  times.sort((a, b) => a - b);
  return { microseconds: times[15], result };
}

const device: Device = getDevice('native');
device.setThreads(threads);
const source = constantsFrom({ floats: new Map([['gain', new Float32Array(2304)]]) });
const past = Float32Array.from({ length: positions * width }, normal);
const token = Float32Array.from({ length: width }, normal);
const row = Float32Array.from({ length: 2304 }, normal);

console.log(`${device.features.description}; ${heads} heads of ${headDim}, ${positions} positions, q8 cache`);
for (const [name, program] of [
  ['attention', attentionProgram],
  ['norm', normProgram],
] as const) {
  let exact: Float32Array | undefined;
  for (const mode of ['exact', 'data', 'logic'] as const) {
    const il = program(mode);
    const model = new CompiledNativeILNN(il, { device, weights: packWeights(device, il, source), maxTokens: 64 });
    if (name === 'attention') model.call(past);
    const { microseconds, result } = timed(() => {
      if (name === 'norm') return model.call(row)[0];
      model.rewind(positions);
      return model.call(token)[0];
    });
    exact ??= result;
    const error = (100 * relativeError(result, exact)).toFixed(2);
    console.log(
      `${name.padEnd(10)} ${mode.padEnd(6)} ${microseconds.toFixed(1).padStart(8)} µs   relative error ${error} %`,
    );
    model.dispose();
  }
}
