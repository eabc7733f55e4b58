import { getDevice } from '@proj/kernel';
import '@proj/device-native';
import { buildGemma2, optimise } from '../src/il/index.ts';
import { gemma2Config, parseGemma2Config } from '../src/gemma2/index.ts';
import { packedLayout, SCHEMES } from '../src/quantize/index.ts';
import { CompiledNativeILNN } from '../src/jit/compiled.ts';
import { constantBytes } from '../src/jit/weights.ts';
import fs from 'node:fs';
const base = JSON.parse(fs.readFileSync('/work/shared/conformance/gemma2/tiny-f32/config.json','utf8'));
const layers = Number(process.argv[4] ?? 26);
const config = parseGemma2Config({ ...base, vocab_size: 32000, hidden_size: 2304, intermediate_size: 9216, num_hidden_layers: layers, num_attention_heads: 8, num_key_value_heads: 4, head_dim: 256, sliding_window: 4096, query_pre_attn_scalar: 256, max_position_embeddings: 8192 });
const dn = process.argv[3] ?? 'native'; const dev = getDevice(dn);
for (const scheme of (process.argv[2] ?? 'q4g32').split(',')) {
  let t0 = performance.now();
  const m = buildGemma2(config, () => scheme as any, { kvCache: 'q8', logits: 'last', positions: 1024 });
  const il = m.with(optimise(m.program)); const ilMs = performance.now() - t0;
  const places = new Map<string, number>(); let bytes = 0; for (const c of il.constants) { places.set(c.name, bytes); bytes += constantBytes(c); }
  const buffer = dev.allocate(bytes);
  const chunk = new Uint8Array(1 << 24); for (let i = 0; i < chunk.length; i++) chunk[i] = Math.random() * 256;
  for (let at = 0; at < bytes; at += chunk.length) dev.write(buffer, at, chunk.subarray(0, Math.min(chunk.length, bytes - at)));
  for (const c of il.constants) { const at = places.get(c.name)!; const s = SCHEMES[c.type.scheme];
    if (s.bits === 32) { const n = c.type.shape.reduce((a, b) => a * b, 1); dev.write(buffer, at, new Uint8Array(new Float32Array(n).fill(0.01).buffer)); continue; }
    const l = packedLayout(s, c.type.shape[0], c.type.shape[1]); const n = l.bytes - l.scales; dev.write(buffer, at + l.scales, new Uint8Array(s.scaleType === 'f16' ? new Uint16Array(n / 2).fill(0x1400).buffer : new Float32Array(n / 4).fill(0.001).buffer)); }
  for (const threads of [1, 2]) { dev.setThreads(threads);
  t0 = performance.now(); const jit = new CompiledNativeILNN(il, { device: dev, weights: { place: (n) => ({ buffer, offset: places.get(n)! }) } }); const ct = performance.now() - t0;
  t0 = performance.now(); jit.prepare(); const pt = performance.now() - t0;
  const ids = Array.from({ length: 128 }, (_, i) => (i * 7919) % 32000);
  let best = 1e9; for (let r = 0; r < 3; r++) { jit.reset(); const t = performance.now(); jit.feed(ids); best = Math.min(best, performance.now() - t); }
  jit.reset(); const times = []; for (let i = 0; i < 24; i++) { const t = performance.now(); jit.feed([i + 5]); times.push(performance.now() - t); }
  times.sort((a, b) => a - b); const med = times[times.length >> 1];
  console.log(`${scheme} ${dn} ${threads}T il ${ilMs.toFixed(0)} ms compile ${ct.toFixed(0)}+${pt.toFixed(0)} ms, ${(bytes / 1e9).toFixed(3)} GB, launches ${jit.report.launchesPerStep}; decode ${(1e3 / med).toFixed(2)} tok/s (best ${(1e3 / times[0]).toFixed(2)}) ${(bytes / med / 1e6).toFixed(1)} GB/s; prompt 128: ${(128e3 / best).toFixed(1)} tok/s`);
  if (process.env.PROF && threads === 1) { }
  jit.dispose(); }
  buffer.dispose();
}
