/**
 * IL-NN: the program of a model. Static single assignment, typed, one operation a line; every operation has its row in the tables of `rules.ts` (types),
 * `interpreter/` (meaning) and `docs/brain-blitz.md`. A program is plain data: names refer to values, so that it prints, parses and compares as text.
 *
 * Terms: a *step* is one run of the program over T tokens (a chunk of the prompt, or one token of decoding); the *cache* holds keys and values of the steps before.
 */
import type { LutName } from '../quantize/lut.ts';
import type { ActivationScheme } from '../quantize/scheme.ts';
import type { ValueType } from './types.ts';

/** How a function is computed: exactly, by tables (`Mode::Data`), or by integer shortcuts (`Mode::Logic`). */
export type Mode = 'exact' | 'data' | 'logic';

/** The modes by the names of the design: `Mode.Data`, `Mode.Logic`. */
export const Mode = { Exact: 'exact', Data: 'data', Logic: 'logic' } as const;

/** How the cache holds keys and values: floats, or int8 with one f32 scale for each position and head. */
export type CacheScheme = 'f32' | 'q8';

/**
 * How the rows of a constant lie in memory. `rows`: one after the other (floats); `panels`: 16 at a time (codes); `pairs`: 16 rows of its first half, then 16 of its
 * second, and so on, so that a kernel has both sides of a gate in registers; `any`: not chosen yet. It changes where a row is read, never what a line means.
 */
export type Layout = 'any' | 'rows' | 'panels' | 'pairs';

export interface AttentionAttributes {
  readonly layer: number;
  readonly heads: number;
  readonly kv_heads: number;
  readonly head_dim: number;
  readonly scale: number;
  /** Soft-cap of the scores; 0: none. */
  readonly cap: number;
  /** Positions that a query sees, its own counted; 0: all. */
  readonly window: number;
  readonly cache: CacheScheme;
  readonly mode: Mode;
}

type None = Readonly<Record<never, never>>;

/** What each operation has beside its operands. Keys are as printed. */
export interface AttributesOf {
  /** Columns of a float input; 0: the input is tokens. */
  readonly load_input: { readonly columns: number };
  readonly const: { readonly name: string; readonly parts: readonly string[]; readonly layout: Layout };
  readonly embed: { readonly scale: number };
  readonly norm: { readonly eps: number; readonly mode: Mode };
  readonly quantize: { readonly scheme: ActivationScheme };
  readonly int_dot: None;
  readonly xnor_dot: None;
  readonly scale: None;
  readonly add: None;
  readonly mul: None;
  readonly gelu: None;
  readonly softcap: { readonly cap: number };
  readonly slice: { readonly begin: number; readonly end: number };
  readonly last: None;
  readonly rope: { readonly heads: number; readonly head_dim: number; readonly theta: number };
  readonly attention: AttentionAttributes;
  readonly lut: { readonly function: LutName; readonly lo: number; readonly hi: number; readonly bits: number };
  readonly softmax: { readonly mode: Mode };
  readonly linear: None;
  readonly gated_linear: None;
  readonly norm_quantize: { readonly eps: number; readonly scheme: ActivationScheme; readonly mode: Mode };
  readonly add_norm: { readonly eps: number; readonly mode: Mode };
  readonly add_norm_quantize: { readonly eps: number; readonly scheme: ActivationScheme; readonly mode: Mode };
  readonly store: None;
}

export type IlOp = keyof AttributesOf;

/** The value of an attribute, of whichever operation. */
export type AttributeValue = number | string | readonly string[];

/** A value that an operation gives. */
export interface Result {
  readonly name: string;
  readonly type: ValueType;
}

/** One line of a program. */
export interface InstructionOf<Op extends IlOp> {
  readonly op: Op;
  /** Values that it gives: none for `store`, two for `add_norm_quantize`, otherwise one. */
  readonly results: readonly Result[];
  /** Names of values given above. */
  readonly operands: readonly string[];
  readonly attributes: AttributesOf[Op];
}

/** One line of a program; `op` tells which attributes it has. */
export type Instruction = { readonly [Op in IlOp]: InstructionOf<Op> }[IlOp];

export interface Program {
  readonly instructions: readonly Instruction[];
}

/** The attributes of any instruction as a record. */
export const attributeEntries = (instruction: Instruction): [string, AttributeValue][] =>
  Object.entries(instruction.attributes as Readonly<Record<string, AttributeValue>>);

/** Which instruction gives each value. */
export function definitions(program: Program): Map<string, Instruction> {
  const table = new Map<string, Instruction>();
  for (const instruction of program.instructions)
    for (const { name } of instruction.results) table.set(name, instruction);
  return table;
}

/** The type of each value. */
export function valueTypes(program: Program): Map<string, ValueType> {
  const table = new Map<string, ValueType>();
  for (const { results } of program.instructions) for (const { name, type } of results) table.set(name, type);
  return table;
}

/** The instructions that read each value. */
export function uses(program: Program): Map<string, Instruction[]> {
  const table = new Map<string, Instruction[]>();
  for (const instruction of program.instructions)
    for (const operand of new Set(instruction.operands)) {
      const list = table.get(operand);
      if (list === undefined) table.set(operand, [instruction]);
      else list.push(instruction);
    }
  return table;
}
