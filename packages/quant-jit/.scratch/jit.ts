import { getDevice } from '@proj/kernel';
import '@proj/device-native';
import { buildGemma2, buildLinear, optimise, Interpreter, constantsFrom } from '../src/il/index.ts';
import { parseGemma2Config } from '../src/gemma2/index.ts';
import { quantize, SCHEMES } from '../src/quantize/index.ts';
import { CompiledNativeILNN } from '../src/jit/compiled.ts';
import { packWeights } from '../src/jit/weights.ts';
import fs from 'node:fs';
const c = JSON.parse(fs.readFileSync('/work/shared/conformance/gemma2/tiny-f32/config.json','utf8'));
const config = parseGemma2Config(c);
let seed = 1; const rnd = () => { seed = (seed * 1664525 + 1013904223) >>> 0; return seed / 2 ** 32 - 0.5; };
const raw = new Map<string, Float32Array>();
const devices = (process.argv[3] ?? 'native,wasm,js').split(',');
for (const scheme of (process.argv[2] ?? 'f32,q8,q8g32,q4g32,q4g64,q4g128,q4g32a,q4g128a,q158,q1,q1g128').split(',')) for (const kvCache of ['f32','q8'] as const) for (const mode of ['exact','data','logic'] as const) for (const act of [undefined, 'a8', 'a1'] as const) {
  if (mode !== 'exact' && (scheme !== 'q8' || kvCache!=='f32' || act)) continue;
  if (act === 'a1' && scheme !== 'q1') continue; if (act && scheme === 'f32') continue;
  let m;
  try { m = buildGemma2(config, () => scheme as any, { kvCache, mode, logits: 'last', ...(act ? { activation: act } : {}) }); } catch (e) { console.log(scheme, act, (e as Error).message); continue; }
  const opt = m.with(optimise(m.program));
  const matrices = new Map(), floats = new Map();
  for (const d of m.constants) { const n = d.type.shape.reduce((a, b) => a * b, 1); let w = raw.get(d.name); if (!w) { w = Float32Array.from({ length: n }, () => rnd() * (d.type.shape.length === 1 ? 0.5 : 0.4)); raw.set(d.name, w); }
    if (d.type.scheme === 'f32') floats.set(d.name, w); else matrices.set(d.name, quantize(w, d.type.shape[0], d.type.shape[1], d.type.scheme)); }
  const src = constantsFrom({ matrices, floats });
  const ids = [2, 292, 433, 334, 416, 278, 267, 317, 342, 442, 272, 274, 439]; const more = [433, 312, 310];
  const oracle = new Interpreter(opt, src); const want = [oracle.step(ids)[0].data, ...more.map((t) => oracle.step([t])[0].data)];
  for (const dn of devices) { const dev = getDevice(dn);
    const t0 = performance.now(); const jit = new CompiledNativeILNN(opt, { device: dev, weights: packWeights(dev, opt, src), maxTokens: 16 }); 
    const got = [jit.feed(ids), ...more.map((t) => jit.feed([t]))];
    const err = want.map((w, i) => w.reduce((m, x, k) => Math.max(m, Math.abs(x - got[i][k])), 0)); const mag = Math.max(...want[0].map(Math.abs));
    console.log(scheme, act ?? '', kvCache, mode, dn, 'max err', err.map((e) => e.toExponential(1)).join(' '), 'of', mag.toFixed(2), (performance.now() - t0).toFixed(0) + ' ms', jit.report.kernels);
  }
}
