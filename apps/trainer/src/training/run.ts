/** A training run: the loop with its reports, validations, checkpoints and reasons to stop. */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ProjError } from '@proj/kernel';
import { defaultDevice, manualSeed, setDefaultDevice } from '@proj/tensor';
import { fileError, writeAtomically } from '@proj/tensor/io';
import { type TrainConfig, usedSettings } from '../config.ts';
import { tooLarge, writeLinePlot } from 'app-support';
import { curves, lossSeries, terminalChart } from '../reporting/curves.ts';
import { createProgress, formatRate, formatSeconds, type Progress } from '../reporting/progress.ts';
import { type LogEntry, RunLog } from '../reporting/run-log.ts';
import { TensorBoardWriter } from '../reporting/tensorboard.ts';
import { createTask } from '../tasks/index.ts';
import type { Metrics, Task } from '../tasks/task.ts';
import { type Checkpoint, loadCheckpoint, type Progression, saveCheckpoint } from './checkpoint.ts';
import { BEST_FILE, CHECKPOINT_FILE, claimFolder, releaseFolder, removeEarlierRun } from './run-folder.ts';
import { sizesOf } from './sizes.ts';
import { Trainer } from './step.ts';

export { BEST_FILE, CHECKPOINT_FILE };

/** What a run has come to; also in `summary.json`. */
export interface Summary {
  readonly preset: string;
  readonly device: string;
  readonly threads: number;
  readonly steps: number;
  readonly epochs: number;
  readonly seconds: number;
  readonly samplesPerSecond: number;
  /** Why it ended: all steps done, no improvement for a while, or interrupted. */
  readonly ended: 'finished' | 'early-stopping' | 'interrupted';
  readonly metrics: Metrics;
  readonly best: { readonly step: number; readonly valLoss: number };
  readonly parameters: number;
  readonly sample?: string;
}

export interface RunOptions {
  /** The folder of the run. */
  readonly folder: string;
  /** Aborting it makes the run save a checkpoint and end. */
  readonly signal?: AbortSignal;
  readonly output?: NodeJS.WriteStream;
  /** Called after each step; for tests and other programs. */
  readonly onStep?: (step: number, loss: number) => void;
}

