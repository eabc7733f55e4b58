/** Random small programs that use every operation, with the constants that they read: what passes and the text form are tried on. */
import { constantsFrom, type ConstantSource, IlBuilder, NativeCodeILNN } from '../src/il/index.ts';
import { weight } from '../src/il/types.ts';
import { ACTIVATIONS, quantize, type QuantizedMatrix, type SchemeName } from '../src/quantize/index.ts';
import { gaussian } from './gaussian.ts';

export interface RandomProgram {
  readonly model: NativeCodeILNN;
  readonly source: ConstantSource;
  /** Two steps of input. */
  readonly inputs: readonly Float32Array[];
}

const WIDTHS = [16, 32, 48] as const;

/** A random program of about `length` operations. Equal seeds give equal programs. */
export function randomProgram(seed: number, length = 16): RandomProgram {
  let state = (seed * 0x9e3779b1) >>> 0;
  const below = (n: number): number => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x6d2b79f5) >>> 0;
    return ((state ^ (state >>> 13)) >>> 0) % n;
  };
  const pick = <T>(values: readonly T[]): T => values[below(values.length)];

  const b = new IlBuilder();
  const matrices = new Map<string, QuantizedMatrix>();
  const floats = new Map<string, Float32Array>();
  const input = b.loadInput(32);
  /** Floats of T rows, the latest most likely to be used again. */
  const values = [input];
  const columns = (value: string): number => {
    const type = b.type(value);
    return type.kind === 'f32' ? type.columns : 0;
  };
  const some = (): string => values[Math.max(0, values.length - 1 - below(4))];
  const gain = (n: number): string => {
    const name = `block.${floats.size}.norm.weight`;
    floats.set(name, gaussian(n, seed + floats.size, 0.1));
    return b.constant(name, weight('f32', [n]));
  };
  const matrix = (rows: number, n: number, scheme: SchemeName): string => {
    const name = `block.${matrices.size + floats.size}.weight`;
    const data = gaussian(rows * n, seed + 31 * matrices.size, 0.2);
    if (scheme === 'f32') floats.set(name, data);
    else matrices.set(name, quantize(data, rows, n, scheme));
    return b.constant(name, weight(scheme, [rows, n]));
  };
  const schemes: readonly SchemeName[] = ['f32', 'q8', 'q4g32', 'q4g64a', 'q158', 'q1'];
  const project = (x: string, rows: number, scheme: SchemeName): string =>
    b.project(x, matrix(rows, columns(x), scheme), scheme === 'f32' ? undefined : pick(ACTIVATIONS[scheme]));
  const mode = (): 'exact' | 'data' | 'logic' => pick(['exact', 'exact', 'data', 'logic'] as const);
  const norm = (x: string): string => b.norm(x, gain(columns(x)), { eps: 1e-6, mode: mode() });
  let layer = 0;

  const steps: (() => string)[] = [
    () => norm(some()),
    () => {
      const x = some();
      return b.add(x, b.norm(project(x, columns(x), pick(schemes)), gain(columns(x)), { eps: 1e-6 }));
    },
    () => {
      const x = some();
      const h = b.add(b.norm(x, gain(columns(x)), { eps: 1e-6 }), input === x ? b.gelu(x) : x);
      values.push(h);
      return project(b.norm(h, gain(columns(x)), { eps: 1e-6 }), 32, 'q8');
    },
    () => {
      const x = norm(some());
      const scheme = pick(schemes);
      values.push(project(x, pick(WIDTHS), scheme), project(x, pick(WIDTHS), scheme));
      return project(x, pick([16, 20, 32]), scheme);
    },
    () => {
      const x = some();
      const [rows, scheme] = [pick([16, 20, 32]), pick(schemes)];
      const [gate, up] = [b.gelu(project(x, rows, scheme)), project(x, rows, scheme)];
      return below(2) === 0 ? b.mul(gate, up) : b.mul(up, gate);
    },
    () => {
      const x = some();
      const begin = below(columns(x));
      return b.slice(x, begin, begin + 1 + below(columns(x) - begin));
    },
    () => b.slice(some(), 0, 1),
    () => {
      const x = project(some(), 32, 'q8');
      const [heads, dim] = pick([
        [2, 16],
        [4, 8],
      ] as const);
      const q = b.rope(x, { heads, head_dim: dim, theta: 100 });
      const kv = project(some(), 2 * dim, 'q8');
      const shape = { layer: layer++, heads, kv_heads: 1, head_dim: dim, scale: 0.3, mode: mode() };
      const options = { cap: pick([0, 5]), window: pick([0, 2]), cache: pick(['f32', 'q8'] as const) };
      return b.attention(q, b.slice(kv, 0, dim), b.slice(kv, dim, 2 * dim), { ...shape, ...options });
    },
    () => b.softcap(some(), 3),
    () => b.softmax(some(), { mode: mode() }),
    () => b.lut(some(), { function: 'tanh', lo: -3, hi: 3, bits: 6 }),
    () => b.add(input, input),
  ];
  for (let i = 0; i < length; i++) values.push(pick(steps)());
  b.store(values.at(-1) ?? input);
  b.store(some());
  b.store(b.last(pick(values)));
  b.store(b.last(some()));
  return {
    model: new NativeCodeILNN({ name: `random ${seed}`, positions: 8, tileSize: 256 }, b.build()),
    source: constantsFrom({ matrices, floats }),
    inputs: [gaussian(3 * 32, seed + 1000), gaussian(32, seed + 2000)],
  };
}
