/** What the commands do. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { CharacterVocabulary } from '@proj/data';
import { ProjError } from '@proj/kernel';
import { defaultDevice, deviceReport, manualSeed } from '@proj/tensor';
import {
  count,
  countOrZero,
  EXIT_INTERRUPTED,
  flagOf,
  notNegative,
  print,
  problemText,
  stopSignal,
  tooLarge,
  userFolder,
  userPath,
} from 'app-support';
import { type ConfigSources, readConfigFile, resolveConfig, type TrainConfig } from './config.ts';
import { type PresetName, PRESETS } from './presets.ts';
import { formatRate } from './reporting/progress.ts';
import { createTask } from './tasks/index.ts';
import type { Task } from './tasks/task.ts';
import { createLanguageModel, generateText } from './tasks/language.ts';
import { type Checkpoint, loadCheckpoint } from './training/checkpoint.ts';
import { BEST_FILE, CHECKPOINT_FILE, formatMetrics, trainModel, useDevice } from './training/run.ts';
import { writerOf } from './training/run-folder.ts';
import { sizesOf } from './training/sizes.ts';
import { Trainer } from './training/step.ts';

type Flags = Readonly<Record<string, unknown>>;

/** The settings; their paths count from where the user stands, wherever they come from. */
function configOf({ config, ...flags }: Flags, base?: Flags): TrainConfig {
  const sources: ConfigSources = { flags, environment: process.env, ...(base === undefined ? {} : { base }) };
  const path = typeof config === 'string' ? userPath(config) : undefined;
  const settings = resolveConfig(
    path === undefined ? sources : { ...sources, file: { path, values: readConfigFile(path) } },
  );
  const paths = { data: settings.data || process.env['PROJ_DATA'], text: settings.text, out: settings.out };
  const given = Object.entries(paths).filter((entry): entry is [string, string] => Boolean(entry[1]));
  return { ...settings, ...Object.fromEntries(given.map(([field, value]) => [field, userPath(value)])) };
}

const hasRun = (folder: string): boolean => existsSync(join(folder, CHECKPOINT_FILE));

/** The folder of a run: `--out`; to go on, the newest of the preset; else one that is free. */
function folderOf({
  out,
  preset,
  resume,
  overwrite,
}: Pick<TrainConfig, 'out' | 'preset' | 'resume' | 'overwrite'>): string {
  if (out !== undefined) return out;
  const parent = join(userFolder(), 'runs');
  if (resume) return newestRun(preset);
  const first = join(parent, preset);
  if (overwrite) return first;
  for (let n = 1; ; n++) {
    const folder = n === 1 ? first : `${first}-${n}`;
    if (!hasRun(folder) && writerOf(folder) === null) return folder;
  }
}

function newestRun(preset?: PresetName): string {
  if (preset !== undefined && !PRESETS.includes(preset))
    throw new ProjError('invalid-argument', `--preset: there is no "${String(preset)}"`, {
      cure: `Presets are ${PRESETS.join(', ')}`,
    });
  const parent = join(userFolder(), 'runs');
  const runs = (existsSync(parent) ? readdirSync(parent) : [])
    .filter((name) => preset === undefined || name === preset || /^-\d+$/.test(name.replace(preset, '')))
    .map((name) => join(parent, name))
    .filter(hasRun)
    .toSorted((a, b) => statSync(join(b, CHECKPOINT_FILE)).mtimeMs - statSync(join(a, CHECKPOINT_FILE)).mtimeMs);
  if (runs.length === 0)
    throw new ProjError('io', `there is no run${preset === undefined ? '' : ` of ${preset}`} in ${parent}`, {
      cure: 'Give its folder with --out, or train first',
    });
  return runs[0];
}

/** Settings that a model is made by. Its weights fit no other; with another number of heads they would, and mean something else. */
const MODEL_FIELDS = ['preset', 'layers', 'width', 'heads', 'context'] as const;

function requireSameModel(config: TrainConfig, earlier: TrainConfig): void {
  const changed = MODEL_FIELDS.filter((field) => config[field] !== earlier[field]);
  if (changed.length === 0) return;
  const differences = changed.map((field) => `${flagOf(field)} is ${config[field]}, in the run ${earlier[field]}`);
  throw new ProjError('invalid-argument', differences.join('; '), {
    op: 'train',
    cure: 'A run goes on with the model that it began with: leave that out, or begin a new run without --resume',
  });
}

/** `train`. The result is the exit status. */
export async function runTrain(flags: Flags): Promise<number> {
  let config = configOf(flags);
  const folder = folderOf(config);
  if (config.resume) {
    // A run goes on with its own settings, but for what is given anew.
    const { config: earlier } = loadCheckpoint(join(folder, CHECKPOINT_FILE));
    config = configOf(flags, { ...earlier, resume: true, overwrite: false });
    requireSameModel(config, earlier);
  }
  const controller = new AbortController();
  const { signal } = controller;
  let listening: ReturnType<typeof stopSignal> | undefined;
  // Up to the first step kernels are compiled, which takes seconds for deep models, and nothing can be lost: Ctrl-C ends the process at once.
  const onStep = (): void => void (listening ??= stopSignal('stopping after this step', controller));
  try {
    const { ended } = await trainModel({ ...config, out: folder }, { folder, signal, onStep });
    return ended === 'interrupted' ? EXIT_INTERRUPTED : 0;
  } finally {
    listening?.release();
  }
}

