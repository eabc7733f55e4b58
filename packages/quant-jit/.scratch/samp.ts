import { sampleToken } from '../src/gemma2/index.ts';
const g = () => Math.sqrt(-2 * Math.log(Math.random() + 1e-12)) * Math.cos(6.283 * Math.random()); const l = Float32Array.from({ length: 256000 }, (_, i) => -8 + 2.5 * g() + (i < 20 ? 16 - i * 0.3 : 0));
for (const o of [{}, { temperature: 1 }, { temperature: 0.8, topP: 0.95 }, { temperature: 0.8, topK: 40 }, { temperature: 1, topK: 40, topP: 0.9 }, { temperature: 0.8, topP: 0.95, repetitionPenalty: 1.1 }]) {
  const ts: number[] = []; for (let i = 0; i < 30; i++) { const t = performance.now(); sampleToken(l, 0.37, o, [1, 2, 3]); ts.push(performance.now() - t); } ts.sort((a, b) => a - b);
  console.log(JSON.stringify(o), ts[0].toFixed(2), ts[15].toFixed(2), 'ms');
}
