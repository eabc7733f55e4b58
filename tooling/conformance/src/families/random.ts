// `ops/random*` and `nn/random`: statistics over repeated calls.
import { compareMeta, MissingOperation } from '../compare.ts';
import type { Failure } from '../compare.ts';
import { decodeNumber, hasTag, isComplexDtype } from '../encoded.ts';
import type { CaseRecord, Encoded, TensorData } from '../encoded.ts';
import type { Library, Prepared } from '../library.ts';
import { compareMoments, momentsOf } from '../statistics.ts';
import type { Expected } from '../statistics.ts';
import { decodeArguments } from './family.ts';
import type { Context } from './family.ts';

/** A number field of a record, plain or tagged. */
export function numberField(value: Encoded | undefined): number | undefined {
  if (value === undefined || value === null) return undefined;
  return Number(decodeNumber(hasTag(value, 'float') ? value.v : value));
}

/** The statistics of a record's object. */
export function expectedStatistics(stats: Readonly<Record<string, Encoded>>): Expected {
  const out: { -readonly [K in keyof Expected]: number } = {};
  for (const name of ['mean', 'std', 'min', 'max', 'zeros'] as const) {
    const value = numberField(stats[name]);
    if (value !== undefined) out[name] = value;
  }
  return out;
}

const realParts = (t: TensorData): number[] => {
  const data = Array.from(t.data, Number);
  return isComplexDtype(t.dtype) ? data.filter((_, i) => i % 2 === 0) : data;
};

/** Operations that draw one number for a whole channel. */
const drawsChannels = /dropout[123]d|feature_.*dropout|Dropout[123]d|FeatureAlphaDropout/;

function independentSamples(call: string, shape: readonly number[], repeats: number): number {
  const perCall = drawsChannels.test(call)
    ? shape.slice(0, 2).reduce((a, b) => a * b, 1)
    : shape.reduce((a, b) => a * b, 1);
  return Math.max(1, perCall) * repeats;
}

/** Starts a record of `ops/random` or `ops/random_extra`. */
export function startRandom(record: CaseRecord, { library, index }: Context): Prepared | null {
  const call = String(record.call);
  if (call.startsWith('aten.')) return null;
  const stats = record.stats as Readonly<Record<string, Encoded>> | undefined;
  if (stats === undefined) throw new Error('the record has no statistics');
  if (!library.has(call)) throw new MissingOperation(`${call} does not exist`);
  const signatures = index.get(call)?.signatures;
  const repeats = numberField(stats.repeats) ?? 300;
  const results = Array.from({ length: repeats }, () => {
    const { args, kwargs } = decodeArguments(record, library, false);
    return library.call({ name: call, args, kwargs, ...(signatures === undefined ? {} : { signatures }) });
  });
  const expected: TensorData = { dtype: String(stats.dtype), shape: stats.shape as readonly number[], data: [] };
  return {
    // Read one by one: three hundred equal graphs share one plan, three hundred together would be a plan of their own.
    pending: [],
    check() {
      const samples: number[] = [];
      for (const result of results) {
        if (!library.isTensor(result)) return { kind: 'structure', detail: 'out: expected a tensor' };
        const data = library.read(result);
        const meta = compareMeta(data, expected, 'out');
        if (meta !== null) return meta;
        samples.push(...realParts(data));
      }
      return compareMoments(
        momentsOf(samples),
        expectedStatistics(stats),
        independentSamples(call, expected.shape, repeats),
      );
    },
  };
}

function constantChannels(library: Library, tensors: readonly unknown[]): boolean {
  return tensors.every((t) => {
    const { shape, data } = library.read(t);
    const channels = (shape[0] ?? 1) * (shape[1] ?? 1);
    const size = data.length / channels;
    return Array.from(data).every((x, i) => x === data[Math.floor(i / size) * size]);
  });
}

/** Starts a record of `nn/random`: a module in train mode over a constant input ("all 1, shape [8, 40, 5]"). */
export function startModuleRandom(record: CaseRecord, { library }: Context): Prepared {
  const described = /all (-?[\d.]+), shape \[([\d, ]*)\]/.exec(String(record.input));
  if (described === null) throw new Error(`the input "${String(record.input)}" is not understood`);
  const shape = (described[2] ?? '').split(',').filter(Boolean).map(Number);
  const value = Number(described[1]);
  const name = `torch.nn.${String(record.class)}`;
  const ctor = decodeArguments(record.ctor as { args: Encoded; kwargs: Encoded }, library, false);
  const module = library.construct(name, ctor.args, ctor.kwargs);
  library.setTraining(module, true);
  const count = shape.reduce((a, b) => a * b, 1);
  const repeats = 20;
  const outputs = Array.from({ length: repeats }, () => {
    const input = library.tensor({ dtype: 'float32', shape, data: new Array<number>(count).fill(value) });
    return library.forward(module, name, [input], {});
  });
  return {
    pending: [],
    check(): Failure | null {
      const samples = outputs.flatMap((t) => Array.from(library.read(t).data, Number));
      // The recorded sample is one call: its own error is the larger part.
      const failure = compareMoments(
        momentsOf(samples),
        expectedStatistics(record as Readonly<Record<string, Encoded>>),
        independentSamples(name, shape, 1),
      );
      if (failure !== null) return failure;
      const constant = record.channel_constant === true;
      return constant === constantChannels(library, outputs)
        ? null
        : { kind: 'value', detail: `channels are ${constant ? 'not ' : ''}constant` };
    },
  };
}
