/**
 * The interpreter: the oracle that compiled programs are compared with, and the fallback where nothing can be compiled. It runs a program line by line, step
 * after step, and shows every value on the way.
 */
import { ProjError } from '@proj/kernel';
import type { ConstantSource } from './constants.ts';
import type { AttributesOf, IlOp, Program } from './il.ts';
import { checkContext, type LayerCache } from './interpreter/attention.ts';
import { MEANINGS, type State } from './interpreter/operations.ts';
import type { FloatValue, IlValue } from './interpreter/values.ts';
import type { NativeCodeILNN } from './native-code-ilnn.ts';

/** Told of each value as it is computed. */
export type Observer = (name: string, value: IlValue) => void;

/** Runs a program step by step, keeping the caches between steps. */
export class Interpreter {
  readonly #program: Program;
  readonly #positions: number;
  readonly #source: ConstantSource;
  readonly #caches = new Map<number, LayerCache>();
  readonly #constants = new Map<string, IlValue>();
  #position = 0;

  constructor({ program, config }: NativeCodeILNN, source: ConstantSource) {
    this.#program = program;
    this.#positions = config.positions;
    this.#source = source;
  }

  /** Position of the next token. */
  get position(): number {
    return this.#position;
  }

  /** Forgets everything after `position`. */
  rewind(position = 0): void {
    if (!Number.isSafeInteger(position) || position < 0 || position > this.#position)
      throw new ProjError('index-out-of-range', `position ${position} of ${this.#position}`, {
        op: 'rewind',
        cure: 'Go back to a position that was reached',
      });
    this.#position = position;
    for (const cache of this.#caches.values()) cache.truncate(position);
  }

  /**
   * One step: tokens, or rows of floats where the program loads those. Gives what the program stores, in order.
   *
   * @throws ProjError `invalid-argument` for an input of the wrong length, `index-out-of-range` for a token that is not in the vocabulary or a full context.
   */
  step(input: ArrayLike<number>, observe?: Observer): readonly FloatValue[] {
    const tokens = this.#tokensOf(input.length);
    checkContext(this.#position, tokens, this.#positions);
    const state: State = {
      source: this.#source,
      caches: this.#caches,
      position: this.#position,
      tokens,
      input,
      stored: [],
    };
    try {
      this.#run(state, observe);
    } catch (error) {
      // A step that fails half way leaves no trace in the caches.
      for (const cache of this.#caches.values()) cache.truncate(this.#position);
      throw error;
    }
    this.#position += tokens;
    return state.stored;
  }

  #run(state: State, observe: Observer | undefined): void {
    const values = new Map<string, IlValue>();
    const lastUse = new Map<string, number>();
    this.#program.instructions.forEach(({ operands }, i) => operands.forEach((operand) => lastUse.set(operand, i)));
    this.#program.instructions.forEach((instruction, i) => {
      const operands = instruction.operands.map((operand) => values.get(operand) ?? missing(operand));
      const known = instruction.op === 'const' ? this.#constants.get(instruction.results[0].name) : undefined;
      // The table's row and the attributes are of the same operation.
      const meaning = MEANINGS[instruction.op] as (typeof MEANINGS)[IlOp] & ((...all: unknown[]) => readonly IlValue[]);
      const given =
        known === undefined
          ? meaning(operands, instruction.attributes as AttributesOf[IlOp] & never, state, instruction.results)
          : [known];
      instruction.results.forEach(({ name }, r) => {
        values.set(name, given[r]);
        if (instruction.op === 'const') this.#constants.set(name, given[r]);
        else observe?.(name, given[r]);
      });
      for (const operand of instruction.operands) if (lastUse.get(operand) === i) values.delete(operand);
    });
  }

  #tokensOf(length: number): number {
    const load = this.#program.instructions.find(({ op }) => op === 'load_input');
    const columns = load?.op === 'load_input' && load.attributes.columns > 0 ? load.attributes.columns : 1;
    if (length === 0 || length % columns !== 0)
      throw new ProjError('invalid-argument', `an input of ${length} numbers is not whole tokens of ${columns}`, {
        op: 'interpret',
        cure: columns === 1 ? 'Give at least one token' : `Give rows of ${columns} numbers`,
      });
    return length / columns;
  }
}

function missing(operand: string): never {
  throw new ProjError('kernel-verification', `%${operand} has no value`, {
    op: 'interpret',
    cure: 'Verify the program',
  });
}

/** All values of one step by name, for comparisons. */
export function valuesOf(interpreter: Interpreter, input: ArrayLike<number>): Map<string, IlValue> {
  const values = new Map<string, IlValue>();
  interpreter.step(input, (name, value) => values.set(name, value));
  return values;
}
