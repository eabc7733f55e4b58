/** The loader: code that runs, objects that lie, and both processors' relocations. */
import { ProjError } from '@proj/kernel';
import { expect, onTestFinished, test } from 'vitest';
import { imageBytes, linkObjects, parseObject } from '../src/elf.ts';
import { functionAt } from '../src/ffi.ts';
import { cpuTarget, hostCpu, LlvmLibrary, loadObjects, parseCpuInfo, type CompileOptions } from '../src/index.ts';
import { loadWithLljit } from '../src/lljit-loader.ts';
import { describeNative, llvm, random } from './support.ts';

/** Data, constants, calls among functions, calls to the C library, and pointers to functions. */
const MODULE = `
@counter = global i32 40, align 4
@hidden = internal global [4 x i32] [i32 1, i32 2, i32 3, i32 4], align 16
@table = internal constant [2 x ptr] [ptr @twice, ptr @thrice], align 16
declare ptr @memcpy(ptr, ptr, i64)
define i32 @twice(i32 %x) noinline { %y = shl i32 %x, 1 ret i32 %y }
define i32 @thrice(i32 %x) noinline { %y = mul i32 %x, 3 ret i32 %y }
define i32 @count() { %a = load i32, ptr @counter %b = add i32 %a, 1 store i32 %b, ptr @counter ret i32 %b }
define i32 @sum(i32 %k) { %i = sext i32 %k to i64 %p = getelementptr i32, ptr @hidden, i64 %i %v = load volatile i32, ptr %p ret i32 %v }
define i32 @indirect(i32 %k, i32 %x) { %i = sext i32 %k to i64 %p = getelementptr ptr, ptr @table, i64 %i %f = load ptr, ptr %p %r = call i32 %f(i32 %x) ret i32 %r }
define double @scale(double %x) { %y = fmul double %x, 3.25 ret double %y }
define void @move(ptr %to, ptr %from, i64 %n) { %r = call ptr @memcpy(ptr %to, ptr %from, i64 %n) ret void }
`;

