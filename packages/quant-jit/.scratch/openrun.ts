import '@proj/device-native';
import fs from 'node:fs';
import { openModel } from '../src/jit/index.ts';
const path = process.argv[2], threads = Number(process.argv[3] ?? 2);
const model = await openModel(path, { device: 'native', threads, positions: 256, maxTokens: 128 }); model.settle();
const s = model.sequence();
console.log(fs.readFileSync('/proc/self/smaps_rollup','utf8').match(/AnonHuge.*|Rss.*/g)?.join(' '));
for (let r = 0; r < 4; r++) { s.reset(); const ts = []; for (let i = 0; i < 32; i++) { const t = performance.now(); s.feed([1000 + i]); ts.push(performance.now() - t); }
const mean = ts.reduce((a, b) => a + b) / 32; console.log('mean', mean.toFixed(2), 'min', Math.min(...ts).toFixed(2), ts.slice(0, 6).map((x) => x.toFixed(1)).join(' '), '...', ts.slice(-6).map((x) => x.toFixed(1)).join(' ')); await new Promise((r) => setTimeout(r, 300)); }
