import fs from 'node:fs'; import { decodeBlocks } from '../src/gemma2/gguf-blocks.ts';
for (const f of ['/tmp/ggml.json', '/tmp/ggml-raw.json']) for (const [n, { bytes, values }] of Object.entries(JSON.parse(fs.readFileSync(f, 'utf8'))) as any) {
  const want = new Float32Array(Uint8Array.from(Buffer.from(values, 'base64')).buffer); const got = decodeBlocks(n, Buffer.from(bytes, 'base64'));
  let worst = 0, exact = 0; for (let i = 0; i < want.length; i++) { if (Object.is(want[i], got[i]) || want[i] === got[i]) exact++; else { const e = Math.abs(want[i] - got[i]) / (Math.abs(want[i]) + 1e-30); if (Number.isFinite(e)) worst = Math.max(worst, e); else worst = Math.max(worst, Number.isNaN(want[i]) === Number.isNaN(got[i]) ? 0 : Infinity); } }
  console.log(n, want.length === got.length, 'exact', (100 * exact / want.length).toFixed(1) + ' %', 'worst rel', worst.toExponential(1)); }