describeNative('objects of LLVM', () => {
  const library = new LlvmLibrary(llvm.found?.path ?? '');
  const host: CompileOptions = {
    cpu: cpuTarget(
      hostCpu(() => ''),
      undefined,
    ),
    passes: 'default<O2>',
    optLevel: 3,
  };
  const [object = new Uint8Array()] = library.compile([MODULE], host);

  test('run, with data, constants, pointers and calls out', () => {
    const code = loadObjects([object]);
    onTestFinished(() => code.dispose());
    const symbols = code.symbols[0] ?? new Map<string, number>();
    const at = (name: string): number => symbols.get(name) ?? 0;
    expect([...symbols.keys()].sort()).toEqual([
      'count',
      'counter',
      'indirect',
      'move',
      'scale',
      'sum',
      'thrice',
      'twice',
    ]);
    const count = functionAt<() => number>(at('count'), 'int', []);
    expect([count(), count()]).toEqual([41, 42]);
    const sum = functionAt<(k: number) => number>(at('sum'), 'int', ['int']);
    expect([0, 1, 2, 3].map(sum)).toEqual([1, 2, 3, 4]);
    const indirect = functionAt<(k: number, x: number) => number>(at('indirect'), 'int', ['int', 'int']);
    expect([indirect(0, 21), indirect(1, 21)]).toEqual([42, 63]);
    expect(functionAt<(x: number) => number>(at('scale'), 'double', ['double'])(2)).toBe(6.5);
    const to = new Uint8Array(128);
    functionAt<(to: Uint8Array, from: Uint8Array, n: number) => void>(at('move'), 'void', [
      'void *',
      'void *',
      'int64_t',
    ])(to, new Uint8Array(128).fill(7), 100);
    expect(to.reduce((a, b) => a + b)).toBe(700);
  });

  test('several in one mapping keep their symbols apart; dispose may be called twice', () => {
    const texts = [1, 2, 3].map((n) => `define i32 @kernel() { ret i32 ${n} }`);
    const code = loadObjects(library.compile(texts, host));
    expect(code.symbols.map((symbols) => functionAt<() => number>(symbols.get('kernel') ?? 0, 'int', [])())).toEqual([
      1, 2, 3,
    ]);
    code.dispose();
    code.dispose();
  });

  test('LLJIT, the loader for other formats, agrees', () => {
    const code = loadWithLljit(
      library,
      [object, ...library.compile(['define i32 @count() { ret i32 7 }'], host)],
      ['count', 'scale'],
    );
    const [first, second] = code.symbols;
    const count = functionAt<() => number>(first?.get('count') ?? 0, 'int', []);
    expect([count(), count()]).toEqual([41, 42]);
    expect(functionAt<(x: number) => number>(first?.get('scale') ?? 0, 'double', ['double'])(2)).toBe(6.5);
    expect(functionAt<() => number>(second?.get('count') ?? 0, 'int', [])()).toBe(7);
    expect(second?.has('scale')).toBe(false);
    code.dispose();
    code.dispose();
    expect(() => loadWithLljit(library, [new Uint8Array(100)], ['count'])).toThrow(/LLJIT: /);
  });

  test('functions that are not on the list are refused by name', () => {
    const [evil = new Uint8Array()] = library.compile(
      ['declare i32 @system(ptr)\ndefine i32 @kernel(ptr %c) { %r = call i32 @system(ptr %c) ret i32 %r }'],
      host,
    );
    expect(() => loadObjects([evil])).toThrow(/'system', which is not known/);
  });

  test('a file cut at any length, and one with any byte changed, is refused or loads without harm', () => {
    for (let length = 0; length < object.length; length += length < 200 ? 1 : 37)
      expect(() => parseObject(object.subarray(0, length)), `length ${length}`).toThrow(ProjError);
    const next = random(4);
    let refused = 0;
    for (let round = 0; round < 4000; round++) {
      const changed = object.slice();
      const flips = 1 + Math.floor(next() * 3);
      for (let k = 0; k < flips; k++) changed[Math.floor(next() * changed.length)] = next() < 0.3 ? 255 : next() * 256;
      try {
        const file = parseObject(changed);
        if (imageBytes([file]) < 1 << 24) linkObjects([file], 0x7f0000000000, () => 0x7f1234567890);
      } catch (error) {
        if (!(error instanceof ProjError)) throw error;
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(400);
  });

  test('a relocation outside its section is refused', () => {
    const file = parseObject(object);
    const [first] = file.relocations;
    if (first === undefined) throw new TypeError('the module has relocations');
    const view = new DataView(object.slice().buffer);
    const needle = new DataView(object.buffer, object.byteOffset, object.byteLength);
    let at = -1;
    for (let i = 0; i + 24 <= object.length; i += 8) {
      if (
        needle.getBigUint64(i, true) === BigInt(first.offset) &&
        needle.getUint32(i + 8, true) === first.type &&
        needle.getUint32(i + 12, true) === first.symbol
      )
        at = i;
    }
    view.setBigUint64(at, 1n << 40n, true);
    expect(() => parseObject(new Uint8Array(view.buffer))).toThrow(/relocation outside/);
    view.setBigUint64(at, BigInt(first.offset), true);
    view.setUint32(at + 12, 9999, true);
    expect(() => parseObject(new Uint8Array(view.buffer))).toThrow(/symbol 9999/);
    view.setUint32(at + 12, first.symbol, true);
    view.setUint32(at + 8, 77, true);
    expect(() => linkObjects([parseObject(new Uint8Array(view.buffer))], 0x7f0000000000, () => 1)).toThrow(
      /relocation type 77/,
    );
  });

  test('an object for another processor is refused', () => {
    const arm = parseCpuInfo('Features : asimd atomics\n', 'arm64');
    const [other = new Uint8Array()] = library.compile(['define i32 @kernel() { ret i32 1 }'], {
      cpu: cpuTarget(arm, undefined),
      passes: '',
      optLevel: 2,
      triple: 'aarch64-linux-gnu',
    });
    const wanted = process.arch === 'arm64' ? /x64/ : /an object for arm64 on x64/;
    if (process.arch !== 'arm64') expect(() => loadObjects([other])).toThrow(wanted);
  });

  test('AArch64: addresses in linked instructions are those of the symbols', () => {
    const arm = cpuTarget(parseCpuInfo('Features : asimd atomics\n', 'arm64'), undefined);
    const [text = new Uint8Array()] = library.compile([MODULE], {
      cpu: arm,
      passes: 'default<O1>',
      optLevel: 2,
      triple: 'aarch64-linux-gnu',
    });
    const base = 0x7f3456780000;
    const memcpy = 0x7f9912345678;
    const image = linkObjects([parseObject(text)], base, (name) => (name === 'memcpy' ? memcpy : undefined));
    const view = new DataView(image.bytes.buffer);
    const symbols = image.symbols[0] ?? new Map<string, number>();
    const inside = (address: number): number => address - base;
    const instructions = (name: string): number[] =>
      Array.from({ length: 24 }, (_, k) => view.getUint32(inside(symbols.get(name) ?? 0) + 4 * k, true));
    const signed = (value: number, bits: number): number => (value >= 2 ** (bits - 1) ? value - 2 ** bits : value);

    // count(): adrp x8, page; ldr x8 or ldr w0, [x8, offset] of the counter itself or of its table entry.
    const start = symbols.get('count') ?? 0;
    const code = instructions('count');
    const adrp = code.findIndex((word) => (word & 0x9f000000) >>> 0 === 0x90000000);
    const word = code[adrp] ?? 0;
    const pages = signed((((word >> 5) & 0x7ffff) << 2) | ((word >> 29) & 3), 21);
    const load = code.slice(adrp + 1).find((next) => (next & 0x3b000000) >>> 0 === 0x39000000) ?? 0;
    const access = 2 ** (load >>> 30);
    const address = (Math.floor((start + 4 * adrp) / 4096) + pages) * 4096 + ((load >> 10) & 0xfff) * access;
    const counter = symbols.get('counter') ?? 0;
    const reached = access === 8 ? Number(view.getBigUint64(inside(address), true)) : address;
    expect(reached).toBe(counter);
    expect(view.getInt32(inside(counter), true)).toBe(40);

    // move(): a branch to memcpy goes through a stub that loads its address.
    const move = symbols.get('move') ?? 0;
    const calls = instructions('move');
    const branch = calls.findIndex((next) => (next & 0x7c000000) >>> 0 === 0x14000000);
    const stub = move + 4 * branch + signed((calls[branch] ?? 0) & 0x3ffffff, 26) * 4;
    expect(view.getUint32(inside(stub), true)).toBe(0x58000050);
    expect(view.getUint32(inside(stub) + 4, true)).toBe(0xd61f0200);
    expect(Number(view.getBigUint64(inside(stub) + 8, true))).toBe(memcpy);
  });
});

test('bytes that are no object are refused', () => {
  for (const bytes of [new Uint8Array(), new Uint8Array(64), new TextEncoder().encode('x'.repeat(500))])
    expect(() => parseObject(bytes)).toThrow(/malformed object file/);
});
