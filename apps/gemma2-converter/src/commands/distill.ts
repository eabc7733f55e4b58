/** `distill`: a student of few bits from a teacher, as a folder to convert. */
import { z } from 'zod';
import { useDevice } from '../model/open.ts';
import { deviceShape, flag, type Flags, readOptions, scheme } from '../options.ts';
import { distilStudent } from '../teacher/distil.ts';
import { openTeacher } from './compare.ts';
import { readTextFile } from './convert.ts';
import {
  count,
  countOrZero,
  EXIT_INTERRUPTED,
  outputFolder,
  positive,
  print,
  repositoryText,
  say,
  stopSignal,
  tooLarge,
  userPath,
} from 'app-support';

const shape = {
  ...deviceShape,
  output: z.string().min(1),
  scheme: scheme.default('q1'),
  embeddingScheme: scheme.default('q8'),
  text: z.string().optional(),
  seconds: positive.optional(),
  steps: count.optional(),
  progressive: flag,
  rank: count.optional(),
  lr: positive.default(0.002),
  batch: count.default(16),
  window: count.default(128),
  checkpoint: z.string().optional(),
  seed: countOrZero.default(0),
} as const;

const DEFAULT_SECONDS = 60;

export async function runDistill(teacherPath: string, flags: Flags): Promise<number> {
  const options = readOptions(shape, flags);
  const folder = userPath(options.output);
  outputFolder('distill', folder);
  useDevice(options);
  const teacher = await openTeacher(userPath(teacherPath));
  const text = options.text === undefined ? repositoryText() : readTextFile('--text', options.text);
  const { signal, release } = stopSignal('stopping after this step');
  try {
    const { interrupted, steps, seconds } = await distilStudent({
      text,
      folder,
      tokenizer: teacher.tokenizer,
      teacher: teacher.model,
      scheme: options.scheme,
      embeddingScheme: options.embeddingScheme,
      progressive: options.progressive,
      learningRate: options.lr,
      batchSize: options.batch,
      context: options.window,
      seed: options.seed,
      signal,
      ...(options.steps === undefined ? { seconds: options.seconds ?? DEFAULT_SECONDS } : { steps: options.steps }),
      ...(options.rank === undefined ? {} : { method: { rank: options.rank } }),
      ...(options.checkpoint === undefined ? {} : { checkpoint: userPath(options.checkpoint) }),
    });
    if (interrupted) {
      say(
        options.checkpoint === undefined ? 'interrupted; nothing is written' : 'interrupted; the same command goes on',
      );
      return EXIT_INTERRUPTED;
    }
    print(
      `${folder}: ${steps} steps, ${seconds.toFixed(0)} s; convert it with --scheme ${options.scheme} --embedding-scheme ${options.embeddingScheme}`,
    );
    return 0;
  } catch (error) {
    throw tooLarge(error, 'distill', { batch: options.batch, window: options.window });
  } finally {
    release();
  }
}
