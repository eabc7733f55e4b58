/** The profiler: what it counts, what it contains, and that it changes no result. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import '@proj/device-native';
import { attempt, compile, getDevice, ones, rand, type Tensor, tidy } from '@proj/tensor';
import { describe, expect, it } from 'vitest';
import { profile, Profile, type ProfileEvent, recordFunction } from '../src/index.ts';

const devices = ['js', 'wasm', 'native'].filter((name) => attempt(() => getDevice(name)).ok);
const launchesOf = ({ events }: Profile): ProfileEvent[] => events.filter(({ kind }) => kind === 'launch');
const end = ({ start, duration }: ProfileEvent): number => start + duration;

describe.each(devices)('profile on %s', (device) => {
  const matrix = (seed: number, ...shape: number[]): Tensor => rand(shape, { device }).mul(seed).realize();

  it('counts the launches of an evaluation, each time, with the operations of its products', () => {
    const [a, b] = [matrix(1, 24, 32), matrix(2, 32, 40)];
    const plain = a.matmul(b).relu().toFlatArray();
    const run = profile(() => {
      const values: number[][] = [];
      for (let i = 0; i < 5; i++) values.push(a.matmul(b).relu().toFlatArray());
      return values;
    });
    expect(run.value).toEqual([plain, plain, plain, plain, plain]);
    const product = run.keyAverages().filter(({ operations }) => operations > 0);
    expect(product.map(({ count, operations, device: name }) => [count, operations, name])).toEqual([
      [5, 5 * 2 * 24 * 32 * 40, device],
    ]);
    // Known already: no plan is made.
    expect(run.events.some(({ kind }) => kind === 'plan')).toBe(false);
  });

  it('times lie within the profile, one after the other, and a plan comes before its launches', () => {
    const a = matrix(1, 7, 7 + devices.indexOf(device));
    const run = profile(() => a.exp().sum(1).log().toFlatArray());
    const work = run.events;
    expect(work[0].kind).toBe('plan');
    expect(work[0].name).toBe(`plan of ${work.length - 1} ${work.length === 2 ? 'launch' : 'launches'}`);
    work.forEach((event, i) => expect(event.start).toBeGreaterThanOrEqual(i === 0 ? 0 : end(work[i - 1])));
    expect(end(work[work.length - 1])).toBeLessThanOrEqual(run.duration);
    const total = run.keyAverages().reduce((sum, { share }) => sum + share, 0);
    expect(total).toBeGreaterThan(0);
    expect(total).toBeLessThanOrEqual(1);
  });

  it('sees the replays of a captured function', () => {
    const step = compile((x: Tensor) => x.mul(2).add(1));
    const x = matrix(1, 9);
    for (let i = 0; i < 3; i++) step(x).realize();
    expect(launchesOf(profile(() => [step(x), step(x)])).length).toBe(2);
  });
});

describe('recordFunction', () => {
  it('gives a name to what runs inside', () => {
    const x = ones([5]).mul(3);
    const run = profile(() =>
      recordFunction('outer', () => {
        recordFunction('inner', () => x.exp().realize());
        return 7;
      }),
    );
    expect(run.value).toBe(7);
    const [inner, outer] = ['inner', 'outer'].map(
      (name) => run.events.find((event) => event.name === name) as ProfileEvent,
    );
    expect(inner.start).toBeGreaterThanOrEqual(outer.start);
    expect(end(inner)).toBeLessThanOrEqual(end(outer));
    const [launch] = launchesOf(run);
    expect(launch.start).toBeGreaterThanOrEqual(inner.start);
    expect(end(launch)).toBeLessThanOrEqual(end(inner));
  });
  it('outside of a profile only calls the function', () => {
    expect(recordFunction('alone', () => 3)).toBe(3);
  });
});

describe('a profile', () => {
  it('lasts as long as a promise, and ends when it fails', async () => {
    const x = ones([3]).realize();
    const run = await profile(async () => {
      await recordFunction('pause', () => new Promise((resolve) => setTimeout(resolve, 20)));
      return x.mul(5).toArray();
    });
    expect([run.value, launchesOf(run).length]).toEqual([[5, 5, 5], 1]);
    // Timers may fire a little early.
    expect(run.keyAverages()[0]).toMatchObject({ name: 'pause', kind: 'function', count: 1 });
    expect(run.keyAverages()[0].total).toBeGreaterThan(15);
    await expect(profile(() => Promise.reject(new Error('lost')))).rejects.toThrow('lost');
    expect(() =>
      profile(() => {
        throw new Error('thrown');
      }),
    ).toThrow('thrown');
    const after = profile(() => tidy(() => x.mul(5).toArray()));
    const { length } = after.events;
    x.mul(6).realize();
    expect(after.events).toHaveLength(length);
  });

  it('is one at a time', () => {
    expect(() => profile(() => profile(() => 1))).toThrow(/a profile is running already.*recordFunction/);
    expect(() => profile(3 as never)).toThrow(/3 where a function belongs/);
  });

  const event = (name: string, duration: number, rest: Partial<ProfileEvent> = {}): ProfileEvent => ({
    name,
    kind: 'launch',
    device: 'js',
    start: 0,
    duration,
    bytes: 0,
    operations: 0,
    ...rest,
  });
  const made = new Profile(
    null,
    [
      event('add', 2, { bytes: 4e6 }),
      event('mul', 1),
      event('add', 4, { bytes: 8e6, start: 3 }),
      event('dot', 2, { operations: 3e6 }),
      event('step', 9, { kind: 'function', device: '' }),
    ],
    10,
  );

  it('adds up calls, times, shares and rates in its table', () => {
    expect(made.table()).toBe(
      [
        'name  kind        calls  total ms  mean ms   share  GFLOP/s  GB/s',
        'step  function        1     9.000   9.0000  90.0 %',
        'add   launch, js      2     6.000   3.0000  60.0 %            2.0',
        'dot   launch, js      1     2.000   2.0000  20.0 %      1.5',
        'mul   launch, js      1     1.000   1.0000  10.0 %',
        '10.000 ms: 9.000 in 4 launches, 0.000 making 0 plans',
      ].join('\n'),
    );
    expect(String(made)).toBe(made.table());
    const first = (sortBy: 'count' | 'name' | 'mean'): string =>
      made.table({ sortBy, rowLimit: 1 }).split('\n')[1].split(' ')[0];
    expect([first('count'), first('name'), first('mean')]).toEqual(['add', 'add', 'step']);
    expect(made.table({ rowLimit: 1 })).toContain('and 3 more');
    expect(() => made.table({ sortBy: 'share' as 'name' })).toThrow(/total, mean, count, name/);
  });

  it('becomes a trace that Chrome reads: complete events in microseconds, a row for each device', () => {
    const folder = mkdtempSync(join(tmpdir(), 'profile-'));
    try {
      made.exportChromeTrace(join(folder, 'trace.json'));
      const { traceEvents } = JSON.parse(readFileSync(join(folder, 'trace.json'), 'utf8')) as {
        traceEvents: Record<string, unknown>[];
      };
      expect(traceEvents.filter(({ ph }) => ph === 'M').map(({ tid, args }) => [tid, args])).toEqual([
        [0, { name: 'functions' }],
        [1, { name: 'js' }],
      ]);
      expect(traceEvents.find(({ ts }) => ts === 3000)).toEqual({
        ph: 'X',
        name: 'add',
        cat: 'launch',
        pid: 1,
        tid: 1,
        ts: 3000,
        dur: 4000,
        args: { bytes: 8e6, operations: 0 },
      });
      expect(() => made.exportChromeTrace(join(folder, 'no', 'trace.json'))).toThrow(/cannot write/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
