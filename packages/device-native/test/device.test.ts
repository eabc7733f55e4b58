/** The device as a whole: threads, buffers, programs, the cache between processes, and what happens when something is missing. */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildKernel, ProjError, vectorLoop, type Kernel, type Launch } from '@proj/kernel';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { measurePeaks, NativeDevice } from '../src/index.ts';
import { sealObject } from '../src/object-cache.ts';
import { sizeClass } from '../src/buffers.ts';
import { describeNative, hasLlvm, nativeDevice, runKernel, temporaryFolder } from './support.ts';

const axpy = (lanes: number): Kernel =>
  buildKernel('axpy', (b) => {
    const [x, y] = [b.buffer('x', 'f32'), b.buffer('y', 'f32', 'readwrite')];
    const a = b.scalar('a', 'f32');
    vectorLoop(b, b.begin, b.end, lanes, (i, n) => b.store(y, i, b.mulAdd(b.load(x, i, n), a, b.load(y, i, n))));
  });

/** Counts how often each item is run, by which thread, and marks where parts begin. */
const trace = buildKernel('trace', (b) => {
  const [count, thread, start] = [
    b.buffer('count', 'i32', 'readwrite'),
    b.buffer('thread', 'i32', 'write'),
    b.buffer('start', 'i32', 'write'),
  ];
  b.store(start, b.begin, b.constant(1, 'i32'));
  b.for(b.begin, b.end, 1, [], (i) => {
    b.store(count, i, b.add(b.load(count, i), 1));
    b.store(thread, i, b.cast(b.thread, 'i32'));
  });
});

const bytesOf = (array: Float32Array | Int32Array): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
const codeOf = (run: () => unknown): unknown => {
  try {
    return run();
  } catch (error) {
    return error instanceof ProjError ? error.code : error;
  }
};