/** The checkpoint that `eval` and `sample` look at: `--checkpoint`, or the best of `--out`, or of the newest run. */
function checkpointPath({ checkpoint, out, preset }: Flags): string {
  if (typeof checkpoint === 'string') return userPath(checkpoint);
  const folder = typeof out === 'string' ? userPath(out) : newestRun(preset as PresetName | undefined);
  return join(folder, existsSync(join(folder, BEST_FILE)) ? BEST_FILE : CHECKPOINT_FILE);
}

/** Loads a checkpoint onto the device that it (or a flag) names. */
function openCheckpoint(path: string, flags: Flags): { readonly checkpoint: Checkpoint; readonly config: TrainConfig } {
  const config = configOf(flags, loadCheckpoint(path).config);
  useDevice(config);
  return { checkpoint: loadCheckpoint(path), config };
}

/** `eval`: the metrics of a checkpoint. */
export function runEval({ checkpoint: given, out, preset, json, ...rest }: Flags): number {
  const path = checkpointPath({ checkpoint: given, out, preset });
  const { checkpoint, config } = openCheckpoint(path, rest);
  const task = createTask(config, checkpoint.saved);
  task.model.loadStateDict(checkpoint.training.model);
  const validation = task.validate(0);
  const metrics = { ...validation, ...task.test(validation) };
  print(
    json === true
      ? JSON.stringify({ checkpoint: path, step: checkpoint.training.step, metrics })
      : `${path} (step ${checkpoint.training.step}): ${formatMetrics(metrics)}`,
  );
  return 0;
}

/** The number that an option gives. */
function option(schema: typeof count, flags: Flags, name: string, fallback: number): number {
  const value = flags[name] ?? fallback;
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new ProjError('invalid-argument', `${flagOf(name)}: ${problemText(issue, value)}`);
}

/** `sample`: text from the language model of a checkpoint. */
export function runSample(flags: Flags): number {
  const path = checkpointPath(flags);
  const { checkpoint, config } = openCheckpoint(path, { device: flags['device'], threads: flags['threads'] });
  const { vocabulary } = checkpoint.saved;
  if (typeof vocabulary !== 'string')
    throw new ProjError('invalid-argument', `${path} holds no language model`, {
      op: 'sample',
      cure: 'Give a checkpoint of docs-gpt, char-gpt or char-lstm',
    });
  const characters = new CharacterVocabulary(vocabulary);
  const model = createLanguageModel(config, characters.size);
  model.loadStateDict(checkpoint.training.model);
  const prompt = String(flags['prompt'] ?? '');
  const text = generateText(model, characters, config.context, {
    prompt,
    length: option(countOrZero, flags, 'length', 500),
    temperature: option(notNegative, flags, 'temperature', 0.8),
    topK: option(countOrZero, flags, 'topK', 0),
    seed: option(countOrZero, flags, 'seed', 0),
  });
  print(prompt.trimStart() + text);
  return 0;
}

/** Times of training steps, in milliseconds. */
async function timeSteps(task: Task, config: TrainConfig, runs: number): Promise<number[]> {
  const trainer = new Trainer(task, config, runs + 3);
  trainer.warmUp();
  const batch = task.example();
  for (let i = 0; i < 3; i++) trainer.train(batch);
  const times: number[] = [];
  for (let i = 0; i < runs; i++) {
    const began = performance.now();
    trainer.train(batch);
    times.push(performance.now() - began);
    await new Promise((done) => setImmediate(done));
  }
  return times;
}

/** `bench`: the time of a training step. */
export async function runBench({ json, runs: asked, ...rest }: Flags): Promise<number> {
  const config = configOf(rest);
  const runs = option(count, { runs: asked }, 'runs', 30);
  useDevice(config);
  manualSeed(config.seed);
  let task: Task;
  let times: number[];
  try {
    task = createTask(config);
    times = await timeSteps(task, config, runs);
  } catch (error) {
    throw tooLarge(error, 'bench', sizesOf(config));
  }
  times.sort((a, b) => a - b);
  const medianMs = times[Math.floor(times.length / 2)];
  const device = defaultDevice();
  const result = {
    preset: config.preset,
    device: device.name,
    threads: device.features.threads,
    medianMs,
    minMs: times[0],
    runs,
    itemsPerSecond: (1000 * task.itemsPerStep) / medianMs,
  };
  print(
    json === true
      ? JSON.stringify(result)
      : `${result.preset} on ${result.device}, ${result.threads} threads: ${medianMs.toFixed(2)} ms a step (fastest ${times[0].toFixed(2)}), ${formatRate(result.itemsPerSecond, task.unit)}`,
  );
  return 0;
}

/** `devices`: which there are, and why others are not. */
export function runDevices({ json }: Flags): number {
  const report = deviceReport();
  if (json === true) print(JSON.stringify(report));
  else
    for (const { name, available, isDefault, detail } of report)
      print(`${isDefault ? '*' : ' '} ${name.padEnd(8)} ${available ? '' : 'not available: '}${detail}`);
  return 0;
}
