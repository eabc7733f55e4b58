import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import {
  buildKernel,
  deviceReport,
  type Kernel,
  type Launch,
  ProjError,
  vectorLoop,
  WasmDevice,
} from '../src/index.ts';
import { randomElements, randomNumbers } from '../src/testing/index.ts';
import { LINE, SHARED } from '../src/device/wasm-runner.ts';
import { MemoryPool, blockSize } from '../src/device/wasm-pool.ts';
import { Residence, type Slot } from '../src/device/wasm-residence.ts';
import { runOn } from './cross-device.ts';

const MIB = 2 ** 20;

/** y = a·x + y over f32, with partial sums of each element's neighbours so that results depend on where parts begin if anything does. */
function axpy(): Kernel {
  return buildKernel('axpy', (b) => {
    const x = b.buffer('x', 'f32');
    const y = b.buffer('y', 'f32', 'readwrite');
    const a = b.scalar('a', 'f32');
    vectorLoop(b, b.begin, b.end, 16, (i, lanes) =>
      b.store(y, i, b.mulAdd(b.load(x, i, lanes), a, b.load(y, i, lanes))),
    );
  });
}

/** Each item of the range spins for a while and then records that it was done once more. */
function count(): Kernel {
  return buildKernel('count', (b) => {
    const out = b.buffer('out', 'i32', 'readwrite');
    const by = b.buffer('by', 'i32', 'write');
    const work = b.scalar('work', 'index');
    const scratch = b.local('scratch', 'i32', 8);
    b.for(b.begin, b.end, 1, [], (i) => {
      b.store(scratch, 3, b.cast(i, 'i32'));
      const [sum] = b.for(0, work, 1, [b.constant(1, 'i32')], (j, s) => [b.add(b.mul(s, 3), b.cast(j, 'i32'))]);
      b.store(out, i, b.add(b.add(b.load(out, i), b.load(scratch, 3)), b.cast(b.eq(sum, 12345), 'i32')));
      b.store(by, i, b.cast(b.thread, 'i32'));
    });
  });
}

const launch = (
  device: WasmDevice,
  kernel: Kernel,
  args: Launch['args'],
  end: number,
  grain: number,
  align = 1,
): Launch => ({ kernel: device.compile([kernel])[0], args, begin: 0, end, grain, align });
const buffer = (binding: number, offset = 0): Launch['args'][number] => ({ kind: 'buffer', binding, offset });

async function workersUp(device: WasmDevice, threads: number, start: () => void): Promise<void> {
  start();
  for (let i = 0; i < 400 && device.readyThreads < threads; i++)
    await new Promise((resolve) => setTimeout(resolve, 10));
  expect(device.readyThreads).toBe(threads);
}

