/** The renderer for AArch64, as far as another processor can test it: everything compiles, to vector instructions and without calls. */
import { buildKernel, isFloat, math, type ScalarType } from '@proj/kernel';
import { expect, test } from 'vitest';
import { cpuTarget, LlvmLibrary, parseCpuInfo, renderLlvm, type CompileOptions } from '../src/index.ts';
import { parseObject } from '../src/elf.ts';
import { describeNative, llvm } from './support.ts';

const TYPES: readonly ScalarType[] = ['i8', 'u8', 'i16', 'u16', 'i32', 'u32', 'i64', 'f32', 'f64'];

describeNative('AArch64', () => {
  const library = new LlvmLibrary(llvm.found?.path ?? '');
  const options = (features: string): CompileOptions => ({
    cpu: cpuTarget(parseCpuInfo(`Features : ${features}\n`, 'arm64'), undefined),
    passes: 'function(early-cse,simplifycfg)',
    optLevel: 3,
    triple: 'aarch64-linux-gnu',
  });

  test.each(TYPES)('all operations on %s', (type) => {
    for (const lanes of [1, 4, 16]) {
      const kernel = buildKernel(`all ${type}`, (b) => {
        const [x, y, out] = [b.buffer('x', type), b.buffer('y', type), b.buffer('out', type, 'write')];
        const halves = b.buffer('halves', 'f16', 'write');
        const scalars = b.buffer('floats', 'f32', 'write');
        const [p, q] = [b.load(x, b.begin, lanes), b.load(y, b.begin, lanes)];
        const results = [
          ...(isFloat(type)
            ? (['neg', 'abs', 'sqrt', 'floor', 'ceil', 'trunc', 'round'] as const)
            : (['neg', 'abs', 'not', 'popcount'] as const)
          ).map((op) => b.unary(op, p)),
          ...(isFloat(type)
            ? (['add', 'sub', 'mul', 'div', 'min', 'max'] as const)
            : (['add', 'sub', 'mul', 'div', 'rem', 'min', 'max', 'and', 'or', 'xor', 'shl', 'shr'] as const)
          ).map((op) => b.binary(op, p, q)),
          b.mulAdd(p, q, p),
          b.select(b.lt(p, q), p, q),
          b.cast(b.cast(p, 'f64'), type),
          b.cast(b.eq(p, q), type),
          b.gather(x, b.cast(q, 'index')),
          b.load(x, b.begin, lanes, b.lt(p, q)),
          b.splat(b.horizontal('reduceAdd', p), lanes),
          b.splat(b.horizontal('reduceMax', p), lanes),
        ];
        results.forEach((result, k) => b.store(out, b.add(b.begin, k * lanes), result));
        b.store(halves, b.begin, b.cast(p, 'f16'));
        b.store(scalars, b.begin, b.cast(b.cast(p, 'bf16'), 'f32'));
        b.scatter(out, b.cast(q, 'index'), p, b.gt(p, q));
      });
      const target = options('asimd atomics');
      const [object = new Uint8Array()] = library.compile([renderLlvm(kernel, target.cpu)], target);
      const undefined_ = parseObject(object)
        .symbols.filter(({ section, name }) => section === 0 && name !== '')
        .map(({ name }) => name);
      expect(undefined_).toEqual([]);
    }
  });

  test('exp is fused vector arithmetic', () => {
    const kernel = buildKernel('exp', (b) => {
      const [x, y] = [b.buffer('x', 'f32'), b.buffer('y', 'f32', 'write')];
      b.for(b.begin, b.end, 4, [], (i) => b.store(y, i, math.exp(b, b.load(x, i, 4))));
    });
    const target = options('asimd');
    expect(library.assembly(renderLlvm(kernel, target.cpu), target)).toMatch(/fmla\s+v\d+\.4s/);
  });

  test('dot4 is one instruction where the processor has it', () => {
    const kernel = buildKernel('dot', (b) => {
      const [a, x, y] = [b.buffer('a', 'i32', 'readwrite'), b.buffer('x', 'u8'), b.buffer('y', 'i8')];
      b.store(a, 0, b.dot4(b.load(a, 0, 4), b.load(x, 0, 16), b.load(y, 0, 16)));
    });
    const [with_, without] = [options('asimd asimddp i8mm'), options('asimd')];
    expect(library.assembly(renderLlvm(kernel, with_.cpu), with_)).toMatch(/usdot/);
    expect(library.assembly(renderLlvm(kernel, without.cpu), without)).not.toMatch(/usdot/);
  });
});
