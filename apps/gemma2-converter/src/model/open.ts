/** A converted file, opened: what it says of itself, and sequences that share its weights. */
import { availableParallelism } from 'node:os';
import { attempt, type Device, defaultDevice, ProjError, setDefaultDevice } from '@proj/kernel';
import { type ModelFile, readModelHeader, readTextAttachment } from '@proj/quant-jit/file';
import { type Gemma2Config, GemmaTokenizer, parseGemma2Config, type TokenizerConfig } from '@proj/quant-jit/gemma2';
import type { NativeCodeILNN } from '@proj/quant-jit/il';
import { CompiledNativeILNN, type LoadedModel, openModel, programOfFile, type StepModel } from '@proj/quant-jit/jit';
import type { ConversionRecord } from '../conversion/convert.ts';

/** What a converted file says of itself. */
export interface Description {
  readonly file: ModelFile;
  readonly config: Gemma2Config;
  readonly il: NativeCodeILNN;
}

/** A description with the weights on a device. */
export interface OpenedModel extends Description {
  readonly loaded: LoadedModel;
  /** The device that compiled code runs on; the default one where the interpreter runs the model. */
  readonly device: Device;
  /** What it runs on, for people. */
  readonly deviceText: string;
  /** From the call to a model that can be fed, in milliseconds, code included; `compileMs` is that of the code. */
  readonly loadMs: number;
  readonly compileMs: number;
}

/** Where and how a model runs. */
export interface OpenSettings {
  readonly device?: 'native' | 'wasm' | 'js' | 'interpreter' | undefined;
  readonly threads?: number | undefined;
  /** Longest context (default: as converted). */
  readonly positions?: number | undefined;
  /** Tokens of a prompt that are taken in one step. */
  readonly maxTokens?: number | undefined;
  /** Sequences there must be room for (default 1). */
  readonly sequences?: number;
  readonly onMessage?: (text: string) => void;
}

/** The header of a converted file. */
export function describe(path: string): Description {
  const file = readModelHeader(path);
  return { file, config: parseGemma2Config(file.config, path), il: programOfFile(file) };
}

/** The tokenizer inside a converted file. @throws ProjError `serialization` for a file without one. */
export function tokenizerOf({ file }: Pick<Description, 'file'>): GemmaTokenizer {
  const json = (name: string): unknown => {
    const read = attempt(() => JSON.parse(readTextAttachment(file, name)) as unknown);
    if (read.ok && typeof read.value === 'object' && read.value !== null) return read.value;
    throw new ProjError(
      'serialization',
      `${file.path}: "${name}" in it: ${read.ok ? 'not an object' : read.error.message}`,
      { op: 'open', cure: 'Convert the model again' },
    );
  };
  return new GemmaTokenizer(
    json('tokenizer.json') as object,
    json('tokenizer_config.json') as TokenizerConfig,
    file.path,
  );
}

/** How a file was converted. @throws ProjError `serialization` for a file of other origin. */
export function recordOf({ file }: Pick<Description, 'file'>): ConversionRecord {
  const read = attempt(() => JSON.parse(file.metadata['conversion'] ?? 'null') as Partial<ConversionRecord> | null);
  if (read.ok && Array.isArray(read.value?.stopTokens)) return read.value as ConversionRecord;
  throw new ProjError('serialization', `${file.path}: it does not say how it was converted`, {
    op: 'open',
    cure: 'Convert the model with this program',
  });
}

/** Makes the named device the default one of tensors, with the threads asked for. */
export function useDevice({ device, threads }: OpenSettings): Device {
  if (device !== undefined && device !== 'interpreter') setDefaultDevice(device);
  const chosen = defaultDevice();
  if (threads !== undefined) chosen.setThreads(threads);
  return chosen;
}

/** Opens a converted file to run. @throws ProjError `out-of-memory` with what is needed and what there is. */
export async function openConverted(path: string, settings: OpenSettings = {}): Promise<OpenedModel> {
  const { device, threads, positions, maxTokens, sequences, onMessage } = settings;
  const started = performance.now();
  const description = describe(path);
  const { il } = description;
  checkSettings(settings, il);
  let told = false;
  const loaded = await openModel(path, {
    device: device ?? 'auto',
    ...(threads === undefined ? {} : { threads }),
    ...(positions === undefined ? {} : { positions }),
    ...(maxTokens === undefined ? {} : { maxTokens }),
    ...(sequences === undefined ? {} : { sequences }),
    log: (message) => onMessage?.(message),
    onProgress: () => {
      if (!told) onMessage?.('checking every byte, as the file is new here');
      told = true;
    },
  });
  const { device: chosen } = loaded.choice;
  return {
    ...description,
    il: loaded.il,
    loaded,
    device: chosen ?? defaultDevice(),
    deviceText: chosen === null ? 'the interpreter' : `${chosen.name}: ${chosen.features.description}`,
    loadMs: performance.now() - started,
    compileMs: loaded.times.compile,
  };
}

function checkSettings({ positions, threads }: OpenSettings, il: NativeCodeILNN): void {
  if (positions !== undefined && positions > il.config.positions)
    throw new ProjError(
      'invalid-argument',
      `--context: ${positions} positions, the file was converted for ${il.config.positions}`,
      {
        cure: 'Give at most that, or convert the model with a longer --context',
      },
    );
  const most = availableParallelism();
  if (threads !== undefined && threads > most)
    throw new ProjError('invalid-argument', `--threads: ${threads}, this machine has ${most}`, {
      cure: 'Give at most that',
    });
}

/** Makes the code for prompts now, which the first prompt would else wait for. */
export function prepare(sequence: StepModel): void {
  if (sequence instanceof CompiledNativeILNN) sequence.prepare();
}

/** Bytes of all tensors. */
export function tensorBytes({ tensors }: ModelFile): number {
  let sum = 0;
  for (const { bytes } of tensors.values()) sum += bytes;
  return sum;
}
