/** How much memory a model needs. */
import type { Device } from '@proj/kernel';
import type { ModelFile } from '../file/reader.ts';
import type { NativeCodeILNN } from '../il/native-code-ilnn.ts';
import { planMemory } from '../il/passes/memory.ts';
import { cacheBytes, scoreElements } from '../kernels/attention.ts';
import { requireMemory } from '../memory.ts';
import { PANEL_ROWS } from '../quantize/layout.ts';
import { ATTENTION_TILE, MOST_THREADS } from './lower.ts';
import { batchRows, rowBytes } from './places.ts';
import type { Residence } from './residence.ts';
import { type ProgramShape, shapeOf } from './shape.ts';

const upToPanels = (count: number): number => Math.max(PANEL_ROWS, Math.ceil(count / PANEL_ROWS) * PANEL_ROWS);

/** What a model shall do: sequences that step together, and tokens of a part of a prompt. */
export interface MemoryUse {
  readonly sequences: number;
  readonly maxTokens: number;
}

/** Memory of the sequences of a program, in bytes. */
export interface SequenceNeed {
  /** Keys and values of all positions of all sequences. */
  readonly caches: number;
  /** Values of a step of the most tokens. */
  readonly steps: number;
}

/** What sequences of this program take that step together, for parts of prompts of at most `maxTokens` tokens. */
export function sequenceNeed(
  { config, program }: NativeCodeILNN,
  { sequences = 1, maxTokens }: Partial<MemoryUse> & Pick<MemoryUse, 'maxTokens'>,
): SequenceNeed {
  const positions = upToPanels(config.positions);
  let caches = 0;
  /** Attentions that need as many elements share them. */
  const scores = new Set<number>();
  for (const { op, attributes } of program.instructions) {
    if (op !== 'attention') continue;
    const { heads, kv_heads: kvHeads, head_dim: headDim, cache: scheme } = attributes;
    const cache = { scheme, kvHeads, headDim, positions };
    scores.add(scoreElements({ ...cache, heads, tile: ATTENTION_TILE }));
    caches += cacheBytes(cache).reduce((sum, bytes) => sum + bytes);
  }
  const rowsOfLast = planMemory(program, { bytes: rowBytes, views: ['slice', 'last'] });
  const rowsOfPrompt = planMemory(program, { bytes: rowBytes, views: ['slice'] });
  const arenas = [
    (rowsOfLast.bytesPerToken + rowsOfLast.fixedBytes) * (1 + (sequences > 1 ? batchRows(sequences) : 0)),
    maxTokens > 1 ? rowsOfPrompt.bytesPerToken * upToPanels(maxTokens) + rowsOfPrompt.fixedBytes : 0,
  ];
  const scratch = [...scores].reduce((sum, elements) => sum + 4 * elements * MOST_THREADS, 0);
  return { caches: sequences * caches, steps: scratch + arenas.reduce((sum, bytes) => sum + bytes) };
}

/** All that is asked of a program before it is lowered. */
export interface ProgramFacts extends ProgramShape {
  readonly need: SequenceNeed;
}

export const factsOf = (il: NativeCodeILNN, use: MemoryUse): ProgramFacts => ({
  ...shapeOf(il),
  need: sequenceNeed(il, use),
});

/**
 * Throws when there is less memory than the model needs on this device. A mapped file counts for nothing: the system gives up its cache of it when it must.
 *
 * @throws ProjError `out-of-memory` with what is needed for what, and what there is.
 */
export function requireModelMemory(
  device: Device,
  file: Pick<ModelFile, 'path' | 'bytes'>,
  { positions, need: { caches, steps } }: ProgramFacts,
  residence: Residence,
  { sequences, maxTokens }: MemoryUse,
): void {
  const times = sequences === 1 ? '' : ` in ${sequences} sequences`;
  requireMemory(
    `${file.path} on device "${device.name}"`,
    {
      weights: device.mapFile !== undefined && residence !== 'memory' ? 0 : file.bytes,
      [`the caches of ${positions} positions${times}`]: caches,
      [`steps of ${maxTokens} tokens`]: steps,
    },
    {
      op: 'openModel',
      cure: 'Ask for fewer positions or sequences, convert to fewer bits or with a q8 cache, or use the native device, which maps the weights',
    },
  );
}