describe('buffers', () => {
  it('keep their contents when the memory grows', () => {
    const device = new WasmDevice({ threads: 1 });
    const random = randomNumbers(1);
    const first = randomElements('f32', 1000, random);
    const kept = device.allocate(4000);
    device.write(kept, 0, first);
    const others = Array.from({ length: 40 }, () => device.allocate(4 * MIB));
    for (const other of others) device.write(other, 4 * MIB - 3, Uint8Array.of(1, 2, 3));
    expect(device.read(kept, 0, 4000)).toEqual(first);
    const place = new Uint8Array(4001).fill(9);
    expect(device.read(kept, 0, 4000, place)).toEqual(first);
    expect([place.subarray(0, 4000), place[4000]]).toEqual([first, 9]);
    expect(device.read(others[39], 4 * MIB - 3, 3)).toEqual(Uint8Array.of(1, 2, 3));
    expect(others.every((other) => other.address % 64 === 0)).toBe(true);
    device.dispose();
  });

  it('also without shared memory, where growing makes new views', () => {
    const device = new WasmDevice({ shared: false });
    expect(device.features.threads).toBe(1);
    const kernel = axpy();
    const data = [randomElements('f32', 77, () => 0.25), randomElements('f32', 77, () => 0.25)];
    const program = device.program(
      [launch(device, kernel, [buffer(0), buffer(1), { kind: 'scalar', scalar: 0 }], 77, 1000)],
      2,
    );
    const x = device.allocate(308);
    const y = device.allocate(308);
    device.write(x, 0, data[0]);
    device.write(y, 0, new Uint8Array(308));
    device.allocate(64 * MIB);
    program.run([x, y], [2]);
    const expected = Float32Array.from(new Float32Array(data[0].buffer), (v) => 2 * v);
    expect(new Float32Array(device.read(y, 0, 308).buffer)).toEqual(expected);
    device.dispose();
  });

  it('are reused when they are disposed of, and dispose may be called twice', () => {
    const device = new WasmDevice({ threads: 1 });
    const a = device.allocate(100_000);
    const { used } = device.memory();
    a.dispose();
    a.dispose();
    expect(a.disposed).toBe(true);
    expect(device.memory().used).toBeLessThan(used);
    const b = device.allocate(99_990);
    expect(b.address).toBe(a.address);
    const seen = new Set<number>();
    for (let step = 0; step < 10_000; step++) {
      const one = device.allocate(5000 + (step % 7) * 1000);
      seen.add(one.address);
      one.dispose();
    }
    expect(seen.size).toBeLessThan(20);
    expect(() => device.read(a, 0, 4)).toThrow(/disposed/);
    expect(() => device.read(b, 99_980, 20)).toThrow(ProjError);
    device.dispose();
  });

  it('move out for one another, with what they hold, and say what to do when one alone is too large', () => {
    const device = new WasmDevice({ threads: 1, maximumBytes: 32 * MIB });
    const held = [device.allocate(10 * MIB), device.allocate(10 * MIB)];
    held.forEach((buffer, i) => device.write(buffer, 4096, Uint8Array.of(i + 1, 7)));
    const large = device.allocate(20 * MIB);
    expect(large.bytes).toBe(20 * MIB);
    expect(held.map((buffer) => [...device.read(buffer, 4096, 2)])).toEqual([
      [1, 7],
      [2, 7],
    ]);
    device.write(held[0], 4097, Uint8Array.of(9));
    expect(held[0].address % 64).toBe(0);
    expect([...device.read(held[0], 4096, 2)]).toEqual([1, 9]);
    let error: unknown;
    try {
      device.allocate(40 * MIB);
    } catch (e) {
      error = e;
    }
    expect(error).toBeInstanceOf(ProjError);
    expect((error as ProjError).code).toBe('out-of-memory');
    expect((error as ProjError).cure).toMatch(/smaller batches.*tidy.*compile/);
    device.dispose();
  });

  it('need no event loop to be collected', () => {
    const device = new WasmDevice({ threads: 1, maximumBytes: 32 * MIB });
    const kept = device.allocate(64);
    device.write(kept, 0, Uint8Array.of(1, 2, 3));
    for (let i = 0; i < 1000; i++) device.allocate(MIB);
    expect([...device.read(kept, 0, 3)]).toEqual([1, 2, 3]);
    expect(process.memoryUsage().arrayBuffers).toBeLessThan(600 * MIB);
    device.dispose();
  });
});

