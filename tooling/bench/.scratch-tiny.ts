import { setDefaultDevice, getDevice } from '@proj/kernel';
if (process.argv[2] === 'native') await import('@proj/device-native');
const d = getDevice(process.argv[2]); setDefaultDevice(d); d.setThreads(1);
const { stepOf } = await import('/work/main/tooling/bench/src/runners/ours-models.ts');
const step = stepOf('tiny', process.argv[3] === 'captured');
const n = +(process.argv[4] ?? 2000);
for (let i = 0; i < 500; i++) step();
const times = [];
for (let r = 0; r < 10; r++) { const t = performance.now(); for (let i = 0; i < n / 10; i++) step(); times.push((performance.now() - t) / (n / 10) * 1000); await new Promise(r => setTimeout(r, 1)); }
times.sort((a, b) => a - b);
console.log(process.argv[2], process.argv[3], 'us/step min', times[0].toFixed(1), 'med', times[5].toFixed(1));
