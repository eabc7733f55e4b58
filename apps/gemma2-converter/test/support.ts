/** Running the converter as a program, on tiny models that are made here. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, ftruncateSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { noGrad } from '@proj/autograd';
import {
  BYTE_TOKENS,
  byteTokenizer,
  expectedTensors,
  gemma2Config,
  type Gemma2Config,
  gemma2ConfigJson,
  Gemma2ForCausalLM,
  saveHuggingFace,
} from '@proj/quant-jit/gemma2';
import { manualSeed } from '@proj/tensor';

const PROGRAM = fileURLToPath(new URL('../src/main.ts', import.meta.url));

export interface Finished {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly output: string;
  readonly errors: string;
}

/** A program that runs; `done` resolves when it has ended, `until` when it has said something. */
export interface Running {
  readonly child: ChildProcess;
  readonly done: Promise<Finished>;
  until(text: RegExp): Promise<RegExpExecArray>;
}

const running = new Set<ChildProcess>();

/** Starts a script of Node, the converter unless said otherwise. */
export function start(
  args: readonly string[],
  { program = PROGRAM, input }: { program?: string; input?: string } = {},
): Running {
  const child = spawn(process.execPath, ['--conditions=source', program, ...args], {
    env: { ...process.env, PROJ_DEVICE: '', INIT_CWD: '' },
  });
  running.add(child);
  child.on('close', () => running.delete(child));
  child.stdin.end(input ?? '');
  let output = '';
  let errors = '';
  const watchers = new Set<() => void>();
  const heard = (): void => {
    for (const watcher of watchers) watcher();
  };
  child.stdout.on('data', (data: Buffer) => {
    output += data.toString();
    heard();
  });
  child.stderr.on('data', (data: Buffer) => {
    errors += data.toString();
    heard();
  });
  const done = new Promise<Finished>((resolve) =>
    child.on('close', (status, signal) => resolve({ status, signal, output, errors })),
  );
  const until = (text: RegExp): Promise<RegExpExecArray> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        const found = text.exec(output + errors);
        if (found === null) return;
        watchers.delete(look);
        resolve(found);
      };
      watchers.add(look);
      look();
      void done.then(() => reject(new Error(`ended before ${String(text)}: ${output}${errors}`)));
    });
  return { child, done, until };
}

export const run = (args: readonly string[], input?: string): Promise<Finished> =>
  start(args, input === undefined ? {} : { input }).done;

/** A folder that goes away with the tests, and what they started with it. */
export function temporaryFolder(): { readonly path: (name: string) => string; remove(): void } {
  const folder = mkdtempSync(join(tmpdir(), 'proj-gemma2-'));
  return {
    path: (name) => join(folder, name),
    remove: () => {
      for (const child of running) child.kill('SIGKILL');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** A geometry in which q, k and v differ, rows are not always whole panels of panels, and the window slides. */
export const SIZES = {
  vocabSize: BYTE_TOKENS.vocabSize,
  hiddenSize: 64,
  intermediateSize: 160,
  numHiddenLayers: 3,
  numAttentionHeads: 4,
  numKeyValueHeads: 2,
  headDim: 16,
  slidingWindow: 24,
  maxPositionEmbeddings: 256,
  bosTokenId: BYTE_TOKENS.bos,
  eosTokenIds: [BYTE_TOKENS.eos],
  padTokenId: BYTE_TOKENS.pad,
} as const;

/** A Hugging Face folder of a model with random weights over bytes. */
export function writeTeacher(folder: string, sizes: Partial<Gemma2Config> = {}): Gemma2ForCausalLM {
  const model = new Gemma2ForCausalLM(gemma2Config({ ...SIZES, ...sizes }));
  manualSeed(11);
  noGrad(() => {
    for (const parameter of model.parameters()) parameter.normal_(0, parameter.ndim === 1 ? 0.2 : 0.12).realize();
  });
  saveHuggingFace(folder, model.eval(), { tokenizer: byteTokenizer() });
  return model;
}

/**
 * A Hugging Face folder whose weights are all zero: its file is a hole, so that it can be as large as it likes. `poison` puts one NaN into the middle
 * of a tensor.
 */
export function writeHollowTeacher(folder: string, sizes: Partial<Gemma2Config>, poison?: string): Gemma2Config {
  const config = gemma2Config({ ...SIZES, ...sizes });
  mkdirSync(folder, { recursive: true });
  const entries: Record<string, object> = {};
  let at = 0;
  let poisoned = -1;
  for (const [name, shape] of expectedTensors(config)) {
    const bytes = 4 * shape.reduce((product, size) => product * size, 1);
    entries[name] = { dtype: 'F32', shape, data_offsets: [at, at + bytes] };
    if (name === poison) poisoned = at + 4 * Math.floor(bytes / 8);
    at += bytes;
  }
  const header = Buffer.from(JSON.stringify(entries));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  const file = openSync(join(folder, 'model.safetensors'), 'w');
  writeSync(file, length);
  writeSync(file, header);
  ftruncateSync(file, 8 + header.length + at);
  if (poisoned >= 0)
    writeSync(file, Buffer.from(new Float32Array([Number.NaN]).buffer), 0, 4, 8 + header.length + poisoned);
  closeSync(file);
  const tokenizer = byteTokenizer();
  writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(tokenizer.json));
  writeFileSync(join(folder, 'tokenizer_config.json'), JSON.stringify(tokenizer.config));
  writeFileSync(join(folder, 'config.json'), JSON.stringify(gemma2ConfigJson(config)));
  return config;
}

/** A text with structure. */
export const exampleText = (lines: number): string =>
  Array.from({ length: lines }, (_, i) => `line ${i % 10}: the cat sat on mat ${(i * 7) % 10}.\n`).join('');
