import { openGguf } from '../src/gemma2/index.ts';
import { readFileSync, writeFileSync } from 'node:fs';
const b = readFileSync('/tmp/tiny-F32.gguf');
for (const n of [500, 3000, 9000, 13000, 14000]) { writeFileSync('/tmp/cut.gguf', b.subarray(0, n)); await openGguf('/tmp/cut.gguf').then(() => console.log('ok?'), (e) => console.log(n, e.message)); }
