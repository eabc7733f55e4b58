/** LLVM through its C interface: what it makes, and that bad input comes back as an error and never ends the process. */
import { buildKernel, math, ProjError, vectorLoop } from '@proj/kernel';
import { describe, expect, test } from 'vitest';
import { cpuTarget, findLlvm, hostCpu, LlvmLibrary, renderLlvm, type CompileOptions } from '../src/index.ts';
import { llvmCandidates } from '../src/llvm-library.ts';
import { describeNative, llvm, nativeDevice } from './support.ts';

const BAD: readonly (readonly [string, string, Partial<CompileOptions>, RegExp])[] = [
  ['no IR', 'oops', {}, /parsing: .*expected top-level entity/],
  [
    'a wrong type',
    'define void @kernel(ptr %p) { %v = load float, ptr %p store i32 %v, ptr %p ret void }',
    {},
    /parsing: .*'%v' defined with type 'float' but expected 'i32'/,
  ],
  [
    'a value that does not dominate its use',
    'define float @f(i1 %c) { entry: br i1 %c, label %a, label %b\na: %x = fadd float 1.0, 2.0\n br label %b\nb: ret float %x }',
    {},
    /verification: .*dominate/,
  ],
  ['an unknown pass', 'define void @kernel() { ret void }', { passes: 'function(polish)' }, /optimisation: .*polish/],
  ['an empty text', '', {}, /^$/],
];

describeNative('compiling', () => {
  const library = new LlvmLibrary(llvm.found?.path ?? '');
  const options: CompileOptions = {
    cpu: cpuTarget(
      hostCpu(() => ''),
      undefined,
    ),
    passes: 'function(early-cse,simplifycfg)',
    optLevel: 3,
  };
  const { compiler, runtime } = nativeDevice({ PROJ_NUM_THREADS: '3' }).internals;
  const sideBySide = (texts: readonly string[], more: Partial<CompileOptions> = {}): Uint8Array[] => {
    const code = compiler.sideBySide();
    return library.compileSideBySide(texts, { ...options, ...more }, 3, (args, count) =>
      runtime.runEach(code, args, count),
    );
  };

  test('the version is one that we support', () => {
    expect(Number.parseInt(library.version, 10)).toBeGreaterThanOrEqual(15);
  });

  test.each(BAD)('%s is an error that says where', (_, text, more, message) => {
    for (const run of [() => library.compile([text], { ...options, ...more }), () => sideBySide([text, text], more)]) {
      const error = (() => {
        try {
          run();
          return undefined;
        } catch (thrown) {
          return thrown;
        }
      })();
      if (message.source === '^$') expect(error).toBeUndefined();
      else {
        expect(error).toBeInstanceOf(ProjError);
        expect(error).toMatchObject({ code: 'kernel-compilation', message: expect.stringMatching(message) });
      }
    }
  });

  test('threads make the same objects as one after the other', () => {
    const texts = Array.from({ length: 24 }, (_, k) =>
      renderLlvm(
        buildKernel(`f${k}`, (b) => {
          const [x, y] = [b.buffer('x', 'f32'), b.buffer('y', 'f32', 'write')];
          vectorLoop(b, b.begin, b.end, 8, (i, lanes) =>
            b.store(y, i, b.mul(math.exp(b, b.load(x, i, lanes)), k + 0.5)),
          );
        }),
        options.cpu,
      ),
    );
    const alone = library.compile(texts, options);
    for (let round = 0; round < 3; round++) expect(sideBySide(texts)).toEqual(alone);
  });

  test('assembly is text for people', () => {
    expect(library.assembly('define i32 @answer() { ret i32 42 }', options)).toMatch(/answer:[\s\S]*42/);
  });

  test('a triple that no LLVM has is an error', () => {
    expect(() => library.compile(['define void @kernel() { ret void }'], { ...options, triple: 'z80-none' })).toThrow(
      /target: /,
    );
  });
});

describe('finding LLVM', () => {
  test('looks for the names of the distributions, newest first, and stays within the versions it knows', () => {
    const linux = [...llvmCandidates('linux', { LD_LIBRARY_PATH: '/opt/lib' })];
    expect(linux[0]).toBe('/opt/lib/libLLVM.so.22.1');
    expect(linux).toContain('/usr/lib64/libLLVM-17.so');
    expect(linux).toContain('/usr/lib/llvm-15/lib/libLLVM.so');
    expect(linux.some((path) => path.includes('14'))).toBe(false);
    expect([...llvmCandidates('darwin', {})]).toContain('/opt/homebrew/opt/llvm@19/lib/libLLVM.dylib');
    expect([...llvmCandidates('win32', {})]).toEqual([]);
  });

  test('PROJ_LLVM decides', () => {
    expect(findLlvm({ PROJ_LLVM: 'none' })).toEqual({ found: undefined, reason: 'PROJ_LLVM=none forbids it' });
    expect(findLlvm({ PROJ_LLVM: process.execPath }).found?.path).toBe(process.execPath);
  });

  test('a file that is no LLVM is refused with a cure', () => {
    expect(() => new LlvmLibrary(process.execPath)).toThrow(/could not be opened|is not an LLVM/);
  });
});
