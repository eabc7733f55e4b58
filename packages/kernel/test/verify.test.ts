import { describe, expect, test } from 'vitest';
import {
  buildKernel,
  ProjError,
  valueType,
  verifyKernel,
  type Block,
  type Kernel,
  type KernelBuilder,
  type Memory,
  type Op,
  type Statement,
  type Value,
} from '../src/index.ts';

/** A kernel whose body is changed after it was built: what no builder would make. */
function tampered(
  build: (b: KernelBuilder) => void,
  change: (kernel: Kernel, statements: Statement[]) => Kernel | void,
): Kernel {
  const kernel = buildKernel('bad', build);
  return change(kernel, kernel.body.statements) ?? kernel;
}

const block: Block = { parent: null, depth: 0, statements: [] };
let nextId = 1000;
const value = (op: Op, type: Value['type'], args: readonly Value[], more: Partial<Value> = {}): Value => ({
  id: nextId++,
  op,
  type,
  args,
  block,
  ...more,
});
const define = (v: Value): Statement => ({ kind: 'let', value: v });
const constant = (c: number | boolean, scalar: Parameters<typeof valueType>[0], lanes = 1): Value =>
  value('const', valueType(scalar, lanes), [], { constant: c });
const f32 = valueType('f32');

/** Adds definitions to an empty kernel. */
const adding = (...values: Value[]): Kernel =>
  tampered(
    () => undefined,
    (_, statements) => void statements.push(...values.map(define)),
  );

const foreign: Memory = {
  kind: 'buffer',
  name: 'foreign',
  element: 'f32',
  access: 'readwrite',
  length: 0,
  position: 0,
};
const one = constant(1, 'f32');
const index = constant(0, 'index');

