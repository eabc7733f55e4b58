/** The verifier: rejects code that is ill-typed or uses a value outside its scope, naming the kernel and the printed line. */
import { ProjError } from '../errors.ts';
import type { Block, Kernel, Memory, Op, Statement, Value } from './ir.ts';
import { isBinary, isComparison, isGiven, isHorizontal, isUnary } from './operations.ts';
import { printKernel } from './print.ts';
import { isFloat, isInteger, isStorageOnly, isTile, SCALARS, typeName, valueType } from './types.ts';

/** Most bytes of locals that a kernel may have: they live on a thread's stack. */
export const MAX_LOCAL_BYTES = 256 * 1024;

/** Most bytes of constant memories that a kernel may have: they are compiled, and printed, with it. */
export const MAX_CONSTANT_BYTES = 4 << 20;

/** What gives tiles. */
const TILE_OPS: ReadonlySet<Op> = new Set<Op>(['const', 'load', 'tileDot', 'carried', 'result']);

/** Throws `kernel-verification`, with the kernel's name and the line of its printed form, when it is ill-typed or uses a value outside its scope. */
export function verifyKernel(kernel: Kernel): void {
  const visible = new Set<Value>();
  const memories = new Set<Memory>([
    ...kernel.locals,
    ...kernel.constants,
    ...kernel.parameters.filter((p): p is Memory => p.kind === 'buffer'),
  ]);
  // The line of the printed kernel that a statement stands on: the head is line 1, constants have none.
  let line = 1 + kernel.locals.length + kernel.constants.length;
  const fail = (message: string): never => {
    const text = safePrint(kernel);
    throw new ProjError(
      'kernel-verification',
      `kernel ${kernel.name}, line ${line}: ${message}${text === '' ? '' : `\n${text}`}`,
      { op: 'verifyKernel' },
    );
  };
  const seen = (value: Value, role: string): void => {
    if (value.op !== 'const' && !visible.has(value))
      fail(`${role} ${value.op} (value ${value.id}) is used outside its scope`);
  };
  const requireType = (value: Value, expected: string, ok: boolean): void => {
    if (!ok) fail(`${value.op} has type ${typeName(value.type)}, expected ${expected}`);
  };
  const access = (memory: Memory, index: Value, mode: 'read' | 'write' | 'prefetch', lanes: number): void => {
    if (!memories.has(memory)) fail(`memory ${memory.name} does not belong to this kernel`);
    if (mode === 'read' && memory.access === 'write') fail(`${memory.name} is write-only`);
    if (mode === 'write' && memory.access === 'read') fail(`${memory.name} is read-only`);
    if (index.type.scalar !== 'index' || (index.type.lanes !== 1 && index.type.lanes !== lanes))
      fail(`index of ${memory.name} has type ${typeName(index.type)}`);
  };
  const mask = (m: Value | null | undefined, lanes: number): void => {
    if (m === null || m === undefined) return;
    seen(m, 'mask');
    if (m.type !== valueType('bool', lanes)) fail(`mask has type ${typeName(m.type)}, expected bool of ${lanes} lanes`);
  };
  const define = (v: Value): void => {
    if (visible.has(v)) fail(`${v.op} (value ${v.id}) is defined twice`);
    v.args.forEach((arg) => seen(arg, `operand of ${v.op}`));
    if (v.args.length !== operands(v)) fail(`${v.op} has ${v.args.length} operands`);
    const { scalar, lanes } = v.type;
    if (!Number.isInteger(lanes) || lanes < 1 || (lanes & (lanes - 1)) !== 0)
      fail(`${lanes} lanes: a power of two is needed`);
    const sameAsArgs = (): void => v.args.forEach((arg) => requireType(arg, typeName(v.type), arg.type === v.type));
    const arithmetic = (): void => {
      if (isStorageOnly(scalar)) fail(`${v.op} on ${scalar}: cast to f32 first`);
      sameAsArgs();
    };
    if (isTile(v.type) && (!TILE_OPS.has(v.op) || (v.op === 'const' && v.constant !== 0) || v.args.length === 2))
      fail(`${v.op} of the tile ${typeName(v.type)}`);
    if (v.op !== 'tileDot' && v.args.some((arg) => isTile(arg.type))) fail(`${v.op} of a tile`);
    switch (v.op) {
      case 'const':
        if (v.constant === undefined) fail('a constant without a value');
        break;
      case 'param':
        if (v.parameter === undefined || kernel.parameters[v.parameter.position] !== v.parameter)
          fail('a parameter of another kernel');
        break;
      case 'builtin':
        requireType(v, 'index', v.type === valueType('index'));
        break;
      case 'iota':
        if (scalar === 'bool' || isStorageOnly(scalar)) fail(`iota of ${scalar}`);
        break;
      case 'neg':
      case 'abs':
        if (scalar === 'bool') fail(`${v.op} on bool`);
        arithmetic();
        break;
      case 'popcount':
        if (!isInteger(scalar)) fail(`popcount on ${scalar}`);
        sameAsArgs();
        break;
      case 'sqrt':
      case 'floor':
      case 'ceil':
      case 'trunc':
      case 'round':
        if (!isFloat(scalar)) fail(`${v.op} on ${scalar}`);
        arithmetic();
        break;
      case 'not':
        if (isFloat(scalar)) fail(`not on ${scalar}`);
        sameAsArgs();
        break;
      case 'add':
      case 'sub':
      case 'mul':
      case 'div':
      case 'rem':
      case 'min':
      case 'max':
      case 'mulAdd':
        if (scalar === 'bool') fail(`${v.op} on bool`);
        if (v.op === 'rem' && isFloat(scalar)) fail('rem on floats');
        arithmetic();
        break;
      case 'and':
      case 'or':
      case 'xor':
      case 'shl':
      case 'shr':
        if (isFloat(scalar) || (scalar === 'bool' && (v.op === 'shl' || v.op === 'shr'))) fail(`${v.op} on ${scalar}`);
        sameAsArgs();
        break;
      case 'eq':
      case 'ne':
      case 'lt':
      case 'le':
      case 'gt':
      case 'ge':
        requireType(
          v,
          'bool',
          scalar === 'bool' && v.args[0].type === v.args[1].type && v.args[0].type.lanes === lanes,
        );
        if (isStorageOnly(v.args[0].type.scalar)) fail(`${v.op} on ${v.args[0].type.scalar}: cast to f32 first`);
        break;
      case 'select':
        requireType(v.args[0], 'bool', v.args[0].type === valueType('bool', lanes));
        v.args.slice(1).forEach((arg) => requireType(arg, typeName(v.type), arg.type === v.type));
        break;
      case 'cast': {
        const from = v.args[0].type;
        if (from.lanes !== lanes) fail('cast changes the number of lanes');
        if ((isStorageOnly(scalar) && from.scalar !== 'f32') || (isStorageOnly(from.scalar) && scalar !== 'f32'))
          fail(`cast of ${from.scalar} to ${scalar}: go through f32`);
        break;
      }
      case 'bitcast': {
        const from = v.args[0].type;
        const loose = (s: typeof scalar): boolean => s === 'bool' || s === 'index';
        const splits = (s: typeof scalar): boolean => isInteger(s) && !loose(s) && s !== 'i64';
        if (
          SCALARS[from.scalar].bytes * from.lanes !== SCALARS[scalar].bytes * lanes ||
          loose(from.scalar) ||
          loose(scalar) ||
          (from.lanes !== lanes && (from.lanes === 1 || lanes === 1 || !splits(from.scalar) || !splits(scalar)))
        )
          fail(`bitcast of ${typeName(from)} to ${typeName(v.type)}`);
        break;
      }
      case 'splat':
        requireType(v.args[0], scalar, v.args[0].type === valueType(scalar));
        break;
      case 'extract':
        requireType(v, v.args[0].type.scalar, v.type === valueType(v.args[0].type.scalar));
        if (v.lane === undefined || v.lane < 0 || v.lane >= v.args[0].type.lanes)
          fail(`lane ${v.lane} of ${typeName(v.args[0].type)}`);
        break;
      case 'shuffle':
        if (v.args[0].type !== v.args[1].type || v.args[0].type.scalar !== scalar)
          fail(`shuffle of ${typeName(v.args[0].type)} and ${typeName(v.args[1].type)} to ${typeName(v.type)}`);
        if (lanes === 1 || v.args[0].type.lanes === 1) fail('shuffle of scalars');
        if (
          v.pattern === undefined ||
          v.pattern.length !== lanes ||
          v.pattern.some((p) => p < 0 || p >= 2 * v.args[0].type.lanes)
        )
          fail('shuffle pattern out of range');
        break;
      case 'dot4':
        requireType(v, 'i32', scalar === 'i32');
        requireType(v.args[0], typeName(v.type), v.args[0].type === v.type);
        requireType(v.args[1], `u8x${4 * lanes}`, v.args[1].type === valueType('u8', 4 * lanes));
        requireType(v.args[2], `i8x${4 * lanes}`, v.args[2].type === valueType('i8', 4 * lanes));
        break;
      case 'tileDot': {
        const [x, y] = scalar === 'i32' ? (['u8', 'i8'] as const) : (['bf16', 'bf16'] as const);
        requireType(v, 'f32x256 or i32x256', isTile(v.type) && (scalar === 'i32' || scalar === 'f32'));
        requireType(v.args[0], typeName(v.type), v.args[0].type === v.type);
        requireType(v.args[1], `a tile of ${x}`, isTile(v.args[1].type) && v.args[1].type.scalar === x);
        requireType(v.args[2], `a tile of ${y}`, isTile(v.args[2].type) && v.args[2].type.scalar === y);
        break;
      }
      case 'reduceAdd':
      case 'reduceMul':
      case 'reduceMin':
      case 'reduceMax':
        if (scalar === 'bool' || isStorageOnly(scalar)) fail(`${v.op} on ${scalar}`);
        requireType(v, 'a scalar', lanes === 1 && v.args[0].type.scalar === scalar);
        break;
      case 'load':
      case 'gather': {
        if (v.memory === undefined) return fail(`${v.op} without memory`);
        access(v.memory, v.args[0], 'read', v.op === 'gather' ? lanes : 1);
        if (v.memory.element !== scalar) fail(`${v.op} of ${v.memory.element} as ${scalar}`);
        mask(v.args[1], lanes);
        break;
      }
      case 'loopVariable':
      case 'carried':
      case 'result':
        fail(`${v.op} outside a loop header`);
        break;
      default:
        v.op satisfies never;
    }
    visible.add(v);
  };
  const statement = (s: Statement): void => {
    if (s.kind !== 'let' || s.value.op !== 'const') line++;
    switch (s.kind) {
      case 'let':
        define(s.value);
        return;
      case 'store':
        seen(s.index, 'index');
        seen(s.value, 'stored value');
        access(s.memory, s.index, 'write', 1);
        if (s.value.type.scalar !== s.memory.element)
          fail(`a store of ${typeName(s.value.type)} into ${s.memory.element}`);
        if (s.mask !== null && isTile(s.value.type)) fail('a masked store of a tile');
        mask(s.mask, s.value.type.lanes);
        return;
      case 'scatter':
        seen(s.indices, 'index');
        seen(s.value, 'stored value');
        access(s.memory, s.indices, 'write', s.value.type.lanes);
        if (s.value.type.scalar !== s.memory.element)
          fail(`a scatter of ${typeName(s.value.type)} into ${s.memory.element}`);
        mask(s.mask, s.value.type.lanes);
        return;
      case 'prefetch':
        seen(s.index, 'index');
        access(s.memory, s.index, 'prefetch', 1);
        return;
      case 'for': {
        seen(s.start, 'loop start');
        seen(s.end, 'loop end');
        for (const bound of [s.start, s.end])
          if (bound.type !== valueType('index')) fail(`loop bound has type ${typeName(bound.type)}`);
        if (!Number.isInteger(s.step) || s.step <= 0) fail(`loop step ${s.step}`);
        s.carried.forEach((c) => {
          seen(c.initial, 'initial value');
          if (c.initial.type !== c.inner.type)
            fail(`carried value of type ${typeName(c.inner.type)} starts with ${typeName(c.initial.type)}`);
        });
        const inner = [s.variable, ...s.carried.map((c) => c.inner)];
        inner.forEach((v) => visible.add(v));
        block(s.body, () =>
          s.carried.forEach((c) => {
            seen(c.next, 'carried value');
            if (c.next.type !== c.inner.type)
              fail(`carried value changes from ${typeName(c.inner.type)} to ${typeName(c.next.type)}`);
          }),
        );
        line += s.carried.length > 0 ? 2 : 1;
        inner.forEach((v) => visible.delete(v));
        s.carried.forEach((c) => visible.add(c.result));
        return;
      }
      case 'if':
        seen(s.condition, 'condition');
        if (s.condition.type !== valueType('bool')) fail(`condition has type ${typeName(s.condition.type)}`);
        block(s.then);
        line++;
        if (s.otherwise === null) return;
        block(s.otherwise);
        line++;
        return;
      default:
        s satisfies never;
    }
  };
  const block = (b: Block, atEnd?: () => void): void => {
    b.statements.forEach(statement);
    atEnd?.();
    for (const s of b.statements) {
      if (s.kind === 'let') visible.delete(s.value);
      if (s.kind === 'for') s.carried.forEach((c) => visible.delete(c.result));
    }
  };
  for (const memory of memories)
    if (memory.element === 'index') fail(`memory ${memory.name} of index elements: use i32 or i64`);
  for (const p of kernel.parameters)
    if (p.kind === 'scalar' && isStorageOnly(p.type)) fail(`scalar parameter ${p.name} of ${p.type}: pass an f32`);
  const bytes = kernel.locals.reduce((sum, local) => sum + local.length * 8, 0);
  if (bytes > MAX_LOCAL_BYTES) fail(`${bytes} bytes of locals, at most ${MAX_LOCAL_BYTES}`);
  for (const { name, element, length, access: mode, contents } of kernel.constants) {
    if (mode !== 'read') fail(`constant ${name} is not read-only`);
    if (!Number.isInteger(length) || contents?.length !== length * SCALARS[element].bytes)
      fail(`constant ${name} of ${length} elements of ${element} has ${contents?.length ?? 0} bytes`);
  }
  const constants = kernel.constants.reduce((sum, { contents }) => sum + (contents?.length ?? 0), 0);
  if (constants > MAX_CONSTANT_BYTES) fail(`${constants} bytes of constants, at most ${MAX_CONSTANT_BYTES}`);
  block(kernel.body);
}

function operands({ op, args }: Value): number {
  if (isGiven(op)) return 0;
  if (isUnary(op) || isHorizontal(op)) return 1;
  if (isBinary(op) || isComparison(op)) return 2;
  switch (op) {
    case 'iota':
      return 0;
    case 'cast':
    case 'bitcast':
    case 'splat':
    case 'extract':
      return 1;
    case 'shuffle':
      return 2;
    case 'mulAdd':
    case 'select':
    case 'dot4':
    case 'tileDot':
      return 3;
    case 'load':
    case 'gather':
      return args.length === 2 ? 2 : 1;
    default:
      return op satisfies never;
  }
}

function safePrint(kernel: Kernel): string {
  try {
    return printKernel(kernel);
  } catch {
    return '';
  }
}
