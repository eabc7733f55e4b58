/** What a device keeps for later processes: bytes by key, and code by the hash of its kernel. Devices that share a folder stand for processes. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildKernel, hashKernel, ProjError, type Kernel, type KeptKernel } from '@proj/kernel';
import { expect, onTestFinished, test } from 'vitest';
import type { NativeDevice } from '../src/index.ts';
import { sealObject } from '../src/object-cache.ts';
import { describeNative, nativeDevice, temporaryFolder } from './support.ts';

const store = (value: number): Kernel =>
  buildKernel(`store ${value}`, (b) => b.store(b.buffer('y', 'f32', 'write'), 0, b.constant(value, 'f32')));
const headOf = (kernel: Kernel): KeptKernel => ({
  name: kernel.name,
  parameters: kernel.parameters,
  hash: hashKernel(kernel),
  build: () => kernel,
});
/** What the kernels of these heads store, from code that was kept. */
function run(device: NativeDevice, heads: readonly KeptKernel[]): number[] | undefined {
  const y = device.allocate(4);
  return device.cache?.kernels(heads)?.map((kernel) => {
    const args = [{ kind: 'buffer', binding: 0, offset: 0 } as const];
    device.program([{ kernel, args, begin: 0, end: 1, grain: 1, align: 1 }], 1).run([y], []);
    return new Float32Array(device.read(y, 0, 4).buffer)[0] ?? Number.NaN;
  });
}

describeNative('the cache of a device', () => {
  test('gives bytes back to the next process, and nothing where it is switched off', () => {
    const environment = { PROJ_CACHE: '', PROJ_CACHE_DIR: temporaryFolder(onTestFinished) };
    nativeDevice(environment).cache?.put('a key of any length '.repeat(99), new Uint8Array([1, 2, 3]));
    const { cache } = nativeDevice(environment);
    expect(cache?.get('a key of any length '.repeat(99))).toEqual(new Uint8Array([1, 2, 3]));
    expect(cache?.get('another')).toBeUndefined();
    expect(nativeDevice().cache).toBeUndefined();
  });

  test('gives code by the hash of its kernel, all or none, and builds kernels only for those who ask', () => {
    const environment = { PROJ_CACHE: '', PROJ_CACHE_DIR: temporaryFolder(onTestFinished) };
    const [one, two, three] = [store(1.5), store(2.5), store(3.5)];
    nativeDevice(environment).compile([one, two]);
    const device = nativeDevice(environment);
    let built = 0;
    const counted = (kernel: Kernel): KeptKernel => ({ ...headOf(kernel), build: () => (built++, kernel) });
    expect(run(device, [counted(two), counted(one), counted(two)])).toEqual([2.5, 1.5, 2.5]);
    expect(device.statistics()).toMatchObject({ compiled: 0, cached: 3 });
    expect(built).toBe(0);
    expect(device.cache?.kernels([counted(one)])?.map(({ kernel }) => kernel)).toEqual([one]);
    expect(built).toBe(1);
    expect(run(device, [headOf(one), headOf(three)])).toBeUndefined();
    device.compile([three]);
    expect(run(device, [headOf(one), headOf(three)])).toEqual([1.5, 3.5]);
    // A head that is not that of the code is refused by the program that would run it.
    expect(() => run(device, [{ ...headOf(one), parameters: [] }])).toThrow(ProjError);
  });

  test('forgets code that is of no use, and takes none that was made for other features', () => {
    const folder = temporaryFolder(onTestFinished);
    const environment = { PROJ_CACHE: '', PROJ_CACHE_DIR: folder };
    const kernel = store(4.5);
    const files = (): string[] =>
      readdirSync(join(folder, 'objects'), { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map(({ parentPath, name }) => join(parentPath, name));
    nativeDevice(environment);
    const runtime = files();
    nativeDevice(environment).compile([kernel]);
    const [file = ''] = files().filter((name) => !runtime.includes(name));
    if (process.arch === 'x64')
      expect(run(nativeDevice({ ...environment, PROJ_CPU_FEATURES: 'baseline' }), [headOf(kernel)])).toBeUndefined();
    for (const damaged of [
      readFileSync(file).subarray(0, 99),
      sealObject(new TextEncoder().encode('whole, but no object')),
    ]) {
      writeFileSync(file, damaged);
      expect(run(nativeDevice(environment), [headOf(kernel)])).toBeUndefined();
      expect(files()).not.toContain(file);
      nativeDevice(environment).compile([kernel]);
      expect(run(nativeDevice(environment), [headOf(kernel)])).toEqual([4.5]);
    }
  });
});