const bad: Record<string, { readonly kernel: () => Kernel; readonly message: RegExp }> = {
  'an operand that is defined later': {
    kernel: () => {
      const x = value('neg', f32, [one]);
      return adding(value('neg', f32, [x]), x);
    },
    message: /line 2: operand of neg neg .* outside its scope/,
  },
  'a value of a loop used after it': {
    kernel: () =>
      tampered(
        (b) => {
          const out = b.buffer('out', 'f32', 'write');
          let inside: Value | null = null;
          b.for(0, 4, 1, [], (i) => {
            inside = b.cast(i, 'f32');
          });
          if (inside !== null) b.store(out, 0, inside);
        },
        () => undefined,
      ),
    message: /line 5: stored value cast .* outside its scope/,
  },
  'a value defined twice': {
    kernel: () => {
      const x = value('neg', f32, [one]);
      return adding(x, x);
    },
    message: /line 3: neg .* defined twice/,
  },
  'operands of different types': {
    kernel: () => adding(value('add', f32, [one, constant(1, 'i32')])),
    message: /const has type i32, expected f32/,
  },
  'a wrong number of operands': { kernel: () => adding(value('add', f32, [one])), message: /add has 1 operands/ },
  'lanes that are not a power of two': {
    kernel: () => adding(value('iota', { scalar: 'i32', lanes: 3 }, [])),
    message: /3 lanes/,
  },
  'arithmetic on f16': {
    kernel: () => adding(value('add', valueType('f16'), [constant(1, 'f16'), constant(1, 'f16')])),
    message: /add on f16: cast to f32 first/,
  },
  'a comparison of bf16': {
    kernel: () => adding(value('lt', valueType('bool'), [constant(1, 'bf16'), constant(1, 'bf16')])),
    message: /lt on bf16/,
  },
  'addition of bool': {
    kernel: () => adding(value('add', valueType('bool'), [constant(true, 'bool'), constant(true, 'bool')])),
    message: /add on bool/,
  },
  'bit operations on floats': { kernel: () => adding(value('xor', f32, [one, one])), message: /xor on f32/ },
  'a remainder of floats': { kernel: () => adding(value('rem', f32, [one, one])), message: /rem on floats/ },
  'a square root of integers': {
    kernel: () => adding(value('sqrt', valueType('i32'), [constant(4, 'i32')])),
    message: /sqrt on i32/,
  },
  'a bitcast to another width': {
    kernel: () => adding(value('bitcast', valueType('i64'), [one])),
    message: /bitcast of f32 to i64/,
  },
  'a cast of f16 past f32': {
    kernel: () => adding(value('cast', valueType('i32'), [constant(1, 'f16')])),
    message: /cast of f16 to i32: go through f32/,
  },
  'a cast that changes the lanes': {
    kernel: () => adding(value('cast', valueType('i32', 4), [one])),
    message: /changes the number of lanes/,
  },
  'a select whose condition is no mask': {
    kernel: () => adding(value('select', f32, [one, one, one])),
    message: /expected bool/,
  },
  'a lane that is not there': {
    kernel: () => adding(value('extract', f32, [constant(1, 'f32', 4)], { lane: 4 })),
    message: /lane 4 of f32x4/,
  },
  'a shuffle out of range': {
    kernel: () =>
      adding(
        value('shuffle', valueType('f32', 2), [constant(1, 'f32', 2), constant(1, 'f32', 2)], { pattern: [0, 4] }),
      ),
    message: /shuffle pattern out of range/,
  },
  'dot4 of the wrong widths': {
    kernel: () =>
      adding(value('dot4', valueType('i32'), [constant(0, 'i32'), constant(0, 'u8', 4), constant(0, 'i8', 8)])),
    message: /expected i8x4/,
  },
  'memory of another kernel': {
    kernel: () => adding(value('load', f32, [index], { memory: foreign })),
    message: /foreign does not belong to this kernel/,
  },
  'a load as another type': {
    kernel: () =>
      tampered(
        (b) => void b.buffer('x', 'f32'),
        (kernel, statements) =>
          void statements.push(
            define(value('load', valueType('i32'), [index], { memory: kernel.parameters[0] as Memory })),
          ),
      ),
    message: /load of f32 as i32/,
  },
  'a load from write-only memory': {
    kernel: () => buildKernel('bad', (b) => void b.load(b.buffer('x', 'f32', 'write'), 0)),
    message: /x is write-only/,
  },
  'a store into read-only memory': {
    kernel: () =>
      tampered(
        (b) => void b.buffer('x', 'f32'),
        (kernel, statements) =>
          void statements.push({
            kind: 'store',
            memory: kernel.parameters[0] as Memory,
            index,
            value: one,
            mask: null,
          }),
      ),
    message: /x is read-only/,
  },
  'a store of the wrong type': {
    kernel: () =>
      tampered(
        (b) => void b.buffer('x', 'f32', 'write'),
        (kernel, statements) =>
          void statements.push({
            kind: 'store',
            memory: kernel.parameters[0] as Memory,
            index,
            value: constant(1, 'f64'),
            mask: null,
          }),
      ),
    message: /a store of f64 into f32/,
  },
  'a mask of the wrong lanes': {
    kernel: () =>
      tampered(
        (b) => void b.buffer('x', 'f32', 'write'),
        (kernel, statements) =>
          void statements.push({
            kind: 'store',
            memory: kernel.parameters[0] as Memory,
            index,
            value: constant(1, 'f32', 4),
            mask: constant(true, 'bool'),
          }),
      ),
    message: /mask has type bool, expected bool of 4 lanes/,
  },
  'an index that is no index': {
    kernel: () =>
      tampered(
        (b) => void b.buffer('x', 'f32'),
        (kernel, statements) =>
          void statements.push(
            define(value('load', f32, [constant(0, 'i32')], { memory: kernel.parameters[0] as Memory })),
          ),
      ),
    message: /index of x has type i32/,
  },
  'a condition that is no bool': {
    kernel: () =>
      tampered(
        () => undefined,
        (_, statements) => void statements.push({ kind: 'if', condition: one, then: block, otherwise: null }),
      ),
    message: /condition has type f32/,
  },
  'too much local memory': {
    kernel: () => buildKernel('bad', (b) => void b.local('big', 'f64', 1 << 20)),
    message: /bytes of locals/,
  },
  'constants of another length': {
    kernel: () => buildKernel('bad', (b) => void b.table('x', 'f32', new Uint8Array(6))),
    message: /constant x0 of 1.5 elements of f32 has 6 bytes/,
  },
  'too many constants': {
    kernel: () => buildKernel('bad', (b) => void b.table('x', 'u8', new Uint8Array((4 << 20) + 1))),
    message: /4194305 bytes of constants, at most 4194304/,
  },
  'memory of index elements': {
    kernel: () => buildKernel('bad', (b) => void b.buffer('x', 'index')),
    message: /index elements/,
  },
  'a scalar parameter of f16': {
    kernel: () => buildKernel('bad', (b) => void b.scalar('x', 'f16')),
    message: /scalar parameter x of f16/,
  },
  'a parameter of another kernel': {
    kernel: () =>
      adding(value('param', f32, [], { parameter: { kind: 'scalar', name: 'p', type: 'f32', position: 0 } })),
    message: /a parameter of another kernel/,
  },
};

describe('the verifier rejects', () => {
  test.each(Object.keys(bad))('%s', (name) => {
    const { kernel, message } = bad[name];
    const verify = (): void => verifyKernel(kernel());
    expect(verify).toThrow(message);
    expect(verify).toThrow(ProjError);
    expect(verify).toThrow(/kernel bad, line \d+/);
  });
});

test('the error shows the kernel', () => {
  expect(() => verifyKernel(adding(value('xor', f32, [one, one])))).toThrow(
    /kernel bad\(\) \{\n {2}%0: f32 = xor f32 1, f32 1\n\}/,
  );
});

test('a correct kernel passes', () => {
  const kernel = buildKernel('good', (b) => {
    const x = b.buffer('x', 'u8');
    const out = b.buffer('out', 'i32', 'write');
    const [sum] = b.for(0, b.end, 8, [b.constant(0, valueType('i32', 2))], (i, acc) => [
      b.dot4(acc, b.load(x, i, 8), b.cast(b.load(x, i, 8), 'i8')),
    ]);
    b.store(out, 0, b.horizontal('reduceAdd', sum));
  });
  expect(() => verifyKernel(kernel)).not.toThrow();
});
