/** `compare`: a teacher against what it was converted to. */
import { basename } from 'node:path';
import { loadModel, openCheckpoint, stopTokens } from '@proj/quant-jit/gemma2';
import { type Comparison, compareModels, type NamedStudent, type TeacherModel } from '../comparison/compare.ts';
import { comparisonLegend, comparisonTable, layerBars } from '../comparison/report.ts';
import { sampleText } from '../comparison/sample.ts';
import { weightCount } from '../conversion/program.ts';
import { openConverted, useDevice } from '../model/open.ts';
import { deviceShape, flag, type Flags, readOptions } from '../options.ts';
import { z } from 'zod';
import { readTextFile } from './convert.ts';
import {
  count,
  EXIT_INTERRUPTED,
  type PlotLine,
  print,
  repositoryText,
  say,
  stopSignal,
  userPath,
  writeLinePlot,
} from 'app-support';

const shape = {
  ...deviceShape,
  text: z.string().optional(),
  tokens: count.default(2048),
  window: count.default(128),
  generations: count.default(8),
  generated: count.default(64),
  prompt: count.default(32),
  json: flag,
  plot: z.string().optional(),
} as const;

/** Opens a teacher to compare with. */
export async function openTeacher(path: string): Promise<TeacherModel> {
  const checkpoint = await openCheckpoint(path);
  try {
    const tokenizer = checkpoint.tokenizer();
    const { source, config } = checkpoint;
    const bytes = source.names.reduce((sum, name) => sum + source.info(name).bytes, 0);
    return {
      model: loadModel(checkpoint, { checkFinite: true }),
      tokenizer,
      stopTokens: stopTokens(checkpoint, tokenizer),
      bytes,
      bitsPerWeight: (8 * bytes) / weightCount(config),
    };
  } finally {
    checkpoint.source.close();
  }
}

/** The lines of a plot by layer: the logits stand after the last layer. */
export const layerLines = ({ students }: Comparison): PlotLine[] =>
  students.map(({ name, layers, logits }) => ({
    name,
    points: [...(layers ?? []), ...(logits === null ? [] : [logits])].map(({ relative }, i) => [i, relative] as const),
  }));

/** Draws a comparison by layer. */
export function plotLayers(path: string, comparison: Comparison): void {
  const count = (comparison.students[0]?.layers ?? []).length;
  writeLinePlot(path, {
    lines: layerLines(comparison),
    title: 'Relative squared error against the teacher',
    x: 'after layer',
    y: 'relative MSE',
    scale: 'logarithmic',
    names: [...Array.from({ length: count }, (_, i) => String(i)), 'logits'],
  });
}

export async function runCompare(teacherPath: string, files: readonly string[], flags: Flags): Promise<number> {
  const options = readOptions(shape, flags);
  useDevice(options);
  const teacher = await openTeacher(userPath(teacherPath));
  const students: NamedStudent[] = [];
  for (const file of files)
    students.push({
      name: basename(file),
      model: await openConverted(userPath(file), { device: options.device, threads: options.threads, onMessage: say }),
    });
  const longest = Math.min(
    teacher.model.config.maxPositionEmbeddings,
    ...students.map(({ model }) => model.il.config.positions),
  );
  const text = options.text === undefined ? repositoryText() : readTextFile('--text', options.text);
  const prompt = Math.min(options.prompt, Math.floor(longest / 2));
  const sample = sampleText(text, teacher.tokenizer, {
    tokens: options.tokens,
    window: Math.min(options.window, longest),
    generations: options.generations,
    generated: Math.min(options.generated, longest - prompt),
    prompt,
  });
  const { signal, release } = stopSignal('stopping');
  try {
    const comparison = await compareModels(teacher, students, sample, { onMessage: say, signal });
    if (options.json) print(JSON.stringify(comparison));
    else {
      print(`${comparisonTable(comparison)}\n\n${comparisonLegend(comparison)}`);
      for (const student of comparison.students) print(`\n${layerBars(student)}`);
    }
    // Last: a plot that cannot be written must not take the figures with it.
    if (options.plot !== undefined) plotLayers(userPath(options.plot), comparison);
    return 0;
  } catch (error) {
    if (signal.aborted) return EXIT_INTERRUPTED;
    throw error;
  } finally {
    release();
  }
}