describe('residence', () => {
  const made = (limit: number): { residence: Residence; pool: MemoryPool; memory: Uint8Array } => {
    const memory = new Uint8Array(limit);
    const pool = new MemoryPool(64, (end) => end <= limit);
    const residence = new Residence(pool, {
      byteLength: () => limit,
      copyOut: (address, bytes) => memory.slice(address, address + bytes),
      copyIn: (address, data) => memory.set(data, address),
    });
    return { residence, pool, memory };
  };
  const run = (residence: Residence, slots: readonly Slot[]): void => {
    residence.beginRun();
    for (const slot of slots) expect(residence.touch(slot)).not.toBeNull();
    residence.endRun();
  };
  const allocate = (residence: Residence): Slot => {
    const slot = residence.allocate(64);
    if (slot === null) throw new Error('no room');
    return slot;
  };

  it('lets go of what no run has touched for a while, and brings back what is asked for', () => {
    const { residence, memory } = made(1 << 20);
    const [dead, state] = [allocate(residence), allocate(residence)];
    memory[dead.address] = 42;
    for (let i = 0; i < 10; i++) {
      run(residence, [state]);
      allocate(residence);
    }
    expect(state.away).toBeNull();
    expect(dead.away?.[0]).toBe(42);
    run(residence, [dead, state]);
    expect(dead.away).toBeNull();
    expect(memory[dead.address]).toBe(42);
    // It has been needed after a long time, so it stays.
    for (let i = 0; i < 10; i++) {
      run(residence, [state]);
      allocate(residence);
    }
    expect(dead.away).toBeNull();
  });

  it('keeps a constant footprint when nothing is ever given back', () => {
    const { residence, pool } = made(1 << 20);
    const state = allocate(residence);
    const used: number[] = [];
    for (let i = 0; i < 5000; i++) {
      const input = allocate(residence);
      run(residence, [state, input]);
      used.push(pool.used);
    }
    expect(Math.max(...used)).toBeLessThanOrEqual(64 * 12);
  });

  it('never moves what the present run has touched', () => {
    const { residence } = made(64 + 4 * 64);
    const slots = Array.from({ length: 4 }, () => allocate(residence));
    const others = Array.from({ length: 2 }, () => allocate(residence));
    expect(slots.filter((slot) => slot.away !== null).length + others.filter((slot) => slot.away !== null).length).toBe(
      4,
    );
    run(residence, slots);
    expect(new Set(slots.map((slot) => slot.address)).size).toBe(4);
    residence.beginRun();
    for (const slot of slots) residence.touch(slot);
    expect(residence.touch(others[0])).toBeNull();
    residence.endRun();
    expect(slots.every((slot) => slot.away === null)).toBe(true);
  });
});

describe('the pool', () => {
  it('rounds up by an eighth at most', () => {
    for (let bytes = 513; bytes < 1e7; bytes = Math.ceil(bytes * 1.003)) {
      expect(blockSize(bytes)).toBeGreaterThanOrEqual(bytes);
      expect(blockSize(bytes)).toBeLessThanOrEqual(Math.max(bytes + 64, bytes * 1.126));
      expect(blockSize(bytes) % 64).toBe(0);
    }
  });

  it('never gives out overlapping blocks, and merges before it grows', () => {
    let limit = MIB;
    const pool = new MemoryPool(64, (end) => end <= limit);
    const random = randomNumbers(3);
    const live = new Map<number, number>();
    for (let step = 0; step < 20_000; step++) {
      if (live.size > 0 && random() < 0.5) {
        const [[address, size]] = [...live].slice(Math.floor(random() * live.size));
        live.delete(address);
        pool.free(address, size);
        continue;
      }
      const bytes = Math.floor(2 ** (random() * 14));
      const address = pool.allocate(bytes, 0);
      if (address === null) continue;
      expect([...live].every(([other, size]) => address + bytes <= other || other + size <= address)).toBe(true);
      live.set(address, bytes);
    }
    for (const [address, size] of live) pool.free(address, size);
    expect(pool.used).toBe(0);
    expect(pool.allocate(MIB - 128 * 1024, 0)).not.toBeNull();
    limit = 0;
  }, 60_000);
});

