/** `convert`: a Hugging Face folder or a GGUF file to a converted file. */
import { basename } from 'node:path';
import { crc32 } from 'node:zlib';
import { readText } from '@proj/data';
import { describeBytes, ProjError, toProjError } from '@proj/kernel';
import { z } from 'zod';
import { convert, type ConversionResult } from '../conversion/convert.ts';
import { flag, type Flags, readOptions, scheme } from '../options.ts';
import { createProgress, type Progress } from '../reporting/progress.ts';
import { count, EXIT_INTERRUPTED, positive, print, say, stopSignal, userPath } from 'app-support';

const shape = {
  output: z.string().min(1),
  scheme: scheme.default('q4g32'),
  embeddingScheme: scheme.optional(),
  mix: positive.optional(),
  calibration: z.enum(['absmax', 'mse', 'gptq']).default('absmax'),
  text: z.string().optional(),
  calibrationTokens: count.default(2048),
  kv: z.enum(['f32', 'q8']).default('f32'),
  mode: z.enum(['exact', 'data', 'logic']).default('exact'),
  activation: z.enum(['a8g32', 'a8', 'a1']).optional(),
  context: count.optional(),
  overwrite: flag,
  restart: flag,
} as const;

/** What a file is and what it took. */
export const summaryText = ({ path, bytes, weights, bitsPerWeight, seconds }: ConversionResult): string =>
  `${path}: ${describeBytes(bytes)}, ${bitsPerWeight.toFixed(3)} bits for each of ${weights} weights, ${seconds.toFixed(1)} s`;

/** Reads a text to calibrate or measure on. Errors: it cannot be read; it is not UTF-8. */
export function readTextFile(option: string, path: string): string {
  try {
    return readText(userPath(path));
  } catch (error) {
    const { code, message } = toProjError(error);
    throw new ProjError(code, `${option}: ${message}`, { cause: error });
  }
}

export async function runConvert(model: string, flags: Flags): Promise<number> {
  const options = readOptions(shape, flags);
  const { text, calibration, mix } = options;
  if (calibration === 'gptq' && text === undefined)
    throw new ProjError('invalid-argument', '--calibration gptq needs a text', { cure: 'Give one with --text FILE' });
  if (mix !== undefined && text === undefined)
    throw new ProjError('invalid-argument', '--mix needs a text to measure on', { cure: 'Give one with --text FILE' });
  const content = text === undefined ? undefined : readTextFile('--text', text);
  const output = userPath(options.output);
  const { signal, release } = stopSignal('stopping; what is converted stays');
  let bar: Progress | null = null;
  try {
    const result = await convert(
      userPath(model),
      output,
      {
        scheme: options.scheme,
        calibration,
        kvCache: options.kv,
        mode: options.mode,
        resume: !options.restart,
        overwrite: options.overwrite,
        ...(options.embeddingScheme === undefined ? {} : { embeddingScheme: options.embeddingScheme }),
        ...(options.activation === undefined ? {} : { activation: options.activation }),
        ...(options.context === undefined ? {} : { positions: options.context }),
        ...(mix === undefined ? {} : { mixBits: mix }),
        ...(content === undefined
          ? {}
          : {
              text: {
                text: content,
                tokens: options.calibrationTokens,
                identity: `${content.length} ${crc32(content)} ${options.calibrationTokens}`,
              },
            }),
      },
      {
        signal,
        onMessage: say,
        onProgress: (done, total, name) => {
          bar ??= createProgress('converting', total);
          bar.update(done, name);
        },
      },
    );
    if (result.interrupted) {
      say(`interrupted; the same command goes on where ${basename(output)} was left`);
      return EXIT_INTERRUPTED;
    }
    (bar as Progress | null)?.stop();
    bar = null;
    print(summaryText(result));
    return 0;
  } finally {
    (bar as Progress | null)?.stop();
    release();
  }
}
