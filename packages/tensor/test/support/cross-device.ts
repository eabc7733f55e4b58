/** Runs every row of the op table on its samples, on one device or another, and compares what comes out. */
import {
  type CompiledKernel,
  type Device,
  type DeviceBuffer,
  type DeviceFeatures,
  type DType,
  type Kernel,
  type Launch,
  type Program,
} from '@proj/kernel';
import { evaluate, opTable, Tensor } from '@proj/tensor';
import { type Accuracy, SampleMaker, samplesOf, type OpSample } from '@proj/tensor/testing';

export interface Case {
  readonly op: string;
  readonly fn: (...args: unknown[]) => unknown;
  readonly sample: OpSample;
  readonly dtype: DType;
  readonly accuracy: Accuracy;
}
export const labelOf = (c: Case): string => `${c.op} (${c.sample.name}, ${c.dtype})`;

/** Every row × sample × dtype; `dtypes` leaves others out. */
export function allCases(dtypes: readonly DType[] | null = null): Case[] {
  return opTable.flatMap((row) => {
    const of = samplesOf(row);
    if (of === null) return [];
    return of.samples.flatMap((sample) =>
      sample.dtypes
        .filter((dtype) => dtypes === null || dtypes.includes(dtype))
        .map((dtype): Case => ({
          op: row.name,
          fn: row.fn as unknown as Case['fn'],
          sample,
          dtype,
          accuracy: sample.accuracy ?? of.accuracy,
        })),
    );
  });
}

/** A tensor of a result, or another value as text. */
export type Output =
  | { readonly dtype: DType; readonly shape: readonly number[]; readonly elements: ArrayLike<number | bigint> }
  | { readonly text: string };
export interface Outcome {
  readonly outputs: readonly Output[];
  /** What the call or its evaluation threw. */
  readonly error: string | null;
  /** Largest sum of magnitudes of an argument: what rounding errors of sums are measured by. */
  readonly magnitude: number;
}

function collect(value: unknown, tensors: Tensor[], texts: string[]): void {
  if (value instanceof Tensor) tensors.push(value);
  else if (Array.isArray(value)) for (const item of value) collect(item, tensors, texts);
  else if (typeof value === 'object' && value !== null)
    for (const item of Object.values(value)) collect(item, tensors, texts);
  else texts.push(String(value));
}

interface Built {
  readonly tensors: Tensor[];
  readonly texts: string[];
  readonly magnitude: number;
  readonly error: string | null;
}
const magnitudesOf = (x: Tensor): number[] =>
  Array.from(x.detach().toTypedArray() as ArrayLike<number | bigint>, (v) => Math.abs(Number(v))).filter((v) =>
    Number.isFinite(v),
  );
/** A bound on the sum of magnitudes behind any element of the result: Σ|a| of one operand, Σ|a|·max|b| of two, Σ|a|·Σ|b|·Σ|c| of more. */
function magnitudeOf(leaves: readonly Tensor[]): number {
  const all = leaves.map(magnitudesOf);
  const sums = all.map((values) =>
    Math.max(
      1,
      values.reduce((a, b) => a + b, 0),
    ),
  );
  if (all.length !== 2) return sums.reduce((a, b) => a * b, 1);
  const largest = all.map((values) => Math.max(1, ...values));
  return Math.min(sums[0] * largest[1], sums[1] * largest[0]);
}

