import { getDevice } from '@proj/kernel';
import '@proj/device-native';
import { readPeak } from '../../../tooling/bench/src/runners/read-peak.ts';
for (const t of [1, 2]) { const p = readPeak(getDevice('native'), t, 1 << 30); const ts = []; for (let i = 0; i < 9; i++) { const a = performance.now(); p.run(); ts.push(performance.now() - a); } ts.sort((a, b) => a - b); console.log(t, (2 ** 30 / ts[4] / 1e6).toFixed(1), (2 ** 30 / ts[0] / 1e6).toFixed(1), p.detail!()); p.dispose(); }
