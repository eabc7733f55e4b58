import '@proj/device-native';
import { openModel } from '../src/jit/index.ts';
const t00 = performance.now();
const m = await openModel('/tmp/syn-q1.pbz', { positions: 1024 }); const t1 = performance.now();
const s = m.sequence(); s.feed([5]); const t2 = performance.now();
console.log('start', t00.toFixed(0), 'open', (t1 - t00).toFixed(0), JSON.stringify(m.times), 'first', (t2 - t1).toFixed(0));