function build(c: Case, device: Device): Built {
  const make = new SampleMaker(device, c.dtype);
  const tensors: Tensor[] = [];
  const texts: string[] = [];
  try {
    const args = c.sample.args(make);
    const magnitude = c.accuracy === 'sum' ? magnitudeOf(make.leaves) : 0;
    collect(c.fn(...args), tensors, texts);
    return { tensors, texts, magnitude, error: null };
  } catch (error) {
    return { tensors: [], texts: [], magnitude: 0, error: error instanceof Error ? error.message : String(error) };
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Runs all cases; many results are computed in one evaluation, and one by one where that fails. */
export function runCases(cases: readonly Case[], device: Device, chunk = 24): Outcome[] {
  const outcomes: Outcome[] = [];
  for (let at = 0; at < cases.length; at += chunk) {
    const part = cases.slice(at, at + chunk).map((c) => build(c, device));
    let together = true;
    try {
      evaluate(part.flatMap((b) => b.tensors));
    } catch {
      together = false;
    }
    for (const { tensors, texts, magnitude, error } of part) {
      let failure = error;
      let outputs: Output[] = [];
      if (failure === null) {
        try {
          if (!together) evaluate(tensors);
          outputs = [
            ...tensors.map((t): Output => ({ dtype: t.dtype, shape: t.shape, elements: t.toTypedArray() })),
            ...texts.map((text): Output => ({ text })),
          ];
        } catch (caught) {
          failure = messageOf(caught);
        }
      }
      outcomes.push({ outputs, error: failure, magnitude });
    }
  }
  return outcomes;
}

const MANTISSA: Partial<Record<DType, { readonly bits: number; readonly least: number }>> = {
  float64: { bits: 52, least: -1022 },
  float32: { bits: 23, least: -126 },
  float16: { bits: 10, least: -14 },
  bfloat16: { bits: 7, least: -126 },
  complex64: { bits: 23, least: -126 },
  complex128: { bits: 52, least: -1022 },
};

/** The distance of neighbouring numbers of a floating-point dtype at x. */
function spacing(x: number, dtype: DType): number {
  const { bits, least } = MANTISSA[dtype] ?? { bits: 52, least: -1022 };
  return 2 ** (Math.max(least, Math.floor(Math.log2(Math.max(Math.abs(x), Number.MIN_VALUE)))) - bits);
}

const ULPS: Record<Exclude<Accuracy, 'sum'>, number> = { exact: 0, rounded: 1, function: 4, composed: 64, solved: 512 };
/** Roundings of the sum of magnitudes that a sum may differ by. */
const SUM_ROUNDINGS = 8;

function allowed(expected: number, accuracy: Accuracy, dtype: DType, magnitude: number): number {
  if (accuracy !== 'sum')
    return (
      ULPS[accuracy] *
      spacing(accuracy === 'composed' || accuracy === 'solved' ? Math.max(1, Math.abs(expected)) : expected, dtype)
    );
  return SUM_ROUNDINGS * 2 ** -((MANTISSA[dtype]?.bits ?? 52) + 1) * Math.max(magnitude, Math.abs(expected));
}

/** What differs between two outcomes of a case, or null. */
export function difference(c: Case, expected: Outcome, found: Outcome): string | null {
  if (expected.error !== null || found.error !== null)
    return expected.error === found.error
      ? null
      : `${labelOf(c)}: ${found.error ?? 'no error'}, expected ${expected.error ?? 'no error'}`;
  if (expected.outputs.length !== found.outputs.length)
    return `${labelOf(c)}: ${found.outputs.length} results, expected ${expected.outputs.length}`;
  for (let k = 0; k < expected.outputs.length; k++) {
    const [e, f] = [expected.outputs[k], found.outputs[k]];
    if ('text' in e || 'text' in f) {
      if (!('text' in e && 'text' in f) || e.text !== f.text)
        return `${labelOf(c)}: ${JSON.stringify(f)}, expected ${JSON.stringify(e)}`;
      continue;
    }
    if (e.dtype !== f.dtype || e.shape.join() !== f.shape.join())
      return `${labelOf(c)}: ${f.dtype}[${f.shape}], expected ${e.dtype}[${e.shape}]`;
    for (let i = 0; i < e.elements.length; i++) {
      const [x, y] = [e.elements[i], f.elements[i]];
      if (x === y || (Number.isNaN(x) && Number.isNaN(y))) continue;
      const float = MANTISSA[e.dtype] !== undefined;
      const off = Math.abs(Number(x) - Number(y));
      if (!float || !(off <= allowed(Number(x), c.accuracy, e.dtype, expected.magnitude))) {
        return `${labelOf(c)}: result ${k} element ${i} is ${y}, expected ${x}${float ? ` (${(off / spacing(Number(x), e.dtype)).toFixed(1)} ulp)` : ''}`;
      }
    }
  }
  return null;
}

/** Whether two outcomes are the same bit for bit (but for NaN payloads). */
export function sameBits(c: Case, a: Outcome, b: Outcome): string | null {
  return difference({ ...c, accuracy: 'exact' }, a, b);
}

/** A device that splits every launch over its threads, however small: what runs in one piece elsewhere is cut as finely as it can be. */
export class FinelySplit implements Device {
  readonly name: string;
  readonly features: DeviceFeatures;
  readonly #device: Device;
  constructor(device: Device) {
    this.#device = device;
    this.name = device.name;
    this.features = device.features;
  }
  allocate(bytes: number): DeviceBuffer {
    return this.#device.allocate(bytes);
  }
  write(buffer: DeviceBuffer, offset: number, data: Uint8Array): void {
    this.#device.write(buffer, offset, data);
  }
  read(buffer: DeviceBuffer, offset: number, bytes: number): Uint8Array<ArrayBuffer> {
    return this.#device.read(buffer, offset, bytes);
  }
  compile(kernels: readonly Kernel[]): CompiledKernel[] {
    return this.#device.compile(kernels);
  }
  program(launches: readonly Launch[], bindings: number): Program {
    return this.#device.program(
      launches.map((launch) => ({ ...launch, grain: 1 })),
      bindings,
    );
  }
  setThreads(threads: number): void {
    this.#device.setThreads(threads);
  }
  memory(): { readonly used: number; readonly pooled: number } {
    return this.#device.memory();
  }
  dispose(): void {
    this.#device.dispose();
  }
}
