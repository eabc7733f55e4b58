/** How large V8's young generation becomes in a process of its own, in which a sixth of what is made lives for a while. */
import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';

const source = new URL('../src/device/young-generation.ts', import.meta.url).href;
const PROGRAM = `
  const { steadyYoungGeneration } = await import(${JSON.stringify(source)});
  const v8 = await import('node:v8');
  const size = () => v8.getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space').space_size;
  const kept = [];
  let most = 0;
  for (let i = 0; i < 3e6; i++) {
    if (i % 6 === 0) kept[(i / 6) % 60000] = { i, text: [i] };
    else void { i, text: [i] };
    if (i % 2000 === 0) steadyYoungGeneration();
    if (i === 400_000 && process.env.THREAD === '1') {
      const { Worker } = await import('node:worker_threads');
      const worker = new Worker('setTimeout(() => {}, 60_000)', { eval: true });
      await new Promise((resolve) => worker.once('online', resolve));
      worker.unref();
    }
    if (i % 20000 === 0) most = Math.max(most, size());
  }
  console.log(most / 2 ** 20);
`;

function mostMiB(environment: Readonly<Record<string, string>>, flags: readonly string[] = []): number {
  const { stdout, stderr } = spawnSync(process.execPath, [...flags, '--input-type=module', '-e', PROGRAM], {
    env: { ...process.env, NODE_OPTIONS: '', PROJ_HEAP: '', ...environment },
    encoding: 'utf8',
  });
  expect(stderr.replaceAll(/.*(Warning|node --trace).*\n?/g, '')).toBe('');
  return Number(stdout);
}

describe('the young generation', { timeout: 60_000 }, () => {
  it('goes to 8 MiB a half and no further', () => {
    const most = mostMiB({});
    expect(most).toBeGreaterThan(8);
    expect(most).toBeLessThanOrEqual(16);
  });

  it('stays there when threads are started, which resets its growth in Node 22', () => {
    expect(mostMiB({ THREAD: '1' })).toBeLessThanOrEqual(16.5);
  });

  it('is left to the engine where that is asked for, or where the process was started with settings of its own', () => {
    expect(mostMiB({ PROJ_HEAP: 'engine' })).toBeGreaterThan(16);
    expect(mostMiB({}, ['--min-semi-space-size=16'])).toBeGreaterThan(16);
  });
});
