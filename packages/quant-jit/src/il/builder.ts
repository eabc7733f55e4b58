/** Writes programs: one method for each operation; types are inferred and checked as lines are added, names are made unique. */
import { ProjError } from '@proj/kernel';
import { withDefaults } from './attributes.ts';
import { ACTIVATIONS } from '../quantize/scheme.ts';
import type { ActivationScheme } from '../quantize/scheme.ts';
import type { AttributesOf, AttributeValue, IlOp, Instruction, Program } from './il.ts';
import { resultTypes } from './rules.ts';
import type { ValueType, WeightType } from './types.ts';

type Given<Op extends IlOp> = Partial<AttributesOf[Op]>;

/** Builds a program line by line. Values are their names. */
export class IlBuilder {
  readonly #instructions: Instruction[] = [];
  readonly #types = new Map<string, ValueType>();
  readonly #constants = new Map<string, string>();
  readonly #quantized = new Map<string, string>();

  /** The type of a value. */
  type(value: string): ValueType {
    const type = this.#types.get(value);
    if (type === undefined)
      throw new ProjError('invalid-argument', `there is no value %${value}`, {
        op: 'IlBuilder',
        cure: 'Use a value that this builder gave',
      });
    return type;
  }

  /** A name that no value has yet: `hint`, or `hint_2` and so on. */
  unique(hint: string): string {
    let name = hint;
    for (let i = 2; this.#types.has(name); i++) name = `${hint}_${i}`;
    return name;
  }

  /** Adds a line; gives the names of its results, which are those asked for or derived from the operation's. */
  emit<Op extends IlOp>(
    op: Op,
    operands: readonly string[],
    given: Given<Op>,
    names: readonly string[] = [],
    declared: readonly ValueType[] = [],
  ): readonly string[] {
    const attributes = withDefaults(op, given as Record<string, AttributeValue>) as unknown as AttributesOf[Op];
    const types = resultTypes(
      op,
      operands.map((operand) => this.type(operand)),
      attributes,
      declared,
    );
    const results = types.map((type, i) => {
      const name = this.unique(names[i] ?? op);
      this.#types.set(name, type);
      return { name, type };
    });
    this.#instructions.push({ op, results, operands, attributes } as Instruction);
    return results.map(({ name }) => name);
  }

  #one<Op extends IlOp>(op: Op, operands: readonly string[], given: Given<Op>, name?: string): string {
    return this.emit(op, operands, given, name === undefined ? [] : [name])[0];
  }

  /** The tokens of the step, or rows of `columns` floats. */
  loadInput(columns = 0, name = columns === 0 ? 'tokens' : 'input'): string {
    return this.#one('load_input', [], { columns }, name);
  }

  /** A tensor of the file; asked for again, the same value. */
  constant(tensor: string, type: WeightType, parts: readonly string[] = []): string {
    const known = this.#constants.get(tensor);
    if (known !== undefined) return known;
    const hint = tensor.replace(/\.weight$/, '').replaceAll(/[^\w.]/g, '_');
    const [name] = this.emit('const', [], { name: tensor, parts }, [hint], [type]);
    this.#constants.set(tensor, name);
    return name;
  }

  embed = (w: string, tokens: string, scale: number, name?: string): string =>
    this.#one('embed', [w, tokens], { scale }, name);
  norm = (x: string, gain: string, given: Given<'norm'>, name?: string): string =>
    this.#one('norm', [x, gain], given, name);
  quantize = (x: string, scheme: ActivationScheme, name?: string): string =>
    this.#one('quantize', [x], { scheme }, name);
  intDot = (xq: string, w: string, name?: string): string => this.#one('int_dot', [xq, w], {}, name);
  xnorDot = (xq: string, w: string, name?: string): string => this.#one('xnor_dot', [xq, w], {}, name);
  scale = (acc: string, xq: string, w: string, name?: string): string => this.#one('scale', [acc, xq, w], {}, name);
  add = (a: string, b: string, name?: string): string => this.#one('add', [a, b], {}, name);
  mul = (a: string, b: string, name?: string): string => this.#one('mul', [a, b], {}, name);
  gelu = (x: string, name?: string): string => this.#one('gelu', [x], {}, name);
  softcap = (x: string, cap: number, name?: string): string => this.#one('softcap', [x], { cap }, name);
  slice = (x: string, begin: number, end: number, name?: string): string =>
    this.#one('slice', [x], { begin, end }, name);
  last = (x: string, name?: string): string => this.#one('last', [x], {}, name);
  rope = (x: string, given: AttributesOf['rope'], name?: string): string => this.#one('rope', [x], given, name);
  attention = (q: string, k: string, v: string, given: Given<'attention'>, name?: string): string =>
    this.#one('attention', [q, k, v], given, name);
  lut = (x: string, given: AttributesOf['lut'], name?: string): string => this.#one('lut', [x], given, name);
  softmax = (x: string, given: Given<'softmax'> = {}, name?: string): string => this.#one('softmax', [x], given, name);
  linear = (x: string, w: string, name?: string): string => this.#one('linear', [x, w], {}, name);
  gatedLinear = (x: string, w: string, name?: string): string => this.#one('gated_linear', [x, w], {}, name);

  /**
   * x · wᵀ in the operations that it is made of: quantize, int_dot or xnor_dot, scale; `linear` where w is f32. `preferred` is the activation scheme, where
   * w's scheme takes it. A value that was quantised before is not quantised again.
   */
  project(x: string, w: string, preferred?: ActivationScheme, name?: string): string {
    const type = this.type(w);
    if (type.kind !== 'weight' || type.scheme === 'f32') return this.linear(x, w, name);
    const allowed = ACTIVATIONS[type.scheme];
    const scheme = preferred !== undefined && allowed.includes(preferred) ? preferred : allowed[0];
    const key = `${x} ${scheme}`;
    const xq = this.#quantized.get(key) ?? this.quantize(x, scheme, `${x}.${scheme}`);
    this.#quantized.set(key, xq);
    const sums =
      scheme === 'a1' ? this.xnorDot(xq, w, name && `${name}.sums`) : this.intDot(xq, w, name && `${name}.sums`);
    return this.scale(sums, xq, w, name);
  }

  store(x: string): void {
    this.emit('store', [x], {});
  }

  /** The program of the lines so far. */
  build(): Program {
    return { instructions: [...this.#instructions] };
  }
}
