import '@proj/device-native';
import { openModel } from '../src/jit/index.ts';
import { NativeProgram } from '../../device-native/src/native-program.ts';
const path = process.argv[2], threads = Number(process.argv[3] ?? 2);
let inside = 0; const old = NativeProgram.prototype.run; NativeProgram.prototype.run = function (...a: any[]) { const t = performance.now(); (old as any).apply(this, a); inside += performance.now() - t; } as any;
const model = await openModel(path, { device: 'native', threads, positions: 256, maxTokens: 128 }); model.settle();
const s = model.sequence();
for (let r = 0; r < 30; r++) { s.reset(); inside = 0; const t = performance.now(); for (let i = 0; i < 32; i++) s.feed([1000 + i]); const all = performance.now() - t;
console.log('step', (all / 32).toFixed(3), 'inside', (inside / 32).toFixed(3), 'gap', ((all - inside) / 32).toFixed(3)); }
