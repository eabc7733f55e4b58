/** What passes share: looking values up, counting their uses, replacing instructions, moving constants to the front. */
import { definitions, type Instruction, type InstructionOf, type IlOp, type Program, uses, valueTypes } from '../il.ts';
import type { ValueType } from '../types.ts';

/** A pass: a program to a program that means the same. */
export type Pass = (program: Program) => Program;

/** A program with its values looked up once. */
export class View {
  readonly program: Program;
  readonly #definitions: Map<string, Instruction>;
  readonly #uses: Map<string, Instruction[]>;
  readonly #types: Map<string, ValueType>;

  constructor(program: Program) {
    this.program = program;
    this.#definitions = definitions(program);
    this.#uses = uses(program);
    this.#types = valueTypes(program);
  }

  /** The instruction that gives a value, if its operation is `op`. */
  given<Op extends IlOp>(value: string, op: Op): InstructionOf<Op> | undefined {
    const found = this.#definitions.get(value);
    return found?.op === op ? (found as Instruction as InstructionOf<Op>) : undefined;
  }

  uses(value: string): readonly Instruction[] {
    return this.#uses.get(value) ?? [];
  }

  usedOnce(value: string): boolean {
    return this.uses(value).length === 1;
  }

  type(value: string): ValueType | undefined {
    return this.#types.get(value);
  }

  has(value: string): boolean {
    return this.#definitions.has(value);
  }
}

/** Constants and the input before everything else, in their order. */
export function declarationsFirst({ instructions }: Program): Program {
  const first = ({ op }: Instruction): boolean => op === 'const' || op === 'load_input';
  return { instructions: [...instructions.filter(first), ...instructions.filter((each) => !first(each))] };
}

/** The program with each instruction replaced by what the table holds for it, if anything. */
export const replaced = (
  { instructions }: Program,
  table: ReadonlyMap<Instruction, readonly Instruction[]>,
): Program => ({
  instructions: instructions.flatMap((instruction) => table.get(instruction) ?? [instruction]),
});

/** The program with values read under other names. */
export function renamed({ instructions }: Program, names: ReadonlyMap<string, string>): Program {
  const name = (operand: string): string => {
    let now = operand;
    for (let next = names.get(now); next !== undefined; next = names.get(now)) now = next;
    return now;
  };
  return { instructions: instructions.map((each) => ({ ...each, operands: each.operands.map(name) })) };
}