describe('programs', () => {
  it('run launches in order, with offsets, constants and new buffers', () => {
    const device = new WasmDevice({ threads: 1 });
    const kernel = axpy();
    const a = { kind: 'constant', value: 0.5 } as const;
    const program = device.program(
      [
        launch(device, kernel, [buffer(0), buffer(1), a], 10, 100),
        launch(device, kernel, [buffer(1, 8), buffer(1), { kind: 'scalar', scalar: 0 }], 1, 100),
      ],
      2,
    );
    for (const shift of [0, 100]) {
      const x = device.allocate(40);
      const y = device.allocate(40);
      device.write(x, 0, new Uint8Array(Float32Array.from({ length: 10 }, (_, i) => 2 * i + shift).buffer));
      device.write(y, 0, new Uint8Array(Float32Array.from({ length: 10 }, () => 1).buffer));
      program.run([x, y], [shift + 3]);
      const expected = Float32Array.from({ length: 10 }, (_, i) => i + shift / 2 + 1);
      expected[0] += (shift + 3) * expected[2];
      expect(new Float32Array(device.read(y, 0, 40).buffer)).toEqual(expected);
    }
    program.dispose();
    program.dispose();
    expect(() => program.run([], [])).toThrow(/disposed/);
    device.dispose();
  });

  it('compile equal kernels once', () => {
    const device = new WasmDevice({ threads: 1 });
    const [a, b] = device.compile([axpy(), axpy()]);
    expect(a).toBe(b);
    expect(device.compile([axpy()])[0]).toBe(a);
    device.dispose();
  });

  it('take any grain, and refuse a range beyond 32 bits', () => {
    const device = new WasmDevice({ threads: 1 });
    const args = [buffer(0), buffer(1), { kind: 'constant', value: 2 } as const];
    const x = device.allocate(400);
    const y = device.allocate(400);
    device.write(x, 0, new Uint8Array(new Float32Array(100).fill(1.5).buffer));
    device.write(y, 0, new Uint8Array(400));
    for (const grain of [Infinity, 2 ** 40, 0, 0.5])
      device.program([launch(device, axpy(), args, 100, grain, 16)], 2).run([x, y], []);
    expect(new Float32Array(device.read(y, 0, 400).buffer)).toEqual(new Float32Array(100).fill(12));
    expect(() => device.program([launch(device, axpy(), args, 2 ** 33, 1)], 2)).toThrow(/32 bits/);
    device.dispose();
  });

  it('reject what does not belong to them', () => {
    const device = new WasmDevice({ threads: 1 });
    const other = new WasmDevice({ threads: 1 });
    const kernel = axpy();
    const [foreign] = other.compile([kernel]);
    expect(() => device.program([{ kernel: foreign, args: [], begin: 0, end: 1, grain: 1, align: 1 }], 0)).toThrow(
      /not compiled by this device/,
    );
    const program = device.program(
      [launch(device, kernel, [buffer(0), buffer(1), { kind: 'constant', value: 1 }], 1, 1)],
      2,
    );
    expect(() => program.run([device.allocate(4), other.allocate(4)], [])).toThrow(ProjError);
    expect(() => program.run([device.allocate(4)], [])).toThrow(/binding 1 is missing/);
    device.dispose();
    other.dispose();
  });
});

