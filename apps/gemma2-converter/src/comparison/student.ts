/** A converted model as comparisons see it: the residual stream after each layer, and the logits of every token. */
import { expectedTensors } from '@proj/quant-jit/gemma2';
import { buildGemma2, type Instruction, type NativeCodeILNN, optimise } from '@proj/quant-jit/il';
import { CompiledNativeILNN, packWeights } from '@proj/quant-jit/jit';
import type { SchemeName } from '@proj/quant-jit/quantize';
import type { ConversionRecord } from '../conversion/convert.ts';
import { FileConstants } from '../model/constants.ts';
import { type OpenedModel, recordOf } from '../model/open.ts';

/** The schemes that a converted program has, by tensor of the model. */
export function schemesOfProgram(il: NativeCodeILNN): (tensor: string) => SchemeName {
  const schemes = new Map<string, SchemeName>();
  for (const { name, parts, type } of il.constants)
    for (const tensor of parts.length === 0 ? [name] : parts) schemes.set(tensor, type.scheme);
  return (tensor) => schemes.get(tensor) ?? 'f32';
}

/** The program of a converted model, before the passes. */
export function unfusedProgram(
  { config, il }: Pick<OpenedModel, 'config' | 'il'>,
  { kvCache, mode, activation }: ConversionRecord,
  logits: 'all' | 'last' = 'last',
): NativeCodeILNN {
  return buildGemma2(config, schemesOfProgram(il), {
    kvCache,
    mode,
    logits,
    positions: il.config.positions,
    ...(activation === null ? {} : { activation }),
  });
}

/** Values of one window: hidden states after each layer, then logits, row by row. */
export interface StudentValues {
  readonly layers: readonly Float32Array[];
  readonly logits: Float32Array;
}

/** Runs windows of at most `window` tokens. */
export class Student {
  readonly #compiled: CompiledNativeILNN;

  constructor(model: OpenedModel, window: number) {
    const { config, il, file, device } = model;
    const base = unfusedProgram(model, recordOf(model), 'all');
    const instructions = base.program.instructions.flatMap((instruction): readonly Instruction[] => {
      const stores = instruction.results
        .filter(({ name }) => /^after_layer\.\d+$/.test(name))
        .map(({ name }): Instruction => ({ op: 'store', results: [], operands: [name], attributes: {} }));
      return [instruction, ...stores];
    });
    const program = base.with(optimise({ instructions }));
    const shapes = expectedTensors(config);
    const source = new FileConstants(file, il, (tensor) => shapes.get(tensor)?.[0] ?? 0);
    const weights = packWeights(device, program, source);
    this.#compiled = new CompiledNativeILNN(program, { device, weights, maxTokens: window });
  }

  run(window: readonly number[]): StudentValues {
    this.#compiled.reset();
    const values = this.#compiled.call(window);
    return { layers: values.slice(0, -1), logits: values[values.length - 1] };
  }

  dispose(): void {
    this.#compiled.dispose();
  }
}
