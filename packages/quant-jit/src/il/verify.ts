/**
 * The verifier: single assignment, scope, operand and result types, attributes, and what no line can know alone (one attention a layer, constants declared
 * once, something stored). Errors name the line of the printed program, header counted.
 */
import { ProjError, toProjError } from '@proj/kernel';
import { attributeProblem, attributeRules } from './attributes.ts';
import type { AttributesOf, AttributeValue, IlOp, Instruction, Layout, Program } from './il.ts';
import { attributeEntries } from './il.ts';
import { printInstruction } from './print.ts';
import { resultTypes, RULES } from './rules.ts';
import { typeText, type ValueType } from './types.ts';

/** Names that values may have. */
export const VALUE_NAME = /^[A-Za-z_][\w.]*$/;

const problem = (message: string, cure: string): ProjError => new ProjError('kernel-verification', message, { cure });

class Scope {
  readonly types = new Map<string, ValueType>();
  /** Layouts of constants. */
  readonly #layouts = new Map<string, Layout>();
  readonly #layers = new Set<number>();
  readonly #tensors = new Set<string>();

  check(instruction: Instruction): void {
    const { op, operands, results } = instruction;
    if (!Object.hasOwn(RULES, op))
      throw problem(`there is no operation "${String(op)}"`, `Operations are ${Object.keys(RULES).join(', ')}`);
    this.#attributes(instruction);
    const types = operands.map((operand) => {
      const type = this.types.get(operand);
      if (type === undefined)
        throw problem(`%${operand} is not given above`, 'Values are read after the line that gives them');
      return type;
    });
    const attributes = instruction.attributes as AttributesOf[IlOp];
    const given = resultTypes<IlOp>(
      op,
      types,
      attributes,
      results.map(({ type }) => type),
    );
    if (given.length !== results.length)
      throw problem(`${op} gives ${given.length} values, not ${results.length}`, 'Name as many results');
    given.forEach((type, i) => {
      const { name, type: declared } = results[i];
      if (typeText(type) !== typeText(declared))
        throw problem(
          `%${name} is declared ${typeText(declared)}, but ${op} gives ${typeText(type)}`,
          `Declare it ${typeText(type)}`,
        );
      this.#define(name, type);
    });
    this.#once(instruction);
    this.#layout(instruction);
  }

  #define(name: string, type: ValueType): void {
    if (!VALUE_NAME.test(name))
      throw problem(`"${name}" is not a name`, 'Use letters, digits, dots and underscores, a letter first');
    if (this.types.has(name)) throw problem(`%${name} is given twice`, 'Each value is assigned once: rename one');
    this.types.set(name, type);
  }

  #attributes(instruction: Instruction): void {
    const rules = attributeRules(instruction.op);
    const given = new Map<string, AttributeValue>(attributeEntries(instruction));
    for (const [key, rule] of Object.entries(rules)) {
      const wrong = attributeProblem(rule, given.get(key));
      if (wrong !== undefined) throw problem(`attribute ${key} of ${instruction.op} ${wrong}`, 'Correct the attribute');
    }
    for (const key of given.keys())
      if (!Object.hasOwn(rules, key))
        throw problem(
          `${instruction.op} has no attribute ${key}`,
          `Its attributes are ${Object.keys(rules).join(', ') || 'none'}`,
        );
  }

  /** Pairs are for gates, and gates read nothing else. */
  #layout({ op, operands, results, attributes }: Instruction): void {
    if (op === 'const') this.#layouts.set(results[0].name, attributes.layout);
    for (const operand of operands) {
      const layout = this.#layouts.get(operand);
      if (layout === undefined || layout === 'any' || (layout === 'pairs') === (op === 'gated_linear')) continue;
      throw problem(`${op} reads %${operand}, which lies in ${layout}`, 'Let the pass choose-layouts choose');
    }
  }

  #once(instruction: Instruction): void {
    if (instruction.op === 'attention') {
      const { layer } = instruction.attributes;
      if (this.#layers.has(layer))
        throw problem(`layer ${layer} has two attentions`, 'A cache belongs to one attention: number them apart');
      this.#layers.add(layer);
    }
    if (instruction.op === 'const') {
      const { name } = instruction.attributes;
      if (this.#tensors.has(name))
        throw problem(`the tensor "${name}" is declared twice`, 'Use the first value in both places');
      this.#tensors.add(name);
    }
  }
}

/** Checks a program. @throws ProjError `kernel-verification`: the line, its text, what is wrong with it, and the cure. */
export function verify(program: Program): void {
  const scope = new Scope();
  let inputs = 0;
  let stores = 0;
  program.instructions.forEach((instruction, i) => {
    try {
      scope.check(instruction);
      if (instruction.op === 'load_input' && ++inputs > 1) throw problem('there are two inputs', 'Load the input once');
      if (instruction.op === 'store') stores++;
    } catch (error) {
      const { message, cure } = toProjError(error);
      const text = cure === undefined ? message : message.slice(0, -(cure.length + 2));
      throw new ProjError('kernel-verification', `line ${i + 2} "${shown(instruction)}": ${text}`, {
        op: 'verify',
        cure,
        cause: error,
      });
    }
  });
  if (stores === 0)
    throw new ProjError('kernel-verification', 'the program stores nothing', {
      op: 'verify',
      cure: 'End it with store %result',
    });
}

function shown(instruction: Instruction): string {
  return Object.hasOwn(RULES, instruction.op) ? printInstruction(instruction) : String(instruction.op);
}