describe('threads', () => {
  const device = new WasmDevice({ threads: 3 });
  afterAll(() => device.dispose());

  it('start with the first launch that is worth splitting, and each piece runs once', async () => {
    expect(device.readyThreads).toBe(1);
    const n = 4096;
    const out = device.allocate(4 * n);
    const by = device.allocate(4 * n);
    device.write(out, 0, new Uint8Array(4 * n));
    const program = device.program(
      [launch(device, count(), [buffer(0), buffer(1), { kind: 'scalar', scalar: 0 }], n, 16, 4)],
      2,
    );
    let runs = 0;
    await workersUp(device, 3, () => {
      program.run([out, by], [10]);
      runs++;
    });
    const seen = new Set<number>();
    for (let i = 0; i < 300; i++) {
      program.run([out, by], [i % 3 === 0 ? 400 : 0]);
      runs++;
      for (const thread of new Int32Array(device.read(by, 0, 4 * n).buffer)) seen.add(thread);
      if (i % 50 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(new Int32Array(device.read(out, 0, 4 * n).buffer)).toEqual(
      Int32Array.from({ length: n }, (_, i) => i * runs),
    );
    expect(seen.size).toBeGreaterThan(1);
    expect(Math.max(...seen)).toBeLessThan(3);
  });

  it('get kernels that are compiled while they wait, and give the same bits as one thread', async () => {
    const random = randomNumbers(8);
    const n = 100_003;
    const data = [randomElements('f32', n, random), randomElements('f32', n, random)];
    for (let step = 0; step < 30; step++) {
      const kernel = buildKernel('step', (b) => {
        const x = b.buffer('x', 'f32');
        const y = b.buffer('y', 'f32', 'readwrite');
        vectorLoop(b, b.begin, b.end, 8, (i, lanes) =>
          b.store(y, i, b.mulAdd(b.load(x, i, lanes), step, b.sqrt(b.abs(b.load(y, i, lanes))))),
        );
      });
      const one = { kernel, data, end: n, grain: 100, align: 8 };
      const many = runOn(device, one);
      device.setThreads(1);
      const alone = runOn(device, one);
      device.setThreads(3);
      expect(Buffer.compare(many[1], alone[1])).toBe(0);
      if (step % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 3));
    }
  });

  it('turn a trap of a kernel into an error, on any thread, and go on', () => {
    const kernel = buildKernel('wild', (b) => {
      const out = b.buffer('out', 'f32', 'write');
      const at = b.scalar('at', 'index');
      b.for(b.begin, b.end, 1, [], (i) => b.store(out, b.add(at, b.mul(i, 1_000_000)), b.constant(1, 'f32')));
    });
    const out = device.allocate(4096);
    const program = device.program([launch(device, kernel, [buffer(0), { kind: 'scalar', scalar: 0 }], 64, 1)], 1);
    for (let i = 0; i < 5; i++) expect(() => program.run([out], [500_000_000])).toThrow(ProjError);
    const data = [randomElements('f32', 5000, () => 0.5), new Uint8Array(20_000)];
    expect(runOn(device, { kernel: axpy(), data, scalars: [1], end: 5000, grain: 16, align: 16 })[1]).toEqual(data[0]);
  });
});

describe('the process', () => {
  const run = (
    source: string,
    env: Record<string, string> = {},
  ): { status: number | null; text: string; ms: number } => {
    const begun = performance.now();
    const index = new URL('../src/index.ts', import.meta.url).href;
    const child = spawnSync(
      process.execPath,
      ['--conditions=source', '--input-type=module', '-e', source.replaceAll('INDEX', index)],
      { env: { ...process.env, ...env }, timeout: 25_000, cwd: fileURLToPath(new URL('..', import.meta.url)) },
    );
    return { status: child.status, text: `${child.stdout}${child.stderr}`, ms: performance.now() - begun };
  };
  const source = `
    import { buildKernel, WasmDevice } from 'INDEX';
    const device = new WasmDevice(JSON.parse(process.env.OPTIONS ?? '{}'));
    const kernel = buildKernel('fill', (b) => { const out = b.buffer('out', 'f32', 'write'); b.for(b.begin, b.end, 4, [], (i) => b.store(out, i, b.splat(b.constant(3, 'f32'), 4))); });
    const [compiled] = device.compile([kernel]);
    const program = device.program([{ kernel: compiled, args: [{ kind: 'buffer', binding: 0, offset: 0 }], begin: 0, end: 4096, grain: 4, align: 4 }], 1);
    const out = device.allocate(16384);
    for (let i = 0; i < 50 || (i < 5000 && device.readyThreads < device.features.threads); i++) { program.run([out], []); await new Promise((r) => setTimeout(r, 2)); }
    console.log(device.features.threads, device.readyThreads, new Float32Array(device.read(out, 0, 16384).buffer).every((v) => v === 3));
  `;

  it('ends while workers sleep', () => {
    const { status, text } = run(source, { OPTIONS: '{"threads":3}' });
    expect(text).toContain('3 3 true');
    expect(status).toBe(0);
  });

  it('keeps to PROJ_NUM_THREADS', () => {
    expect(run(source, { PROJ_NUM_THREADS: '1' }).text).toContain('1 1 true');
  });

  it('gives the same when V8 optimises at once', () => {
    const { status, text } = run(source, { PROJ_WASM_OPTIMIZE: '1', PROJ_NUM_THREADS: '1' });
    expect(text).toContain('1 1 true');
    expect(status).toBe(0);
  });
});

it('is registered', () => {
  expect(deviceReport().find((d) => d.name === 'wasm')).toMatchObject({ available: true });
});

describe('worker threads that die', () => {
  /** Goes before a worker's own source: it draws one piece as the runner would, leaves it undone, and ends. */
  const deathAtFirstPiece = (end: string): string => `
    const Instance = WebAssembly.Instance;
    let memory;
    WebAssembly.Instance = function (module, imports) {
      memory ??= imports.e.m;
      const instance = new Instance(module, imports);
      if (instance.exports.work === undefined) return instance;
      return { exports: { ...instance.exports, work(thread) {
        const words = new Int32Array(memory.buffer);
        const share = (${SHARED.remaining} + ${LINE} * thread) >> 2;
        for (;;) {
          const left = Atomics.load(words, share);
          if (left > 0 && Atomics.compareExchange(words, share, left, left - 1) === left) break;
        }
        Atomics.store(words, (${SHARED.drawn} + ${LINE} * thread) >> 2, 1);
        ${end}
      } } };
    };`;

  it.each([
    ['process.exit', 'process.exit(1);'],
    // Here no handler of its own runs.
    ['exhausting its heap', 'for (const hoard = []; ;) hoard.push(new Array(1e5).fill({}));'],
  ])('by %s in the middle of a piece: a clear error, and the next launch runs', async (_, end) => {
    const threads = process.getBuiltinModule('node:worker_threads');
    const { Worker } = threads;
    const made: InstanceType<typeof Worker>[] = [];
    (threads as { Worker: unknown }).Worker = class extends Worker {
      constructor(source: string, options: object) {
        super(deathAtFirstPiece(end) + source, { ...options, resourceLimits: { maxOldGenerationSizeMb: 16 } });
        made.push(this);
      }
    };
    try {
      const device = new WasmDevice({ threads: 2 });
      const kernel = count();
      const [out, by] = [device.allocate(4000), device.allocate(4000)];
      device.write(out, 0, new Uint8Array(4000));
      const program = device.program(
        [
          launch(device, kernel, [buffer(0), buffer(1), { kind: 'constant', value: 10_000n }], 1000, 1),
          launch(device, kernel, [buffer(0), buffer(1), { kind: 'constant', value: 1n }], 1000, 1000),
        ],
        2,
      );
      const runs: string[] = [];
      for (let i = 0; i < 400 && runs.length === 0; i++) {
        try {
          program.run([out, by], []);
        } catch (error) {
          expect(error).toBeInstanceOf(ProjError);
          runs.push((error as ProjError).code, String((error as ProjError).cure));
        }
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      expect(runs[0]).toBe('device-unavailable');
      expect(runs[1]).toMatch(/PROJ_NUM_THREADS/);
      device.write(out, 0, new Uint8Array(4000));
      program.run([out, by], []);
      expect(new Set(new Int32Array(device.read(out, 0, 4000).buffer)).size).toBe(1000);
      device.dispose();
    } finally {
      (threads as { Worker: unknown }).Worker = Worker;
      await Promise.all(made.map((worker) => worker.terminate()));
    }
  });
});

it('shows the module of a kernel, which is one', () => {
  const device = new WasmDevice({ threads: 1 });
  const bytes = Uint8Array.from(device.inspect(axpy()).wasm.match(/../g) ?? [], (digits) => parseInt(digits, 16));
  const { WebAssembly: api } = globalThis as unknown as { WebAssembly: { validate(bytes: Uint8Array): boolean } };
  expect(api.validate(bytes)).toBe(true);
  expect(bytes.length).toBeGreaterThan(200);
  device.dispose();
});
