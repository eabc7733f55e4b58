/** A conversion from end to end: plan, then one constant of the program after the other, then the checksums and the name. */
import { createHash } from 'node:crypto';
import { existsSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { attempt, ProjError } from '@proj/kernel';
import { createModelFile, type ModelFilePlan, readModelHeader } from '@proj/quant-jit/file';
import {
  type GemmaTokenizer,
  gemma2ConfigJson,
  type OpenedCheckpoint,
  openCheckpoint,
  stopTokens,
} from '@proj/quant-jit/gemma2';
import { type NativeCodeILNN } from '@proj/quant-jit/il';
import { packedBytes, quantize, type SchemeName, SCHEMES } from '@proj/quant-jit/quantize';
import { Calibrator, type CalibrationText } from './calibrate.ts';
import { chooseMix } from './mix.ts';
import { packConstantByRows, type RowQuantizer } from './pack-rows.ts';
import { programOf, type ProgramSettings, shapeOf, weightCount } from './program.ts';

/** How scales are found. */
export type CalibrationMethod = 'absmax' | 'mse' | 'gptq';

/** What to convert, and how. */
export interface ConversionSettings extends Omit<ProgramSettings, 'mix'> {
  readonly calibration: CalibrationMethod;
  /** Text for `gptq`, for the weights of `mse`, and for the choice of a mix. */
  readonly text?: CalibrationText;
  /** Bits per weight, of which each tensor gets its share by measured sensitivity. */
  readonly mixBits?: number;
  /** Go on with a conversion that was stopped (the default). */
  readonly resume?: boolean;
  /** Replace a file that is there (default false). */
  readonly overwrite?: boolean;
}

/** Followers of a conversion. */
export interface ConversionEvents {
  readonly signal?: AbortSignal;
  /** Weights read so far, and the constant that is worked on. */
  readonly onProgress?: (done: number, total: number, name: string) => void;
  readonly onMessage?: (text: string) => void;
}

/** What a conversion gave. */
export interface ConversionResult {
  readonly path: string;
  readonly bytes: number;
  readonly weights: number;
  /** Of the packed weights, scales and padding counted. */
  readonly bitsPerWeight: number;
  readonly seconds: number;
  /** Constants that an earlier run had written. */
  readonly resumed: number;
  readonly interrupted: boolean;
}

/** What the metadata of a converted file holds of its conversion. */
export interface ConversionRecord {
  readonly scheme: SchemeName;
  readonly embeddingScheme: SchemeName | null;
  readonly kvCache: ProgramSettings['kvCache'];
  readonly mode: ProgramSettings['mode'];
  readonly activation: ProgramSettings['activation'] | null;
  readonly calibration: CalibrationMethod;
  readonly mixBits: number | null;
  readonly weights: number;
  readonly stopTokens: readonly number[];
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** What the weights come from, and how they are rounded: a conversion goes on only where both are the same. */
function fingerprint({ source }: OpenedCheckpoint, settings: ConversionSettings): string {
  const hash = createHash('sha256');
  for (const file of new Set(source.names.map((name) => source.info(name).file))) {
    const { size, mtimeMs, ino } = statSync(file);
    hash.update(`${file} ${size} ${mtimeMs} ${ino}\n`);
  }
  hash.update(JSON.stringify([settings.calibration, settings.mixBits ?? null, settings.text?.identity ?? null]));
  return hash.digest('hex');
}

function attachments(tokenizer: GemmaTokenizer): Record<string, string> {
  return {
    'tokenizer.json': JSON.stringify(tokenizer.json),
    'tokenizer_config.json': JSON.stringify(tokenizer.config),
  };
}

function rowQuantizer(settings: ConversionSettings, il: NativeCodeILNN, calibrator: Calibrator | null): RowQuantizer {
  const schemes = new Map<string, SchemeName>();
  for (const { name, parts, type } of il.constants)
    for (const tensor of parts.length === 0 ? [name] : parts) schemes.set(tensor, type.scheme);
  const schemeOf = (tensor: string): SchemeName => schemes.get(tensor) ?? settings.scheme;
  switch (settings.calibration) {
    case 'absmax':
      return (tensor, values, rows, columns) => quantize(values, rows, columns, schemeOf(tensor));
    case 'mse':
      return (tensor, values, rows, columns) => {
        const importance = calibrator?.importance(tensor);
        return quantize(values, rows, columns, schemeOf(tensor), {
          calibration: 'mse',
          ...(importance === undefined ? {} : { importance }),
        });
      };
    case 'gptq': {
      if (calibrator === null)
        throw new ProjError('invalid-argument', '--calibration gptq needs a text', {
          cure: 'Give one with --text FILE',
        });
      return (tensor, values, rows, columns) =>
        calibrator.round(tensor, values, rows, columns, SCHEMES[schemeOf(tensor)]);
    }
    default:
      return settings.calibration satisfies never;
  }
}

/** Refuses to replace a file without being told to, and the model's own files at all: they are read while the output is written. */
function checkReplacing(model: string, output: string, overwrite: boolean): void {
  if (!overwrite)
    throw new ProjError('invalid-argument', `${output} is there already`, {
      cure: 'Give another --output, or --overwrite to replace it',
    });
  // What is finished takes the place of what is there: a device such as /dev/null would be gone.
  const there = statSync(output);
  if (!there.isFile())
    throw new ProjError('invalid-argument', `${output} is ${there.isDirectory() ? 'a folder' : 'no regular file'}`, {
      cure: 'Give the path of a file to write',
    });
  const folder = realpathSync(dirname(output));
  const own = existsSync(model) && [folder, join(folder, basename(output))].includes(realpathSync(model));
  if (own && !attempt(() => readModelHeader(output)).ok)
    throw new ProjError('invalid-argument', `${output} belongs to the model that is converted`, {
      cure: 'Give another --output',
    });
}

/**
 * Converts a model. What is written stays when it is interrupted, and the same conversion goes on from there.
 *
 * @throws ProjError for a model that cannot be read, weights that are not finite (which tensor), a disk that is full.
 */
export async function convert(
  model: string,
  output: string,
  settings: ConversionSettings,
  { signal, onProgress, onMessage }: ConversionEvents = {},
): Promise<ConversionResult> {
  const started = performance.now();
  if (existsSync(output)) checkReplacing(model, output, settings.overwrite ?? false);
  const checkpoint = await openCheckpoint(model);
  try {
    const tokenizer = checkpoint.tokenizer();
    const { config, source } = checkpoint;
    const calibrator =
      settings.text === undefined ? null : new Calibrator(checkpoint, tokenizer, settings.text, onMessage);
    let mix: ReadonlyMap<string, SchemeName> | undefined;
    if (settings.mixBits !== undefined) mix = await chooseMix(checkpoint, tokenizer, settings, onMessage, signal);
    const il = programOf(config, { ...settings, ...(mix === undefined ? {} : { mix }) });
    const weights = weightCount(config);
    const record: ConversionRecord = {
      scheme: settings.scheme,
      embeddingScheme: settings.embeddingScheme ?? null,
      kvCache: settings.kvCache,
      mode: settings.mode,
      activation: settings.activation ?? null,
      calibration: settings.calibration,
      mixBits: settings.mixBits ?? null,
      weights,
      stopTokens: stopTokens(checkpoint, tokenizer),
    };
    const plan: ModelFilePlan = {
      config: gemma2ConfigJson(config),
      il: il.toString(),
      tensors: il.constants.map((constant) => ({
        name: constant.name,
        scheme: constant.type.scheme,
        ...shapeOf(constant),
      })),
      attachments: attachments(tokenizer),
      source: fingerprint(checkpoint, settings),
      metadata: { conversion: JSON.stringify(record) },
    };
    const writer = await createModelFile(output, plan, { resume: settings.resume ?? true });
    try {
      const pending = new Set(writer.pending);
      const sizes = il.constants.map((constant) => {
        const { rows, columns } = shapeOf(constant);
        return { constant, floats: rows * columns };
      });
      const total = sizes.reduce((sum, { floats }) => sum + floats, 0);
      const resumed = sizes.length - pending.size;
      let done = 0;
      for (const { constant, floats } of sizes) if (!pending.has(constant.name)) done += floats;
      if (resumed > 0) onMessage?.(`going on after ${resumed} of ${sizes.length} tensors`);
      const quantizer = rowQuantizer(settings, il, calibrator);
      for (const { constant } of sizes) {
        if (!pending.has(constant.name)) continue;
        const packed = await packConstantByRows(constant, {
          source,
          quantizer,
          onRead: async (floats) => {
            onProgress?.((done += floats), total, constant.name);
            await turn();
            signal?.throwIfAborted();
          },
        });
        await writer.write(constant.name, packed);
      }
      await writer.finish();
      return {
        path: output,
        bytes: writer.bytes,
        weights,
        bitsPerWeight:
          (8 * plan.tensors.reduce((sum, { scheme, rows, columns }) => sum + packedBytes(scheme, rows, columns), 0)) /
          weights,
        seconds: (performance.now() - started) / 1000,
        resumed,
        interrupted: false,
      };
    } catch (error) {
      await writer.close();
      if (signal?.aborted !== true) throw error;
      return {
        path: output,
        bytes: writer.bytes,
        weights,
        bitsPerWeight: Number.NaN,
        seconds: (performance.now() - started) / 1000,
        resumed: 0,
        interrupted: true,
      };
    }
  } finally {
    checkpoint.source.close();
  }
}