/** Makes the configured device the default, with the configured threads. */
export function useDevice({ device, threads }: Pick<TrainConfig, 'device' | 'threads'>): void {
  if (device !== undefined) setDefaultDevice(device);
  if (threads !== undefined) defaultDevice().setThreads(threads);
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Trains until a reason to stop. Errors: see the packages below; `autograd` when the loss is no longer a number: the last good checkpoint stays. */
export async function trainModel(config: TrainConfig, options: RunOptions): Promise<Summary> {
  let run: Run | undefined;
  try {
    run = new Run(config, options);
    return await run.train();
  } catch (error) {
    throw tooLarge(error, 'train', sizesOf(config));
  } finally {
    run?.release();
  }
}

class Run {
  readonly #config: TrainConfig;
  readonly #folder: string;
  readonly #signal: AbortSignal | undefined;
  readonly #output: NodeJS.WriteStream;
  readonly #onStep: RunOptions['onStep'];
  readonly #task: Task;
  readonly #trainer: Trainer;
  readonly #total: number;
  readonly #stepsPerEpoch: number;
  readonly #evalEvery: number;
  readonly #log: RunLog;
  readonly #board: TensorBoardWriter;
  readonly #startedAt = performance.now();
  readonly #earlierSeconds: number;
  readonly #firstStep: number;
  #bestLoss = Infinity;
  #bestStep = 0;
  #stale = 0;
  #metrics: Metrics = {};
  #trainLoss = Number.NaN;
  #savedStep = -1;

  constructor(config: TrainConfig, { folder, signal, output = process.stdout, onStep }: RunOptions) {
    this.#config = config;
    this.#folder = folder;
    this.#signal = signal;
    this.#output = output;
    this.#onStep = onStep;
    this.#refuseOtherRun();
    useDevice(config);
    manualSeed(config.seed);
    this.#task = createTask(config);
    this.#stepsPerEpoch = this.#task.loader.length;
    this.#total = Math.min(config.steps ?? Infinity, (config.epochs ?? Infinity) * this.#stepsPerEpoch);
    this.#evalEvery = config.evalEvery > 0 ? config.evalEvery : this.#stepsPerEpoch;
    this.#trainer = new Trainer(this.#task, config, this.#total);
    const earlier = config.resume ? this.#resume() : null;
    this.#earlierSeconds = earlier?.seconds ?? 0;
    this.#firstStep = this.#trainer.step;
    claimFolder(folder);
    process.once('exit', this.release);
    this.#trainer.warmUp();
    if (!config.resume) removeEarlierRun(folder);
    this.#writeSettings();
    this.#log = new RunLog(join(folder, 'log.jsonl'), this.#firstStep);
    this.#board = new TensorBoardWriter(folder);
  }

  readonly release = (): void => {
    process.off('exit', this.release);
    releaseFolder(this.#folder);
  };

  #path(name: string): string {
    return join(this.#folder, name);
  }

  #refuseOtherRun(): void {
    const { resume, overwrite } = this.#config;
    if (resume || overwrite || !existsSync(this.#path(CHECKPOINT_FILE))) return;
    throw new ProjError('invalid-argument', `there is a run in ${this.#folder} already`, {
      op: 'train',
      cure: 'Use --resume to go on, --overwrite to replace it, or another --out',
    });
  }

  #writeSettings(): void {
    try {
      writeFileSync(this.#path('config.json'), `${JSON.stringify(usedSettings(this.#config), null, 2)}\n`);
    } catch (error) {
      throw fileError('train', 'write', this.#folder, error);
    }
  }

  #resume(): Progression {
    const path = this.#path(CHECKPOINT_FILE);
    const { training, progression, fingerprint } = loadCheckpoint(path);
    if (fingerprint !== this.#task.fingerprint)
      throw new ProjError(
        'data-loading',
        `${path} was trained on other data (${fingerprint}; now ${this.#task.fingerprint})`,
        { op: 'train', cure: 'Give the same --data and --text, or begin a new run' },
      );
    this.#trainer.restore(training);
    this.#bestLoss = progression.bestLoss;
    this.#bestStep = progression.bestStep;
    this.#stale = progression.validationsWithoutImprovement;
    this.#metrics = { ...progression.metrics };
    this.#trainLoss = progression.lastTrainLoss;
    this.#savedStep = this.#trainer.step;
    return progression;
  }

  get #seconds(): number {
    return this.#earlierSeconds + (performance.now() - this.#startedAt) / 1000;
  }

  async train(): Promise<Summary> {
    const { unit, itemsPerStep, model, source } = this.#task;
    const parameters = [...model.parameters()].reduce((sum, p) => sum + p.numel(), 0);
    const device = defaultDevice();
    this.#output.write(
      `${this.#config.preset} on ${device.name}, ${device.features.threads} ${device.features.threads === 1 ? 'thread' : 'threads'}: ${parameters.toLocaleString('en')} parameters\n` +
        `data: ${source}, ${stepCount(this.#total)} of ${itemsPerStep} ${unit}${this.#firstStep > 0 ? `, from step ${this.#firstStep}` : ''}\n`,
    );
    if (this.#firstStep >= this.#total)
      this.#output.write(
        `nothing is left to do after ${stepCount(this.#firstStep)}; a larger --steps or --epochs goes on\n`,
      );
    const progress = createProgress(this.#total, this.#firstStep, unit, this.#config.logEvery, this.#output);
    let ended: Summary['ended'];
    try {
      ended = await this.#loop(progress);
    } finally {
      progress.stop();
      this.#board.close();
    }
    if (ended !== 'interrupted') {
      const validation = this.#task.validate(0);
      this.#metrics = { ...this.#metrics, ...validation, ...this.#task.test(validation) };
    }
    return this.#finish(ended, parameters);
  }

  async #loop(progress: Progress): Promise<Summary['ended']> {
    const { logEvery, checkpointEvery } = this.#config;
    const trainer = this.#trainer;
    const began = performance.now();
    let sum = 0;
    let count = 0;
    let lastLog = performance.now();
    while (trainer.step < this.#total) {
      for (const batch of trainer.loader) {
        const loss = trainer.train(batch);
        const { step } = trainer;
        if (!Number.isFinite(loss)) this.#failNotFinite(step, `the loss is ${loss}`);
        sum += loss;
        count++;
        const perSecond = (step - this.#firstStep) / ((performance.now() - began) / 1000);
        progress.update({
          step,
          loss: sum / count,
          rate: perSecond * this.#task.itemsPerStep,
          secondsLeft: (this.#total - step) / perSecond,
        });
        if (step % logEvery === 0 || step === this.#total) {
          const now = performance.now();
          const rate = (count * this.#task.itemsPerStep) / ((now - lastLog) / 1000);
          this.#trainLoss = sum / count;
          this.#record({
            step,
            epoch: step / this.#stepsPerEpoch,
            trainLoss: this.#trainLoss,
            lr: trainer.scheduler.getLastLr()[0],
            itemsPerSecond: Math.round(rate),
            seconds: this.#seconds,
          });
          [sum, count, lastLog] = [0, 0, now];
        }
        if (step % this.#evalEvery === 0 && step < this.#total && this.#validate(progress)) return 'early-stopping';
        if (step % checkpointEvery === 0) this.#save();
        this.#onStep?.(step, loss);
        if (step === this.#total) break;
        await turn();
        if (this.#signal?.aborted === true) {
          if (count > 0) this.#trainLoss = sum / count;
          return 'interrupted';
        }
      }
    }
    this.#validate(progress);
    return 'finished';
  }

  #record(entry: LogEntry): void {
    this.#log.add(entry);
    const { step, ...values } = entry;
    this.#board.scalars(
      step,
      Object.fromEntries(
        Object.entries(values).filter(
          (pair): pair is [string, number] => typeof pair[1] === 'number' && Number.isFinite(pair[1]),
        ),
      ),
    );
  }

  /** Validates, keeps the best model, and says whether to stop early. */
  #validate(progress: Progress): boolean {
    const { step } = this.#trainer;
    const metrics = this.#task.validate(step === this.#total ? 0 : this.#config.evalBatches);
    this.#metrics = { ...this.#metrics, ...metrics };
    const { valLoss } = metrics;
    this.#record({ step, epoch: step / this.#stepsPerEpoch, ...metrics, seconds: this.#seconds });
    progress.line(`step ${step}/${this.#total}  ${formatMetrics(metrics)}  (${formatSeconds(this.#seconds)})`);
    if (!Number.isFinite(valLoss)) this.#failNotFinite(step, `the validation loss is ${valLoss}`);
    if (valLoss < this.#bestLoss - this.#config.minDelta) {
      this.#bestLoss = valLoss;
      this.#bestStep = step;
      this.#stale = 0;
      saveCheckpoint(this.#path(BEST_FILE), this.#checkpoint());
      return false;
    }
    this.#stale++;
    if (this.#config.patience === 0 || this.#stale < this.#config.patience) return false;
    progress.line(`no improvement of the validation loss since step ${this.#bestStep}: stopping early`);
    return true;
  }

  #checkpoint(): Checkpoint {
    return {
      config: this.#config,
      fingerprint: this.#task.fingerprint,
      saved: this.#task.saved,
      progression: {
        seconds: this.#seconds,
        bestLoss: this.#bestLoss,
        bestStep: this.#bestStep,
        validationsWithoutImprovement: this.#stale,
        lastTrainLoss: this.#trainLoss,
        metrics: this.#metrics,
      },
      training: this.#trainer.state(),
    };
  }

  #save(): void {
    const { step } = this.#trainer;
    if (step === this.#savedStep) return;
    if (!this.#trainer.isFinite()) this.#failNotFinite(step, 'a parameter is not a finite number');
    saveCheckpoint(this.#path(CHECKPOINT_FILE), this.#checkpoint());
    this.#savedStep = step;
  }

  #failNotFinite(step: number, what: string): never {
    const kept =
      this.#savedStep < 0
        ? 'there is no checkpoint yet'
        : `the last good checkpoint, of step ${this.#savedStep}, is ${this.#path(CHECKPOINT_FILE)}`;
    throw new ProjError('autograd', `${what} at step ${step}; ${kept}`, {
      op: 'train',
      cure: `Lower --lr, set --grad-clip 1, or raise --warmup; then ${this.#savedStep < 0 ? 'begin anew' : 'go on with --resume or begin anew'}`,
    });
  }

  #finish(ended: Summary['ended'], parameters: number): Summary {
    this.#save();
    const { step } = this.#trainer;
    const device = defaultDevice();
    const seconds = this.#seconds;
    const { preset, prompt, sampleLength, seed } = this.#config;
    const sample =
      ended !== 'interrupted' && sampleLength > 0
        ? this.#task.generate?.({ ...(prompt === undefined ? {} : { prompt }), length: sampleLength, seed })
        : undefined;
    const summary: Summary = {
      preset,
      device: device.name,
      threads: device.features.threads,
      steps: step,
      epochs: step / this.#stepsPerEpoch,
      seconds,
      samplesPerSecond: (step * this.#task.itemsPerStep) / seconds,
      ended,
      metrics: { trainLoss: this.#trainLoss, ...this.#metrics },
      best: { step: this.#bestStep, valLoss: this.#bestLoss },
      parameters,
      ...(sample === undefined ? {} : { sample }),
    };
    writeAtomically('train', this.#path('summary.json'), [
      new TextEncoder().encode(`${JSON.stringify(summary, null, 2)}\n`),
    ]);
    const series = lossSeries(this.#log.entries);
    writeLinePlot(this.#path('curves.svg'), curves(series, preset));
    const print = (text: string): void => void this.#output.write(`${text}\n`);
    if (ended === 'interrupted') print(`interrupted at step ${step}; go on with --resume --out ${this.#folder}`);
    else {
      if (sample !== undefined) print(`\na sample:\n${sample}\n`);
      const chart = terminalChart(series, this.#output.columns);
      if (chart !== '') print(chart);
    }
    print(
      `${stepCount(step)} in ${formatSeconds(seconds)}, ${formatRate(summary.samplesPerSecond, this.#task.unit)}: ${formatMetrics(summary.metrics)}`,
    );
    print(`everything is in ${this.#folder}`);
    return summary;
  }
}

const stepCount = (steps: number): string => `${steps} ${steps === 1 ? 'step' : 'steps'}`;

/** Metrics as text. */
export const formatMetrics = (metrics: Metrics): string =>
  Object.entries(metrics)
    .map(([name, value]) => `${name} ${name.endsWith('Accuracy') ? `${(100 * value).toFixed(2)} %` : value.toFixed(4)}`)
    .join('  ');
