/** The printed form of a kernel: canonical (values are numbered in order of appearance, constants are written out), so that equal text means equal kernels. */
import type { Block, Kernel, Memory, Statement, Value } from './ir.ts';
import { typeName } from './types.ts';

const HEXADECIMAL = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** Two digits a byte. */
export function toHexadecimal(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += HEXADECIMAL[byte];
  return text;
}

/** The kernel as text, a statement a line; the verifier's errors count these lines. */
export function printKernel(kernel: Kernel): string {
  const numbers = new Map<Value, number>();
  const name = (value: Value): string => {
    let n = numbers.get(value);
    if (n === undefined) numbers.set(value, (n = numbers.size));
    return `%${n}`;
  };
  const operand = (value: Value): string => {
    if (value.op !== 'const') return name(value);
    const text = Object.is(value.constant, -0) ? '-0' : String(value.constant);
    return `${typeName(value.type)} ${text}`;
  };
  const list = (values: readonly Value[]): string => values.map(operand).join(', ');
  const at = (memory: Memory, index: Value): string => `${memory.name}[${operand(index)}]`;
  const masked = (mask: Value | null | undefined): string =>
    mask === null || mask === undefined ? '' : ` where ${operand(mask)}`;
  const lines: string[] = [];

  const define = (value: Value): string => {
    const left = `${name(value)}: ${typeName(value.type)} = ${value.op}`;
    if (value.parameter !== undefined) return `${left} ${value.parameter.name}`;
    if (value.builtin !== undefined) return `${left} ${value.builtin}`;
    if (value.memory !== undefined) return `${left} ${at(value.memory, value.args[0])}${masked(value.args[1])}`;
    if (value.lane !== undefined) return `${left} ${list(value.args)} @${value.lane}`;
    if (value.pattern !== undefined) return `${left} ${list(value.args)} [${value.pattern.join(' ')}]`;
    return `${left} ${list(value.args)}`.trimEnd();
  };

  const statement = (s: Statement, indent: string): void => {
    switch (s.kind) {
      case 'let':
        if (s.value.op !== 'const') lines.push(indent + define(s.value));
        return;
      case 'store':
        lines.push(`${indent}${at(s.memory, s.index)} = ${operand(s.value)}${masked(s.mask)}`);
        return;
      case 'scatter':
        lines.push(`${indent}scatter ${at(s.memory, s.indices)} = ${operand(s.value)}${masked(s.mask)}`);
        return;
      case 'prefetch':
        lines.push(`${indent}prefetch${s.level === 1 ? '' : s.level} ${at(s.memory, s.index)}`);
        return;
      case 'for': {
        const carried = s.carried.map((c) => `${name(c.inner)}: ${typeName(c.inner.type)} = ${operand(c.initial)}`);
        lines.push(
          `${indent}for ${name(s.variable)} = ${operand(s.start)} to ${operand(s.end)} step ${s.step}${carried.length === 0 ? '' : ` carrying ${carried.join(', ')}`} {`,
        );
        block(s.body, `${indent}  `);
        if (s.carried.length > 0) lines.push(`${indent}  next ${list(s.carried.map((c) => c.next))}`);
        lines.push(
          `${indent}}${s.carried.length === 0 ? '' : ` giving ${s.carried.map((c) => name(c.result)).join(', ')}`}`,
        );
        return;
      }
      case 'if':
        lines.push(`${indent}if ${operand(s.condition)} {`);
        block(s.then, `${indent}  `);
        if (s.otherwise !== null) {
          lines.push(`${indent}} else {`);
          block(s.otherwise, `${indent}  `);
        }
        lines.push(`${indent}}`);
        return;
      default:
        s satisfies never;
    }
  };
  const block = (b: Block, indent: string): void => b.statements.forEach((s) => statement(s, indent));

  const parameters = kernel.parameters.map((p) =>
    p.kind === 'scalar' ? `${p.name}: ${p.type}` : `${p.name}: ${p.access} ${p.element}[]`,
  );
  lines.push(`kernel ${kernel.name}(${parameters.join(', ')}) {`);
  for (const local of kernel.locals) lines.push(`  local ${local.name}: ${local.element}[${local.length}]`);
  for (const { name: title, element, length, contents } of kernel.constants)
    lines.push(`  constant ${title}: ${element}[${length}] = ${toHexadecimal(contents ?? new Uint8Array())}`);
  block(kernel.body, '  ');
  lines.push('}');
  return lines.join('\n');
}
