import { getDevice } from '@proj/kernel';
import '@proj/device-native';
import { buildGemma2, optimise } from '../src/il/index.ts';
import { parseGemma2Config } from '../src/gemma2/index.ts';
import { packedLayout, SCHEMES } from '../src/quantize/index.ts';
import { lower } from '../src/jit/lower.ts';
import { StepMemory } from '../src/jit/places.ts';
import { constantBytes } from '../src/jit/weights.ts';
import fs from 'node:fs';
const base = JSON.parse(fs.readFileSync('/work/shared/conformance/gemma2/tiny-f32/config.json','utf8'));
const layers = 26, threads = Number(process.argv[3] ?? 2);
const config = parseGemma2Config({ ...base, vocab_size: 32000, hidden_size: 2304, intermediate_size: 9216, num_hidden_layers: layers, num_attention_heads: 8, num_key_value_heads: 4, head_dim: 256, sliding_window: 4096, query_pre_attn_scalar: 256, max_position_embeddings: 8192 });
const dev = getDevice('native'); dev.setThreads(threads);
const scheme = process.argv[2] ?? 'q4g32';
const m = buildGemma2(config, () => scheme as any, { tileSize: Number(process.env.TILE ?? 32), kvCache: 'q8', logits: 'last', positions: 1024 });
const il = m.with(optimise(m.program));
const places = new Map<string, number>(); let bytes = 0; for (const c of il.constants) { places.set(c.name, bytes); bytes += constantBytes(c); }
const buffer = dev.allocate(bytes);
const chunk = new Uint8Array(1 << 24); for (let i = 0; i < chunk.length; i++) chunk[i] = Math.random() * 256;
for (let at = 0; at < bytes; at += chunk.length) dev.write(buffer, at, chunk.subarray(0, Math.min(chunk.length, bytes - at)));
for (const c of il.constants) { const at = places.get(c.name)!; const s = SCHEMES[c.type.scheme];
  if (s.bits === 32) { const n = c.type.shape.reduce((a, b) => a * b, 1); dev.write(buffer, at, new Uint8Array(new Float32Array(n).fill(0.01).buffer)); continue; }
  const l = packedLayout(s, c.type.shape[0], c.type.shape[1]); const n = l.bytes - l.scales; dev.write(buffer, at + l.scales, new Uint8Array(s.scaleType === 'f16' ? new Uint16Array(n / 2).fill(0x1400).buffer : new Float32Array(n / 4).fill(0.001).buffer)); }
const memory = new StepMemory(dev, il, { place: (n: string) => ({ buffer, offset: places.get(n)! }) } as any, 1);
const { steps } = lower(il, memory, false, new Map());
const kernels = [...new Set(steps.map((s) => s.kernel))]; const compiled = new Map(dev.compile(kernels).map((c, i) => [kernels[i], c]));
const CH = Number(process.env.CHUNK ?? 0);
const launches = steps.map(({ kernel, args, begin, end, grain }) => ({ kernel: compiled.get(kernel)!, args, begin, end, grain, align: 1, ...(CH && kernel.name.startsWith('linear') ? { chunk: Math.max(1, Math.ceil(grain * CH / 16384)) } : {}) }));
dev.write(memory.slots[memory.control.slot], 0, new Uint8Array(new Int32Array([1, 40, 1, 40]).buffer));
// by kind: program with only these launches (each kind), and whole.
const kind = (v: string, k: string) => k.split(' ')[0] + ' ' + v.replace(/^layer\.\d+\./, '').replace(/\.\d+/, '');
const kinds = new Map<string, typeof launches>();
steps.forEach((s, i) => { const k = kind(s.value, s.kernel.name); kinds.set(k, [...(kinds.get(k) ?? []), launches[i]]); });
const time = (ls: typeof launches, reps = 12) => { const p = dev.program(ls, memory.slots.length); const ts = []; for (let r = 0; r < reps; r++) { const t = performance.now(); p.run(memory.slots, []); ts.push(performance.now() - t); } ts.sort((a, b) => a - b); p.dispose(); return [ts[0], ts[ts.length >> 1]]; };
const whole = time(launches, 40); if (process.env.BRIEF) { const l = time(launches.filter((_, i) => steps[i].kernel.name.startsWith('linear')), 40); const w2 = time(launches, 40); console.log(process.env.TAG, scheme, threads, 'whole', whole.map((x) => x.toFixed(2)).join(' '), w2.map((x) => x.toFixed(2)).join(' '), 'linear', l.map((x) => x.toFixed(2)).join(' '), (bytes/whole[1]/1e6).toFixed(1)); process.exit(0); } console.log('whole', whole.map((x) => x.toFixed(2)).join(' '), 'GB/s', (bytes / whole[1] / 1e6).toFixed(1));
const lin = launches.filter((_, i) => steps[i].kernel.name.startsWith('linear'));
console.log('linear only', time(lin).map((x) => x.toFixed(2)).join(' ')); console.log('others only', time(launches.filter((l) => !lin.includes(l)), 40).map((x) => x.toFixed(2)).join(' '));
for (const [k, ls] of kinds) if (ls.length > 3) console.log(k.padEnd(50), ls.length, time(ls, k.startsWith('linear') ? 8 : 50).map((x) => (x * 1e3 / ls.length).toFixed(2)).join(' us, '));