describeNative('threads', () => {
  const device = nativeDevice();

  test.each([
    [1, 1000, 1, 1],
    [2, 1000, 1, 1],
    [2, 1001, 1, 16],
    [3, 7, 1, 1],
    [4, 100, 1, 64],
    [7, 100_003, 10, 16],
    [16, 15, 1, 1],
    [4, 1000, 400, 8],
  ])(
    '%i threads run %i items of grain %i and alignment %i once each, in contiguous aligned parts',
    (threads, items, grain, align) => {
      device.setThreads(threads);
      expect(device.features.threads).toBe(threads);
      for (let repeat = 0; repeat < 8; repeat++) {
        const out = runKernel(
          device,
          trace,
          [0, 1, 2].map(() => new Uint8Array(items * 4)),
          [],
          items,
          { grain, align },
        ).map((bytes) => new Int32Array(bytes.buffer));
        const [count = new Int32Array(), by = new Int32Array(), start = new Int32Array()] = out;
        expect(count.every((n) => n === 1)).toBe(true);
        const parts = Math.min(threads, Math.floor(items / grain)) || 1;
        expect(new Set(by).size).toBe(Math.min(parts, Math.ceil(items / align)));
        expect(by.every((thread, i) => i === 0 || thread >= (by[i - 1] ?? 0))).toBe(true);
        expect(by.every((thread, i) => i === 0 || thread === by[i - 1] || (i % align === 0 && start[i] === 1))).toBe(
          true,
        );
      }
    },
  );

  test.each([
    [1, 1000, 1, 10],
    [2, 1000, 1, 10],
    [2, 1001, 16, 10],
    [3, 7, 1, 1],
    [5, 100_003, 16, 100],
    [4, 100, 1, 1e9],
  ])('%i threads run %i items once each, in pieces that begin at multiples of %i and are not under %i', (...row) => {
    const [threads, items, align, chunk] = row;
    device.setThreads(threads);
    for (let repeat = 0; repeat < 8; repeat++) {
      const memories = [0, 1, 2].map(() => new Uint8Array(items * 4));
      const out = runKernel(device, trace, memories, [], items, { grain: 1, align, chunk });
      const [count, , start] = out.map((bytes) => new Int32Array(bytes.buffer));
      expect(new Set(count)).toEqual(new Set([1]));
      const starts = [...(start ?? [])].flatMap((mark, i) => (mark === 1 ? [i] : []));
      expect(starts.every((at) => at % align === 0)).toBe(true);
      const sizes = starts.map((at, i) => (starts[i + 1] ?? items) - at);
      expect(sizes.slice(0, -1).every((size) => size >= Math.min(chunk, items))).toBe(true);
      // Each piece is 7/8 of a thread's share of what is left, and so every one is at most as large as the one before.
      expect(sizes.every((size, i) => i === 0 || size <= (sizes[i - 1] ?? 0))).toBe(true);
      if (threads > 1 && items >= 1000) expect(starts.length).toBeGreaterThan(threads);
    }
  });

  test.each([
    [2, 1000, 1, 10],
    [2, 1001, 16, 10],
    [3, 7, 1, 4],
    [5, 100_003, 16, 100],
  ])('%i threads run a stream of %i items once each, 7/8 of their shares in one piece', (...row) => {
    const [threads, items, align, chunk] = row;
    device.setThreads(threads);
    const share = Math.floor((7 * items) / (8 * threads) / align) * align;
    for (let repeat = 0; repeat < 8; repeat++) {
      const memories = [0, 1, 2].map(() => new Uint8Array(items * 4));
      const split = { grain: 1, align, chunk, stream: { argument: 0, bytes: 4 } };
      const out = runKernel(device, trace, memories, [], items, split);
      const [count, by, start] = out.map((bytes) => [...new Int32Array(bytes.buffer)]);
      expect(new Set(count)).toEqual(new Set([1]));
      if (share < chunk) continue;
      const ends = Array.from({ length: threads + 1 }, (_, part) => part * share);
      expect(start?.flatMap((mark, i) => (mark === 1 && i <= threads * share ? [i] : []))).toEqual(ends);
      expect(by?.slice(0, threads * share)).toEqual(
        Array.from({ length: threads * share }, (_, i) => Math.floor(i / share)),
      );
    }
  });

  test('streams may have other launches between them, be cut short by them, and end the program', () => {
    device.setThreads(3);
    const items = 1 << 16;
    const [compiled] = device.compile([axpy(4)]);
    if (compiled === undefined) throw new TypeError('nothing compiled');
    const buffers = [0, 1].map(() => device.allocate(items * 4));
    const launch = (end: number, stream: boolean): Launch => ({
      kernel: compiled,
      args: [
        { kind: 'buffer', binding: 0, offset: 0 },
        { kind: 'buffer', binding: 1, offset: 0 },
        { kind: 'scalar', scalar: 0 },
      ],
      begin: 0,
      end,
      grain: 64,
      align: 16,
      ...(stream ? { chunk: 256, stream: { argument: 0, bytes: 4 } } : {}),
    });
    const program = device.program(
      [launch(items, true), launch(16, false), launch(items, false), launch(items, true), launch(32, true)],
      2,
    );
    for (const [buffer, value] of [
      [buffers[0], 1],
      [buffers[1], 0],
    ] as const)
      if (buffer !== undefined) device.write(buffer, 0, bytesOf(new Float32Array(items).fill(value)));
    for (let run = 0; run < 50; run++) program.run(buffers, [1]);
    const [, sums] = buffers;
    if (sums === undefined) throw new TypeError('two buffers');
    const result = new Float32Array(device.read(sums, 0, items * 4).buffer);
    expect([...new Set(result.subarray(0, 16))]).toEqual([250]);
    expect([...new Set(result.subarray(16, 32))]).toEqual([200]);
    expect([...new Set(result.subarray(32))]).toEqual([150]);
  });

  test('a stream must be a buffer', () => {
    const wrong = { grain: 1, align: 1, chunk: 1, stream: { argument: 2, bytes: 4 } };
    const run = (): unknown => runKernel(device, axpy(4), [new Uint8Array(64), new Uint8Array(64)], [1], 16, wrong);
    expect(codeOf(run)).toBe('invalid-argument');
  });

  test('results do not depend on the number of threads', () => {
    const n = 100_003;
    const x = new Float32Array(n).map((_, i) => Math.sin(i));
    const results = [1, 2, 5].map((threads) => {
      device.setThreads(threads);
      return runKernel(
        device,
        axpy(device.features.vectorBytes / 4),
        [bytesOf(x), bytesOf(new Float32Array(n).fill(0.5))],
        [1.25],
        n,
        { grain: 100, align: 16 },
      )[1];
    });
    expect(results[1]).toEqual(results[0]);
    expect(results[2]).toEqual(results[0]);
    const own = new Float32Array(results[0]?.buffer ?? new ArrayBuffer(0));
    for (let i = 0; i < n; i += 997) expect(own[i]).toBeCloseTo(Math.sin(i) * 1.25 + 0.5, 5);
  });

  test('launches of one program see each other’s results, also after the threads have slept', async () => {
    device.setThreads(4);
    const [compiled] = device.compile([axpy(4)]);
    if (compiled === undefined) throw new TypeError('nothing compiled');
    const n = 4096;
    const buffers = [device.allocate(n * 4), device.allocate(n * 4)] as const;
    device.write(buffers[0], 0, bytesOf(new Float32Array(n).fill(1)));
    device.write(buffers[1], 0, bytesOf(new Float32Array(n).fill(1)));
    const step = (x: number, y: number): Launch => ({
      kernel: compiled,
      args: [
        { kind: 'buffer', binding: x, offset: 0 },
        { kind: 'buffer', binding: y, offset: 0 },
        { kind: 'constant', value: 1 },
      ],
      begin: 0,
      end: n,
      grain: 16,
      align: 16,
    });
    const program = device.program(
      Array.from({ length: 10 }, (_, k) => step(k % 2, 1 - (k % 2))),
      2,
    );
    // x and y take turns to be added to the other: Fibonacci numbers.
    const expected = [1, 1];
    for (let round = 0; round < 3; round++) {
      program.run(buffers, []);
      for (let k = 0; k < 10; k++) expected[1 - (k % 2)] = Math.fround((expected[0] ?? 0) + (expected[1] ?? 0));
      for (const m of [0, 1] as const)
        expect(new Set(new Float32Array(device.read(buffers[m], 0, n * 4).buffer))).toEqual(new Set([expected[m]]));
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
  });

  test('with more threads than cores, every part of 100,000 launches is run once', () => {
    device.setThreads(8);
    const [compiled] = device.compile([trace]);
    if (compiled === undefined) throw new TypeError('nothing compiled');
    const buffers = [0, 1, 2].map(() => device.allocate(32));
    for (const buffer of buffers) device.write(buffer, 0, new Uint8Array(32));
    // Ranges of 1 to 8 items, one to a part.
    const launches = Array.from({ length: 250 }, (_, k): Launch => ({
      kernel: compiled,
      args: [0, 1, 2].map((binding) => ({ kind: 'buffer', binding, offset: 0 })),
      begin: 0,
      end: 1 + ((k * 5) % 8),
      grain: 1,
      align: 1,
    }));
    const program = device.program(launches, 3);
    for (let round = 0; round < 400; round++) program.run(buffers, []);
    const expected = Array.from({ length: 8 }, (_, item) => 400 * launches.filter(({ end }) => end > item).length);
    const [count] = buffers;
    expect([...new Int32Array(count === undefined ? new ArrayBuffer(0) : device.read(count, 0, 32).buffer)]).toEqual(
      expected,
    );
  });

  test('nonsense is refused', () => {
    for (const threads of [0, -1, 1.5, NaN]) expect(codeOf(() => device.setThreads(threads))).toBe('invalid-argument');
    expect(codeOf(() => nativeDevice({ PROJ_NUM_THREADS: 'many' }))).toBe('invalid-argument');
    expect(nativeDevice({ PROJ_NUM_THREADS: '3' }).features.threads).toBe(3);
  });
});

describeNative('buffers and programs', () => {
  const device = nativeDevice();

  test('buffers are aligned, reused by size class, and counted', () => {
    for (const bytes of [0, 1, 63, 4096, 1_000_003, 9 << 20]) expect(device.allocate(bytes).address % 64).toBe(0);
    const first = device.allocate(5 << 20);
    const { address } = first;
    const { used } = device.memory();
    first.dispose();
    first.dispose();
    expect(first.disposed).toBe(true);
    expect(device.memory().used).toBe(used - sizeClass(5 << 20));
    expect(device.memory().pooled).toBeGreaterThanOrEqual(5 << 20);
    expect(device.allocate((5 << 20) - 5).address).toBe(address);
    expect(codeOf(() => first.view())).toBe('invalid-argument');
  });

  test('large buffers keep to themselves and begin at different places of a huge page', () => {
    const bytes = 5 << 20;
    const buffers = Array.from({ length: 20 }, () => device.allocate(bytes));
    const places = new Set(buffers.map((buffer) => buffer.address % (2 << 20)));
    expect(places.size).toBeGreaterThanOrEqual(16);
    buffers.forEach((buffer, i) => {
      expect(buffer.address % 4096).toBe(0);
      const view = buffer.view();
      expect(view.length).toBe(bytes);
      view.fill(i + 1, 0, 4096);
      view.fill(i + 1, bytes - 4096);
    });
    buffers.forEach((buffer, i) => {
      expect(device.read(buffer, 0, 1)[0]).toBe(i + 1);
      expect(device.read(buffer, bytes - 1, 1)[0]).toBe(i + 1);
      buffer.dispose();
    });
  });

  test('size classes hold what they are for and waste at most a quarter', () => {
    for (let bytes = 1; bytes < 1e9; bytes = Math.ceil(bytes * 1.13)) {
      expect(sizeClass(bytes)).toBeGreaterThanOrEqual(bytes);
      if (bytes > 256) expect(sizeClass(bytes)).toBeLessThanOrEqual(bytes * 1.25);
      expect(sizeClass(sizeClass(bytes))).toBe(sizeClass(bytes));
    }
  });

  test('reads and writes are checked', () => {
    const buffer = device.allocate(16);
    device.write(buffer, 4, new Uint8Array([1, 2, 3]));
    expect(device.read(buffer, 4, 3)).toEqual(new Uint8Array([1, 2, 3]));
    expect(codeOf(() => device.write(buffer, 14, new Uint8Array(3)))).toBe('index-out-of-range');
    expect(codeOf(() => device.read(buffer, -1, 2))).toBe('index-out-of-range');
    expect(codeOf(() => device.allocate(-5))).toBe('invalid-argument');
    expect(codeOf(() => device.allocate(2 ** 50))).toBe('out-of-memory');
  });
  test('memory that the container does not have is refused before it is taken', () => {
    const limit = vi.spyOn(process, 'constrainedMemory').mockReturnValue(2 ** 30);
    onTestFinished(() => limit.mockRestore());
    expect(() => device.allocate(2 ** 33)).toThrow(
      /no room for 8\.59 GB: .* are in use, and 1\.07 GB of memory free\. /,
    );
  });

  test('offsets reach into a buffer, other buffers are picked up, and wrong ones are refused', () => {
    const [compiled] = device.compile([axpy(4)]);
    if (compiled === undefined) throw new TypeError('nothing compiled');
    const launch: Launch = {
      kernel: compiled,
      args: [
        { kind: 'buffer', binding: 0, offset: 8 },
        { kind: 'buffer', binding: 1, offset: 0 },
        { kind: 'scalar', scalar: 0 },
      ],
      begin: 0,
      end: 5,
      grain: 100,
      align: 1,
    };
    const program = device.program([launch], 2);
    const x = device.allocate(28);
    device.write(x, 0, bytesOf(new Float32Array([0, 1, 2, 3, 4, 5, 6])));
    for (const factor of [2, -3]) {
      const y = device.allocate(20);
      device.write(y, 0, bytesOf(new Float32Array([1, 1, 1, 1, 1])));
      program.run([x, y], [factor]);
      expect([...new Float32Array(device.read(y, 0, 20).buffer)]).toEqual([2, 3, 4, 5, 6].map((v) => v * factor + 1));
    }
    const [scalar] = [launch.args[2]];
    if (scalar === undefined) throw new TypeError('the launch has three arguments');
    expect(codeOf(() => program.run([x], [1]))).toBe('invalid-argument');
    expect(codeOf(() => program.run([x, x], []))).toBe('invalid-argument');
    expect(codeOf(() => device.program([{ ...launch, args: launch.args.slice(1) }], 2))).toBe('invalid-argument');
    expect(codeOf(() => device.program([{ ...launch, args: [scalar, ...launch.args.slice(1)] }], 2))).toBe(
      'invalid-argument',
    );
    expect(codeOf(() => device.program([launch], 1))).toBe('invalid-argument');
    expect(codeOf(() => device.program([{ ...launch, begin: 0.5 }], 2))).toBe('invalid-argument');
    const gone = device.allocate(20);
    gone.dispose();
    expect(codeOf(() => program.run([x, gone], [1]))).toBe('invalid-argument');
    program.dispose();
    expect(codeOf(() => program.run([x, x], [1]))).toBe('invalid-argument');
  });

  test('equal kernels are compiled once', () => {
    const before = device.statistics().compiled;
    const chain = (name: string): Kernel =>
      buildKernel(name, (b) => b.store(b.buffer('y', 'f32', 'write'), 0, b.constant(77.5, 'f32')));
    device.compile([chain('a'), chain('b')]);
    device.compile([chain('c')]);
    expect(device.statistics().compiled).toBe(before + 1);
  });

  test('a kernel that does not verify is named', () => {
    const other = axpy(4).parameters[0];
    const kernel = buildKernel('broken', (b) => b.store(b.buffer('y', 'f32', 'write'), 0, b.constant(1, 'f32')));
    if (other?.kind !== 'buffer') throw new TypeError('the first parameter is a buffer');
    const [store] = kernel.body.statements.filter((statement) => statement.kind === 'store');
    if (store === undefined) throw new TypeError('the kernel stores');
    const broken: Kernel = {
      ...kernel,
      body: { ...kernel.body, statements: [...kernel.body.statements, { ...store, memory: other }] },
    };
    expect(() => device.compile([broken])).toThrow(/kernel broken/);
  });

  test('peaks are positive and of this planet', () => {
    const { gflops, readGBs, copyGBs } = measurePeaks(device, { bytes: 1 << 20, runs: 2 });
    for (const figure of [gflops, readGBs, copyGBs]) expect(figure).toBeGreaterThan(0.1);
    expect(gflops).toBeLessThan(device.features.threads * 1000);
  });
});

/** Runs a kernel in another process and gives its result, what the device did, and how it ended. */
function inProcess(environment: Readonly<Record<string, string>>): {
  status: number | null;
  output: string;
  errors: string;
} {
  const script = new URL('fixtures/add.ts', import.meta.url).pathname;
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--conditions=source', script], {
    env: { ...process.env, PROJ_DEVICE: 'native', ...environment },
    encoding: 'utf8',
    timeout: 20_000,
  });
  return { status, output: stdout.trim(), errors: stderr };
}

