/** How much memory a model needs before any of it is taken, so that too little is an error with figures and not a process that ends. */
import { type Device, ProjError } from '@proj/kernel';
import type { ModelFile } from '../file/reader.ts';
import type { NativeCodeILNN } from '../il/native-code-ilnn.ts';
import { planMemory } from '../il/passes/memory.ts';
import { cacheBytes } from '../kernels/attention.ts';
import { PANEL_ROWS } from '../quantize/layout.ts';
import { ATTENTION_TILE, MOST_THREADS } from './lower.ts';
import { rowBytes } from './places.ts';
import type { Residence } from './residence.ts';

const upToPanels = (count: number): number => Math.max(PANEL_ROWS, Math.ceil(count / PANEL_ROWS) * PANEL_ROWS);

/** Memory of one sequence of a program, in bytes. */
export interface SequenceNeed {
  /** Keys and values of all positions. */
  readonly caches: number;
  /** Values of a step of the most tokens. */
  readonly steps: number;
}

/** What a sequence of this program takes, for steps of at most `maxTokens` tokens. */
export function sequenceNeed({ config, program }: NativeCodeILNN, maxTokens: number): SequenceNeed {
  const positions = upToPanels(config.positions);
  let caches = 0;
  /** Query heads that share a key: kernels of each such number have scores of their own. */
  const groups = new Set<number>();
  for (const { op, attributes } of program.instructions) {
    if (op !== 'attention') continue;
    const { heads, kv_heads: kvHeads, head_dim: headDim, cache: scheme } = attributes;
    groups.add(heads / kvHeads);
    caches += cacheBytes({ scheme, kvHeads, headDim, positions }).reduce((sum, bytes) => sum + bytes);
  }
  const arenas = [1, ...(maxTokens > 1 ? [upToPanels(maxTokens)] : [])].map((tokens) => {
    const views = tokens > 1 ? (['slice'] as const) : (['slice', 'last'] as const);
    const { bytesPerToken, fixedBytes } = planMemory(program, { bytes: rowBytes, views });
    return bytesPerToken * tokens + fixedBytes;
  });
  const scores = [...groups].reduce((sum, group) => sum + 4 * ATTENTION_TILE * group * positions * MOST_THREADS, 0);
  return { caches, steps: scores + arenas.reduce((sum, bytes) => sum + bytes) };
}

const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(bytes < 2 ** 24 ? 1 : 0)} MiB`;

/**
 * Throws when there is less memory than the model needs on this device. A mapped file counts for nothing: the system gives up its cache of it when it must.
 *
 * @throws ProjError `out-of-memory` with what is needed for what, and what there is.
 */
export function requireMemory(
  device: Device,
  file: Pick<ModelFile, 'path' | 'bytes'>,
  il: NativeCodeILNN,
  maxTokens: number,
  residence: Residence,
): void {
  const weights = device.mapFile !== undefined && residence !== 'memory' ? 0 : file.bytes;
  const { caches, steps } = sequenceNeed(il, maxTokens);
  const needed = weights + caches + steps;
  const available = process.availableMemory();
  if (needed <= available) return;
  throw new ProjError(
    'out-of-memory',
    `${file.path} needs ${mebibytes(needed)} on device "${device.name}": ${mebibytes(weights)} for weights, ${mebibytes(caches)} for the caches of ` +
      `${il.config.positions} positions, ${mebibytes(steps)} for steps of ${maxTokens} tokens; ${mebibytes(available)} are available`,
    {
      op: 'openModel',
      cure: 'Ask for fewer positions, convert to fewer bits or with a q8 cache, or use the native device, which maps the weights',
    },
  );
}
