/** The printed form of a program: one operation a line, canonical (attributes in table order, defaults left out). `parse.ts` reads it back. */
import { attributeRules, isDefault } from './attributes.ts';
import { attributeEntries } from './il.ts';
import type { AttributeValue, Instruction, Program } from './il.ts';
import { typeText } from './types.ts';

/** Attributes that are written right after the operation, without their name. */
export const LABEL = 'name';

function valueText(value: AttributeValue, quoted: boolean): string {
  if (typeof value === 'number') return Object.is(value, -0) ? '-0' : String(value);
  if (typeof value === 'string') return quoted ? JSON.stringify(value) : value;
  return `[${value.map((part) => JSON.stringify(part)).join(', ')}]`;
}

/** One line: `%y: f32[T, 64] = norm %x, %gain {eps: 0.000001}`. */
export function printInstruction(instruction: Instruction): string {
  const { op, results, operands } = instruction;
  const rules = attributeRules(op);
  const left = results.map(({ name, type }) => `%${name}: ${typeText(type)}`).join(', ');
  const given = new Map(attributeEntries(instruction));
  const shown = [...new Set([...Object.keys(rules), ...given.keys()])].flatMap((key): [string, AttributeValue][] => {
    const value = given.get(key);
    return value === undefined || isDefault(rules[key], value) ? [] : [[key, value]];
  });
  const label = shown.find(([key]) => key === LABEL);
  const braces = shown
    .filter(([key]) => key !== LABEL)
    .map(([key, value]) => `${key}: ${valueText(value, rules[key]?.kind === 'text')}`);
  return [
    left === '' ? op : `${left} = ${op}`,
    label === undefined ? '' : ` ${valueText(label[1], true)}`,
    operands.length === 0 ? '' : ` ${operands.map((operand) => `%${operand}`).join(', ')}`,
    braces.length === 0 ? '' : ` {${braces.join(', ')}}`,
  ].join('');
}

/** The instructions as text, each on its line. */
export const printProgram = (program: Program): string => program.instructions.map(printInstruction).join('\n');

/** The lines of one layer of a model that `buildGemma2` made: those whose values or tensors carry its number. */
export function printLayer(program: Program, layer: number): string {
  const ofLayer = new RegExp(`(?:^|\\.)layers?\\.${layer}\\.|^after_layer\\.${layer}$`);
  return program.instructions
    .filter(({ results }) => results.length > 0 && ofLayer.test(results[0].name))
    .map(printInstruction)
    .join('\n');
}