describe('other processes', () => {
  test.skipIf(!hasLlvm)(
    'a cached kernel runs without opening LLVM, and where LLVM has gone; a changed or unusable entry is rebuilt',
    () => {
      const folder = temporaryFolder(onTestFinished);
      expect(inProcess({ PROJ_CACHE_DIR: folder })).toMatchObject({
        status: 0,
        output: '3.75 compiled 2 cached 0 llvm true',
      });
      expect(inProcess({ PROJ_CACHE_DIR: folder })).toMatchObject({
        status: 0,
        output: '3.75 compiled 0 cached 2 llvm false',
      });
      expect(inProcess({ PROJ_CACHE_DIR: folder, PROJ_LLVM: 'none' })).toMatchObject({
        status: 0,
        output: '3.75 compiled 0 cached 2 llvm false',
      });

      const files = readdirSync(join(folder, 'objects')).flatMap((shard) =>
        readdirSync(join(folder, 'objects', shard)).map((name) => join(folder, 'objects', shard, name)),
      );
      expect(files.length).toBe(2);
      for (const file of files) writeFileSync(file, readFileSync(file).subarray(0, 99));
      expect(inProcess({ PROJ_CACHE_DIR: folder })).toMatchObject({
        status: 0,
        output: '3.75 compiled 2 cached 0 llvm true',
      });
      for (const file of files) writeFileSync(file, sealObject(new TextEncoder().encode('whole, but no object')));
      expect(inProcess({ PROJ_CACHE_DIR: folder }).output).toMatch(/^3.75 /);
      expect(inProcess({ PROJ_CACHE_DIR: folder })).toMatchObject({ output: '3.75 compiled 0 cached 2 llvm false' });
    },
  );

  test.skipIf(!hasLlvm)('many processes that compile the same at once agree', () => {
    const folder = temporaryFolder(onTestFinished);
    const script = new URL('fixtures/add.ts', import.meta.url).pathname;
    const command = `for i in 1 2 3; do "${process.execPath}" --conditions=source "${script}" & done; wait`;
    const { stdout } = spawnSync('sh', ['-c', command], {
      env: { ...process.env, PROJ_DEVICE: 'native', PROJ_CACHE_DIR: folder },
      encoding: 'utf8',
    });
    expect(
      stdout
        .trim()
        .split('\n')
        .map((line) => line.split(' ')[0]),
    ).toEqual(['3.75', '3.75', '3.75']);
  });

  test.skipIf(!hasLlvm)('threads neither keep a process alive nor hinder its end', () => {
    const started = performance.now();
    expect(inProcess({ PROJ_CACHE: 'off', PROJ_NUM_THREADS: '4', TEST_END: 'exit' }).status).toBe(7);
    expect(inProcess({ PROJ_CACHE: 'off', PROJ_NUM_THREADS: '4', TEST_END: 'run at exit' })).toMatchObject({
      status: 0,
      output: expect.stringMatching(/\n3.75$/),
    });
    expect(inProcess({ PROJ_CACHE: 'off', PROJ_NUM_THREADS: '4', TEST_END: 'throw' }).status).toBe(1);
    expect(performance.now() - started).toBeLessThan(15_000);
  });

  test.skipIf(!hasLlvm)('a worker thread has a device of its own', () => {
    expect(inProcess({ PROJ_CACHE: 'off', PROJ_NUM_THREADS: '2', TEST_END: 'worker' })).toMatchObject({
      status: 0,
      output: expect.stringMatching(/3.75 .*\n.*3.75 /s),
    });
  });
});

