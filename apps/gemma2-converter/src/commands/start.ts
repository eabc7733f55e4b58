/**
 * `start`, what happens without a command: nothing is downloaded. A small teacher learns the repository's own text in about a minute, is converted to 8, 4 and 1
 * bits (1 bit distilled and not), and the table says what was lost and won.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ProjError } from '@proj/kernel';
import { byteTokenizer, saveHuggingFace } from '@proj/quant-jit/gemma2';
import type { SchemeName } from '@proj/quant-jit/quantize';
import { z } from 'zod';
import { compareModels, type NamedStudent } from '../comparison/compare.ts';
import { comparisonLegend, comparisonTable } from '../comparison/report.ts';
import { sampleText } from '../comparison/sample.ts';
import { convert } from '../conversion/convert.ts';
import { openConverted, useDevice } from '../model/open.ts';
import { deviceShape, flag, type Flags, readOptions } from '../options.ts';
import { createProgress } from '../reporting/progress.ts';
import { distilStudent } from '../teacher/distil.ts';
import { type TeacherSettings, trainTeacher } from '../teacher/train.ts';
import { openTeacher, plotLayers } from './compare.ts';
import { readTextFile, summaryText } from './convert.ts';
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
  out: z.string().min(1).default('runs/gemma2'),
  text: z.string().optional(),
  steps: count.default(600),
  width: count.default(128),
  layers: count.default(4),
  heads: count.default(4),
  context: count.default(256),
  batch: count.default(16),
  lr: positive.default(0.004),
  seed: countOrZero.default(1),
  distillSeconds: positive.default(45),
  retrain: flag,
} as const;

const TEACHER = 'teacher';
const STUDENT = 'student-q1';

/** What the table compares: name, scheme, and the folder that is converted. */
const CONVERSIONS: readonly { readonly name: string; readonly scheme: SchemeName; readonly from: string }[] = [
  { name: 'q8', scheme: 'q8', from: TEACHER },
  { name: 'q4g32', scheme: 'q4g32', from: TEACHER },
  { name: 'q1', scheme: 'q1', from: TEACHER },
  { name: 'q1 distilled', scheme: 'q1', from: STUDENT },
];

export async function runStart(flags: Flags): Promise<number> {
  const options = readOptions(shape, flags);
  useDevice(options);
  const folder = userPath(options.out);
  const teacherFolder = join(folder, TEACHER);
  const text = options.text === undefined ? repositoryText() : readTextFile('--text', options.text);
  requirePossible(options, text);
  const { signal, release } = stopSignal('stopping; what is finished stays');
  try {
    outputFolder('start', folder);
    // The configuration is written last: where it is, the teacher is whole.
    if (!options.retrain && existsSync(join(teacherFolder, 'config.json')))
      say(`the teacher of an earlier run is in ${teacherFolder}; --retrain trains another`);
    else await makeTeacher(teacherFolder, text, options, signal);
    signal.throwIfAborted();

    const teacher = await openTeacher(teacherFolder);
    say(`distilling into 1 bit for ${options.distillSeconds} s`);
    const { interrupted } = await distilStudent({
      text,
      folder: join(folder, STUDENT),
      tokenizer: teacher.tokenizer,
      teacher: teacher.model,
      scheme: 'q1',
      seconds: options.distillSeconds,
      context: Math.min(128, Math.floor(options.context / 2)),
      batchSize: options.batch,
      signal,
    });
    if (interrupted) return EXIT_INTERRUPTED;

    const students: NamedStudent[] = [];
    for (const { name, scheme, from } of CONVERSIONS) {
      const path = join(folder, `${name.replace(' ', '-')}.gemma2`);
      const result = await convert(
        join(folder, from),
        path,
        { scheme, calibration: 'absmax', kvCache: 'f32', mode: 'exact', overwrite: true },
        { signal },
      );
      signal.throwIfAborted();
      say(summaryText(result));
      students.push({
        name,
        model: await openConverted(path, { device: options.device, threads: options.threads }),
      });
    }
    const context = teacher.model.config.maxPositionEmbeddings;
    const sample = sampleText(text, teacher.tokenizer, {
      tokens: 4096,
      window: Math.floor(context / 2),
      generations: 8,
      generated: Math.min(96, Math.floor(context / 2)),
      prompt: Math.min(48, Math.floor(context / 4)),
    });
    const comparison = await compareModels(teacher, students, sample, { onMessage: say, signal });
    const plot = join(folder, 'layers.svg');
    plotLayers(plot, comparison);
    print(`\n${comparisonTable(comparison)}\n\n${comparisonLegend(comparison)}\n`);
    for (const { name, sample: written } of [comparison.teacher, ...comparison.students])
      print(`${name.padEnd(12)} ${JSON.stringify(written)}`);
    print(`\nerrors by layer: ${plot}\ntry: run ${join(folder, 'q4g32.gemma2')} "The "`);
    return 0;
  } catch (error) {
    if (signal.aborted) return EXIT_INTERRUPTED;
    const { batch, context, width, layers } = options;
    throw tooLarge(error, 'start', { batch, context, width, layers });
  } finally {
    release();
  }
}

/** Refuses what no teacher can be made of or trained on, before anything is begun. */
function requirePossible({ width, heads, context }: TeacherSettings, text: string): void {
  const refuse = (message: string, cure: string): never => {
    throw new ProjError('invalid-argument', message, { op: 'start', cure });
  };
  if (heads > 1 && heads % 2 !== 0) refuse(`--heads ${heads}: two heads share their keys`, 'Give 1 or an even number');
  if (width % (2 * heads) !== 0)
    refuse(`--width ${width}: ${heads} heads of an even width do not add up to it`, `Give a multiple of ${2 * heads}`);
  if (context < 16 || context % 8 !== 0)
    refuse(`--context ${context}: its eighth is a window of the model`, 'Give a multiple of 8, 16 or more');
  const needed = 10 * (context / 2 + 1);
  const bytes = Buffer.byteLength(text);
  if (bytes < needed)
    refuse(
      `--text has ${bytes} bytes, and --context ${context} takes ${needed}: the last tenth validates windows of half the context`,
      'Give a longer text, or a smaller --context',
    );
}

async function makeTeacher(
  folder: string,
  text: string,
  settings: TeacherSettings,
  signal: AbortSignal,
): Promise<void> {
  const { steps, batch, context } = settings;
  say(`training a teacher on ${text.length} characters, ${steps} steps of ${(batch * context) / 2} bytes`);
  const progress = createProgress('training', steps);
  try {
    const { model, validationLoss, seconds } = await trainTeacher(text, settings, {
      signal,
      onStep: (step, loss) => progress.update(step, `loss ${loss.toFixed(3)}`),
    });
    progress.stop();
    const parameters = [...model.parameters()].reduce((sum, parameter) => sum + parameter.numel(), 0);
    say(
      `${parameters} weights, ${seconds.toFixed(0)} s, validation loss ${validationLoss.toFixed(3)} (${(validationLoss / Math.LN2).toFixed(2)} bits a byte)`,
    );
    saveHuggingFace(folder, model, { tokenizer: byteTokenizer() });
  } finally {
    progress.stop();
  }
}
