import '@proj/device-native';
import { openModel } from '../src/jit/index.ts';
for (const threads of [1, 2]) {
const m = await openModel(`/tmp/syn-q4g32.pbz`, { threads, positions: 4096 }); m.settle();
const s = m.sequence();
const ids = Array.from({ length: 128 }, (_, i) => (i * 7919) % 32000);
let t = performance.now(); s.feed(ids); 
for (let at = 128; at < 2176; at += 128) { t = performance.now(); s.feed(ids); if (at % 1024 === 0) console.log(threads, 'prompt at', at, (128e3 / (performance.now() - t)).toFixed(1), 'tok/s'); }
const times = []; for (let i = 0; i < 12; i++) { t = performance.now(); s.feed([i]); times.push(performance.now() - t); } times.sort((a, b) => a - b);
console.log(threads, 'decode at 2176:', (1e3 / times[6]).toFixed(2), 'tok/s', times[6].toFixed(1)); s.dispose(); m.dispose(); }
