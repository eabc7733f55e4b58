/** `bench`: how fast a converted model runs here, beside what memory can give. */
import { describeBytes } from '@proj/kernel';
import { measurePeaks } from '@proj/device-native';
import { statSync } from 'node:fs';
import { openConverted, prepare, tensorBytes } from '../model/open.ts';
import { deviceShape, flag, type Flags, readOptions } from '../options.ts';
import { table } from '../reporting/table.ts';
import { count, print, say, userPath } from 'app-support';

const shape = {
  ...deviceShape,
  promptTokens: count.default(128),
  tokens: count.default(32),
  runs: count.default(3),
  context: count.optional(),
  json: flag,
} as const;

const PEAK_BYTES = 1 << 30;
const PEAK_RUNS = 5;

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

export async function runBench(file: string, flags: Flags): Promise<number> {
  const options = readOptions(shape, flags);
  const path = userPath(file);
  const room = options.promptTokens + options.tokens;
  const loads: number[] = [];
  let model = await openConverted(path, {
    device: options.device,
    threads: options.threads,
    positions: options.context,
    onMessage: say,
  });
  for (let run = 0; run < options.runs; run++) {
    model.loaded.dispose();
    model = await openConverted(path, { device: options.device, threads: options.threads, positions: options.context });
    loads.push(model.loadMs);
  }
  const sequence = model.loaded.sequence();
  const promptTokens = Math.min(options.promptTokens, sequence.maxLength - 1);
  const tokens = Math.min(options.tokens, sequence.maxLength - promptTokens);
  if (promptTokens + tokens < room)
    say(`the context of ${sequence.maxLength} positions holds ${promptTokens} + ${tokens} tokens`);
  prepare(sequence);
  model.loaded.settle();
  const { vocabSize } = model.config;
  const prompt = Array.from({ length: promptTokens }, (_, i) => (i * 7919) % vocabSize);
  const promptTimes: number[] = [];
  const steps: number[] = [];
  for (let run = 0; run <= options.runs; run++) {
    sequence.reset();
    const started = performance.now();
    sequence.feed(prompt);
    // The first run is a warm-up.
    if (run > 0) promptTimes.push(performance.now() - started);
    for (let i = 0; i < tokens; i++) {
      const begun = performance.now();
      sequence.feedOne((i * 104729) % vocabSize);
      if (run > 0) steps.push(performance.now() - begun);
    }
  }
  const { device } = model;
  const bytes = readPerToken(model);
  const decodeMs = median(steps);
  const peaks = options.device === 'interpreter' ? null : measurePeaks(device, { bytes: PEAK_BYTES, runs: PEAK_RUNS });
  const readGBs = bytes / decodeMs / 1e6;
  const result = {
    file: path,
    fileBytes: statSync(path).size,
    device: model.deviceText,
    threads: device.features.threads,
    loadMs: Math.min(...loads),
    promptTokens,
    promptTokensPerSecond: (1000 * promptTokens) / median(promptTimes),
    decodeTokens: tokens,
    decodeTokensPerSecond: 1000 / decodeMs,
    decodeMs,
    bytesPerToken: bytes,
    readGBs,
    readCeilingGBs: peaks?.readGBs ?? null,
    shareOfCeiling: peaks === null ? null : readGBs / peaks.readGBs,
  };
  if (options.json) print(JSON.stringify(result));
  else
    print(
      [
        `${path} (${describeBytes(result.fileBytes)}) on ${result.device}`,
        table(
          ['', ''],
          [
            ['load, code included', `${result.loadMs.toFixed(1)} ms`],
            [`prompt of ${promptTokens}`, `${result.promptTokensPerSecond.toFixed(1)} tokens/s`],
            ['decode', `${result.decodeTokensPerSecond.toFixed(2)} tokens/s (${decodeMs.toFixed(3)} ms)`],
            ['weights read for a token', describeBytes(bytes)],
            ['read', `${readGBs.toFixed(2)} GB/s`],
            ['what memory gives', peaks === null ? '–' : `${peaks.readGBs.toFixed(2)} GB/s`],
            ['share of it', result.shareOfCeiling === null ? '–' : `${(100 * result.shareOfCeiling).toFixed(1)} %`],
          ],
        ),
      ].join('\n'),
    );
  sequence.dispose();
  model.loaded.dispose();
  return 0;
}

/** Bytes of weights that one token reads: all tensors, but of a table that only embeds, one row. */
function readPerToken({ file, il }: Awaited<ReturnType<typeof openConverted>>): number {
  const tables = new Set(il.program.instructions.filter(({ op }) => op === 'embed').map(({ operands }) => operands[0]));
  let bytes = tensorBytes(file);
  for (const instruction of il.program.instructions) {
    if (instruction.op !== 'const') continue;
    const [{ name: value }] = instruction.results;
    const readWhole = il.program.instructions.some(({ op, operands }) => op !== 'embed' && operands.includes(value));
    if (tables.has(value) && !readWhole) bytes -= file.tensors.get(instruction.attributes.name)?.bytes ?? 0;
  }
  return bytes;
}
