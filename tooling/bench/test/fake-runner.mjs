// A runner for the tests: `fake-runner.mjs NAME LOG MODE`. Writes its name into LOG at each turn; MODE misbehaves.
import { appendFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

const [, , name, log, mode] = process.argv;
const send = (reply) => console.log(JSON.stringify(reply));
if (mode === 'missing') {
  send({ op: 'missing', reason: 'library not found' });
  process.exit(0);
}
if (mode === 'crash-at-start') {
  console.error('cannot load');
  process.exit(3);
}
console.log('a banner that is no reply');
send({ op: 'hello', version: '1.2.3', detail: {} });
for await (const line of createInterface({ input: process.stdin })) {
  const { id, op } = JSON.parse(line);
  if (op === 'prepare') send({ op: 'ok', id, result: { check: [mode === 'wrong' ? 2 : 1], firstMs: 1, detail: {} } });
  else if (op === 'run') {
    if (mode === 'crash') process.exit(5);
    if (mode === 'silent') continue;
    if (mode === 'refuse') send({ op: 'error', id, message: 'cannot do that' });
    else {
      appendFileSync(log, name);
      send({ op: 'ok', id, result: { times: [4, 2, 3], batch: 1, cpuMs: 1e9, detail: { seen: true } } });
    }
  } else send({ op: 'ok', id, result: null });
}
