/** The program that a conversion aims at: the scheme of each tensor, and the IL after all passes. */
import { ProjError } from '@proj/kernel';
import { expectedTensors, type Gemma2Config } from '@proj/quant-jit/gemma2';
import {
  buildGemma2,
  type CacheScheme,
  type ConstantDeclaration,
  type Mode,
  type NativeCodeILNN,
  optimise,
} from '@proj/quant-jit/il';
import { type ActivationScheme, type SchemeName, SCHEMES } from '@proj/quant-jit/quantize';

/** How a model is converted, apart from how its weights are rounded. */
export interface ProgramSettings {
  readonly scheme: SchemeName;
  /** Of the embedding table (and of the output, which is the same table in Gemma 2). */
  readonly embeddingScheme?: SchemeName;
  readonly kvCache: CacheScheme;
  readonly mode: Mode;
  readonly activation?: ActivationScheme;
  /** Longest context. */
  readonly positions?: number;
  /** Schemes of single tensors, which come before `scheme`. */
  readonly mix?: ReadonlyMap<string, SchemeName>;
}

const TABLES = ['model.embed_tokens.weight', 'lm_head.weight'];

/** Embeddings below 4 bits ruin a model and save little: they stay at 8 bits unless asked for. */
export const defaultEmbeddingScheme = (scheme: SchemeName): SchemeName => (SCHEMES[scheme].bits < 4 ? 'q8' : scheme);

/** The scheme of each weight matrix. */
export function schemesOf({ scheme, embeddingScheme, mix }: ProgramSettings): (tensor: string) => SchemeName {
  const table = embeddingScheme ?? defaultEmbeddingScheme(scheme);
  return (tensor) => mix?.get(tensor) ?? (TABLES.includes(tensor) ? table : scheme);
}

/** The optimised program of one step. */
export function programOf(config: Gemma2Config, settings: ProgramSettings): NativeCodeILNN {
  const { kvCache, mode, activation, positions } = settings;
  if (positions !== undefined && positions > config.maxPositionEmbeddings)
    throw new ProjError(
      'invalid-argument',
      `--context: ${positions} positions, the model was made for ${config.maxPositionEmbeddings}`,
      { cure: 'Give at most that' },
    );
  const model = buildGemma2(config, schemesOf(settings), {
    kvCache,
    mode,
    ...(activation === undefined ? {} : { activation }),
    ...(positions === undefined ? {} : { positions }),
  });
  return model.with(optimise(model.program));
}

/** Rows and columns of a constant as the file has them: a vector is one row. */
export function shapeOf({ type: { shape } }: ConstantDeclaration): { readonly rows: number; readonly columns: number } {
  return shape.length === 1 ? { rows: 1, columns: shape[0] } : { rows: shape[0], columns: shape[1] };
}

/** Weights of a model, vectors counted. */
export function weightCount(config: Gemma2Config): number {
  let sum = 0;
  for (const shape of expectedTensors(config).values()) sum += shape.reduce((product, size) => product * size, 1);
  return sum;
}