describe('what is missing is said', () => {
  test.each([
    [{ PROJ_LLVM: 'none' }, /PROJ_LLVM=none.*libllvm19/],
    [{ PROJ_LLVM: '/nowhere/libLLVM.so' }, /\/nowhere\/libLLVM\.so.*does not exist/],
    [{ PROJ_LLVM: process.execPath, PROJ_CACHE: 'off' }, /could not be opened|is not an LLVM/],
    [{ PROJ_LLVM: process.execPath, PROJ_CPU_FEATURES: 'mmx9' }, /'mmx9' in PROJ_CPU_FEATURES: unknown/],
  ])('%o', (environment, message) => {
    expect(() => new NativeDevice({ environment, cachedOnly: false })).toThrow(message);
  });

  test('a kernel that is not in the cache needs LLVM', () => {
    const folder = temporaryFolder(onTestFinished);
    expect(
      () => new NativeDevice({ environment: { PROJ_LLVM: 'none', PROJ_CACHE_DIR: folder }, cachedOnly: true }),
    ).toThrow(/has to be compiled.*libllvm19/);
  });

  test('the default device is another one then', () => {
    const { output, errors } = inProcess({ PROJ_LLVM: 'none', PROJ_DEVICE: '', TEST_END: 'report' });
    expect(output).toMatch(/^native false PROJ_LLVM=none|^native false native device: PROJ_LLVM=none/m);
    expect(output).toMatch(/default (js|wasm)/);
    expect(errors.match(/device "native" is not available/g)?.length).toBe(1);
  });
});
