/** A converted file, opened to run: its program, tokenizer and weights, and decoders that share the weights. */
import { closeSync, openSync, readSync } from 'node:fs';
import { type Device, defaultDevice, type DeviceBuffer, ProjError, setDefaultDevice } from '@proj/kernel';
import { type ModelFile, openModelFile, readTextAttachment } from '@proj/quant-jit/file';
import { type Gemma2Config, GemmaTokenizer, parseGemma2Config, type TokenizerConfig } from '@proj/quant-jit/gemma2';
import { NativeCodeILNN } from '@proj/quant-jit/il';
import { CompiledNativeILNN, type ModelWeights } from '@proj/quant-jit/jit';
import type { ConversionRecord } from '../conversion/convert.ts';
import { bytesText } from '../reporting/table.ts';

/** What a converted file says of itself. */
export interface Description {
  readonly file: ModelFile;
  readonly config: Gemma2Config;
  readonly il: NativeCodeILNN;
  readonly record: ConversionRecord;
  readonly tokenizer: GemmaTokenizer;
}

/** A description with the weights on a device. */
export interface OpenedModel extends Description {
  readonly device: Device;
  readonly weights: ModelWeights;
  /** From the call to weights in place, checks counted. */
  readonly loadMs: number;
}

/** Where and how a model runs. */
export interface OpenSettings {
  readonly device?: string | undefined;
  readonly threads?: number | undefined;
  readonly onMessage?: (text: string) => void;
}

/** Reads what a converted file says of itself, every checksum checked the first time that this machine sees it. */
export async function describe(path: string, onMessage?: (text: string) => void): Promise<Description> {
  let told = false;
  const file = await openModelFile(path, {
    onProgress: () => {
      if (!told) onMessage?.('checking the file, as it is the first time here');
      told = true;
    },
  });
  const json = (name: string): unknown => JSON.parse(readTextAttachment(file, name));
  const tokenizer = new GemmaTokenizer(
    json('tokenizer.json') as object,
    json('tokenizer_config.json') as TokenizerConfig,
  );
  const { conversion } = file.metadata;
  if (conversion === undefined)
    throw new ProjError('serialization', `${path}: it does not say how it was converted`, {
      op: 'open',
      cure: 'Convert the model with this program',
    });
  return {
    file,
    config: parseGemma2Config(file.config, path),
    il: NativeCodeILNN.parse(file.il),
    record: JSON.parse(conversion) as ConversionRecord,
    tokenizer,
  };
}

/** Makes the named device the default, with the threads asked for. */
export function useDevice({ device, threads }: OpenSettings): Device {
  if (device !== undefined) setDefaultDevice(device);
  const chosen = defaultDevice();
  if (threads !== undefined) chosen.setThreads(threads);
  return chosen;
}

/** Opens a converted file to run. */
export async function openConverted(path: string, settings: OpenSettings = {}): Promise<OpenedModel> {
  const started = performance.now();
  const description = await describe(path, settings.onMessage);
  const device = useDevice(settings);
  const weights = readWeights(device, description.file);
  return { ...description, device, weights, loadMs: performance.now() - started };
}

function readWeights(device: Device, file: ModelFile): ModelWeights {
  const needed = file.bytes - file.dataStart;
  const available = process.availableMemory();
  if (needed > available)
    throw new ProjError(
      'out-of-memory',
      `${file.path} needs ${bytesText(needed)} for its weights, ${bytesText(available)} are available`,
      { op: 'open', cure: 'Close other programs, or convert the model to fewer bits' },
    );
  const buffer: DeviceBuffer = device.allocate(needed);
  const descriptor = openSync(file.path, 'r');
  try {
    const part = new Uint8Array(Math.min(needed, 16 << 20));
    for (let at = 0; at < needed;) {
      const count = readSync(descriptor, part, 0, Math.min(part.length, needed - at), file.dataStart + at);
      if (count === 0) throw new ProjError('io', `${file.path} became shorter while it was read`, { op: 'open' });
      device.write(buffer, at, part.subarray(0, count));
      at += count;
    }
  } finally {
    closeSync(descriptor);
  }
  return {
    place(name) {
      const record = file.tensors.get(name);
      if (record === undefined)
        throw new ProjError('serialization', `${file.path} has no tensor "${name}"`, {
          op: 'open',
          cure: 'Convert the model again',
        });
      return { buffer, offset: record.offset - file.dataStart };
    },
  };
}

/** What a decoder is made for. */
export interface DecoderSettings {
  /** Longest context (default: the model's). */
  readonly positions?: number | undefined;
  /** Tokens of a prompt that are taken at once. */
  readonly maxTokens?: number | undefined;
}

/** The program with room for fewer positions. */
export function withPositions(il: NativeCodeILNN, positions: number | undefined): NativeCodeILNN {
  if (positions === undefined || positions === il.config.positions) return il;
  if (positions > il.config.positions)
    throw new ProjError(
      'invalid-argument',
      `--context: ${positions} positions, the file was converted for ${il.config.positions}`,
      { cure: 'Give at most that, or convert the model with a longer --context' },
    );
  return new NativeCodeILNN({ ...il.config, positions }, il.program);
}

/** Compiled code with caches of its own, for one sequence at a time. */
export function makeDecoder(
  { il, device, weights }: OpenedModel,
  { positions, maxTokens = 128 }: DecoderSettings = {},
): CompiledNativeILNN {
  const program = withPositions(il, positions);
  return new CompiledNativeILNN(program, { device, weights, maxTokens: Math.min(maxTokens, program.config.positions) });
}

/** Bytes that the caches of one sequence take. */
export function cacheBytes({ program, config }: NativeCodeILNN, positions = config.positions): number {
  return program.instructions.reduce((sum, instruction) => {
    if (instruction.op !== 'attention') return sum;
    const { kv_heads: heads, head_dim: width, cache } = instruction.attributes;
    return sum + 2 * positions * heads * (cache === 'f32' ? 4 * width : width + 4);
  }, 0);
}
