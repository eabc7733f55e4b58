/** Processor features: what is read, and what masks leave. */
import { ProjError } from '@proj/kernel';
import { describe, expect, test } from 'vitest';
import { cpuTarget, hostCpu, LlvmLibrary, parseCpuInfo } from '../src/index.ts';
import { hasLlvm, llvm } from './support.ts';

const ZEN = parseCpuInfo(
  'processor\t: 0\nvendor_id\t: AuthenticAMD\nflags\t\t: fpu sse sse2 pni ssse3 fma cx16 sse4_1 sse4_2 movbe popcnt avx f16c abm bmi1 avx2 bmi2 avx512f avx512dq avx512cd avx512bw avx512vl avx512_vnni avx512_bf16\n',
  'x64',
);
const HASWELL = parseCpuInfo(
  'vendor_id\t: GenuineIntel\nflags\t\t: sse sse2 pni ssse3 fma sse4_1 sse4_2 popcnt avx f16c abm bmi1 avx2 bmi2\n',
  'x64',
);
const OLD = parseCpuInfo('vendor_id\t: GenuineIntel\nflags\t\t: sse sse2 pni ssse3 sse4_1\n', 'x64');
const GRAVITON = parseCpuInfo(
  'processor\t: 0\nFeatures\t: fp asimd aes crc32 atomics fphp asimdhp asimddp i8mm bf16\n',
  'arm64',
);

describe('levels', () => {
  test.each([
    ['Zen 5', ZEN, 'avx512', 64, 16, 32],
    ['Haswell', HASWELL, 'avx2', 32, 8, 16],
    ['Penryn', OLD, 'baseline', 16, 4, 16],
    ['Graviton 3', GRAVITON, 'neon', 16, 4, 32],
  ] as const)('%s', (_, host, level, vectorBytes, f32Lanes, registers) => {
    expect(cpuTarget(host, undefined)).toMatchObject({ level, vectorBytes, f32Lanes, registers });
  });

  test('all four of the AVX-512 subsets that code relies on are needed', () => {
    const flags = 'sse2 pni ssse3 fma sse4_1 sse4_2 avx f16c avx2 avx512f avx512dq avx512bw';
    expect(cpuTarget(parseCpuInfo(`vendor_id : x\nflags : ${flags}\n`, 'x64'), undefined).level).toBe('avx2');
  });

  test('a text without flags is a machine without features', () => {
    expect(cpuTarget(parseCpuInfo('', 'x64'), undefined)).toMatchObject({ level: 'baseline', features: [] });
  });
});

describe('masks', () => {
  test('a level keeps what machines of that level have', () => {
    const target = cpuTarget(ZEN, 'avx2');
    expect(target.level).toBe('avx2');
    expect(target.has('fma')).toBe(true);
    expect(target.features.some((name) => name.startsWith('avx512'))).toBe(false);
    expect(target.featureString).toContain('-avx512vnni');
    expect(cpuTarget(ZEN, 'baseline').features).toEqual([]);
  });

  test('taking a feature away takes what needs it', () => {
    const target = cpuTarget(ZEN, '-fma');
    expect(target.level).toBe('avx2');
    expect(target.has('avx2')).toBe(true);
    expect(target.features.some((name) => name === 'fma' || name.startsWith('avx512'))).toBe(false);
    expect(cpuTarget(ZEN, '-avx512f,-fma').features).toEqual(target.features);
    expect(cpuTarget(ZEN, '-avx').features).toEqual([
      'bmi',
      'bmi2',
      'lzcnt',
      'movbe',
      'popcnt',
      'sse3',
      'sse4.1',
      'sse4.2',
      'ssse3',
    ]);
  });

  test('an empty mask and native change nothing', () => {
    expect(cpuTarget(ZEN, '').features).toEqual(cpuTarget(ZEN, undefined).features);
    expect(cpuTarget(ZEN, 'native').features).toEqual(cpuTarget(ZEN, undefined).features);
    expect(cpuTarget(ZEN, 'avx512,+avx512vnni').level).toBe('avx512');
  });

  test.each([
    ['-avx1024', ZEN, /'-avx1024'.*unknown.*avx512f/],
    ['sve', ZEN, /'sve'.*unknown/],
    ['avx512', HASWELL, /'avx512'.*does not have it.*avx2/],
    ['+avx512f', HASWELL, /'\+avx512f'.*does not have it/],
    ['avx2', OLD, /'avx2'.*does not have it/],
    ['-avx2,avx2', HASWELL, undefined],
    ['-avx2,+avx2', HASWELL, /'\+avx2'.*takes it away/],
    ['neon', ZEN, /'neon'.*unknown/],
  ] as const)('%s is named in its error', (mask, host, message) => {
    if (message === undefined) {
      expect(cpuTarget(host, mask).level).toBe('baseline');
      return;
    }
    const error = (() => {
      try {
        return cpuTarget(host, mask);
      } catch (thrown) {
        return thrown;
      }
    })();
    expect(error).toBeInstanceOf(ProjError);
    expect(error).toMatchObject({
      code: 'invalid-argument',
      message: expect.stringMatching(message),
      cure: expect.stringContaining('Unset it'),
    });
  });
});

test.skipIf(!hasLlvm)('what is read from the system is what LLVM finds by asking the processor', () => {
  const library = new LlvmLibrary(llvm.found?.path ?? '');
  const own = hostCpu(() => '');
  const asked = new Set(
    library
      .hostFeatures()
      .split(',')
      .filter((name) => name.startsWith('+'))
      .map((name) => name.slice(1)),
  );
  for (const name of own.features) expect(asked, name).toContain(name);
  const target = cpuTarget(own, undefined);
  for (const known of target.featureString.split(',').map((name) => name.slice(1)))
    if (asked.has(known)) expect(own.features).toContain(known);
});
