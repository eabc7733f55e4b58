/**
 * Eight clients for some minutes on loopback, some of which leave in the middle: `pnpm --filter gemma2-converter soak -- [seconds] [converted file]`. Not a test: it is
 * run by hand. Says how many requests and tokens, errors, resident memory minute by minute and how even the clients' progress was.
 */
import { readFileSync } from 'node:fs';
import { start, temporaryFolder, run, writeTeacher } from './support.ts';
import '@proj/device-native';

const [seconds = '300', file] = process.argv.slice(2).filter((arg) => arg !== '--');
const CLIENTS = 8;
const { path, remove } = temporaryFolder();
let model = file;
if (model === undefined) {
  writeTeacher(path('teacher'), { hiddenSize: 256, intermediateSize: 1024, numHiddenLayers: 6, headDim: 64 });
  model = path('model.q4');
  await run(['convert', path('teacher'), '-o', model]);
}
const serving = start(['serve', model, '--port', '0', '--slots', '8', '--queue', '8']);
const [, url] = await serving.until(/on (http:\/\/127\.0\.0\.1:\d+)\/v1/);
const resident = (): number => {
  const [, kB] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${serving.child.pid}/status`, 'utf8')) ?? ['', 'NaN'];
  return Number(kB) / 1024;
};

// Time in which this process was stopped does not count, nor do requests that this broke off. Ctrl-C ends early.
let active = 0;
let wanted = Number(seconds);
process.once('SIGINT', () => (wanted = 0));
let last = performance.now();
let stops = 0;
function tick(): void {
  const now = performance.now();
  active += Math.min(500, now - last) / 1000;
  if (now - last > 2000) stops++;
  last = now;
}
const clock = setInterval(tick, 100);
const tokens = new Array<number>(CLIENTS).fill(0);
const requests = { whole: 0, left: 0, interrupted: 0, errors: [] as string[] };

async function client(index: number): Promise<void> {
  for (let turn = 0; active < wanted; turn++) {
    const controller = new AbortController();
    // One in five leaves in the middle.
    const patience = turn % 5 === 4 ? 1 + ((7 * turn) % 40) : Infinity;
    let events = 0;
    let done = false;
    const stopsBefore = stops;
    try {
      const response = await fetch(`${url}/v1/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({
          prompt: `client ${index} asks for the ${turn}th time `.repeat(1 + (turn % 4)),
          max_tokens: 64 + ((13 * turn) % 64),
          temperature: 1,
          seed: 1000 * index + turn,
          stream: true,
        }),
        signal: controller.signal,
      });
      if (response.status !== 200) throw new Error(`status ${response.status}: ${await response.text()}`);
      for await (const part of response.body ?? []) {
        const text = Buffer.from(part).toString('latin1');
        events += text.split('data: {').length - 1;
        done ||= text.includes('[DONE]');
        if (events > patience) {
          controller.abort();
          break;
        }
      }
      if (events > patience) requests.left++;
      else if (done) requests.whole++;
      else throw new Error('the stream ended without [DONE]');
    } catch (error) {
      tick();
      if (controller.signal.aborted) requests.left++;
      // After a stop of seconds servers close connections that they take for idle.
      else if (stops > stopsBefore) requests.interrupted++;
      else requests.errors.push([error, (error as Error).cause].filter((each) => each !== undefined).join(': '));
    }
    tokens[index] += events;
  }
}

const memory: number[] = [];
const sampler = setInterval(() => memory.push(resident()), 1000);
await Promise.all(Array.from({ length: CLIENTS }, (_, i) => client(i)));
clearInterval(sampler);
clearInterval(clock);
const health: unknown = await (await fetch(`${url}/health`)).json();
serving.child.kill('SIGTERM');
const { status } = await serving.done;
const total = tokens.reduce((sum, count) => sum + count, 0);
process.stdout.write(
  `${JSON.stringify(
    {
      seconds: active,
      ...requests,
      tokens: total,
      tokensPerSecond: total / active,
      leastOfMost: Math.min(...tokens) / Math.max(...tokens),
      memoryMiB: Array.from({ length: Math.ceil(memory.length / 60) }, (_, minute) => {
        const sorted = memory.slice(60 * minute, 60 * (minute + 1)).toSorted((a, b) => a - b);
        const at = (share: number): number => Math.round(sorted[Math.round(share * (sorted.length - 1))]);
        return { minute, least: at(0), middle: at(0.5), most: at(1) };
      }),
      health,
      status,
    },
    null,
    2,
  )}\n`,
);
remove();
process.exitCode = requests.errors.length === 0 && status === 0 ? 0 : 1;
