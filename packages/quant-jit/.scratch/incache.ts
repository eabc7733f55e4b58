import { getDevice } from '@proj/kernel';
import '@proj/device-native';
import { linearKernel } from '../src/kernels/linear.ts';
import { packedLayout, SCHEMES } from '../src/quantize/index.ts';
const dev = getDevice('native'); dev.setThreads(1);
for (const [s, tile] of (process.argv[2] ?? 'q1:32,q1:64,q1:128,q158:32,q4g32:32,q8g32:32').split(',').map((x) => x.split(':'))) {
  const scheme = SCHEMES[s as 'q1']; const rows = 2048 / scheme.bits / 2, columns = 2304;
  const layout = packedLayout(scheme, rows, columns); const a = scheme.bits <= 2 ? 'a8' : 'a8g32';
  const [k] = dev.compile([linearKernel('k' + s + tile, { scheme, activation: a as any, rows, columns, tile: 1, counted: false, tileSize: Number(tile) }, dev.features)]);
  const w = dev.allocate(layout.bytes + 65536), x = dev.allocate(65536), sc = dev.allocate(65536), su = dev.allocate(65536), o = dev.allocate(65536 * 4);
  const B = (binding: number, offset = 0) => ({ kind: 'buffer' as const, binding, offset });
  const reps = 200; const p = dev.program(Array.from({ length: reps }, () => ({ kernel: k, args: [B(0), B(0, layout.scales), B(1), B(2), B(3), B(4)], begin: 0, end: layout.panels, grain: 1, align: 1 })), 5);
  const ts: number[] = []; for (let i = 0; i < 15; i++) { const t = performance.now(); p.run([w, x, sc, su, o], []); ts.push(performance.now() - t); } ts.sort((m, n) => m - n);
  console.log(s, tile, 'KB', layout.bytes >> 10, 'GB/s in cache', (layout.bytes * reps / ts[7] / 1e6).toFixed(1), (layout.bytes * reps / ts[0] / 1e6).toFixed(1), 'cycles per line at 3 GHz', (3e6 * ts[7] / (reps * layout.scales / 64)).toFixed(2));
}
