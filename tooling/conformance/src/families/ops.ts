// `ops/*`: one call each, with gradients, and again as the Tensor method, as the in-place method and under each alias.
import { compareFactorisation } from '../compare-modes.ts';
import { compareValue, failureOf, gradientTolerance, outputTolerance, tensorsIn, tupleEntry } from '../compare.ts';
import type { CompareOptions, Failure } from '../compare.ts';
import { decodeTensorData, decodeValue, hasTag, isTagged, PyValue } from '../encoded.ts';
import type { CaseRecord, Encoded, Tagged, TensorData } from '../encoded.ts';
import type { Library, Prepared } from '../library.ts';
import { decodeArguments, deviation, firstFailure, tensorDecoder } from './family.ts';
import type { Arguments, Context, IndexEntry } from './family.ts';

/** The value at a path such as `out.0.1`, with the expected value as a guide to field names. */
export function valueAt(root: unknown, expected: Encoded | undefined, path: string): unknown {
  let value = root;
  let guide = expected;
  for (const step of path.split('.').slice(1)) {
    const index = Number(step);
    const tuple = hasTag(guide, 'tuple') ? guide : undefined;
    const items = (tuple?.v ?? guide) as readonly Encoded[] | undefined;
    value = tupleEntry(value, index, tuple?.fields as readonly string[] | undefined);
    guide = Array.isArray(items) ? items[index] : undefined;
  }
  return value;
}

/** The gradients of `L = Re Σ conj(cot) · out` for the leaves, lazily; null without cotangents. */
export function gradientsOf(
  record: CaseRecord,
  out: unknown,
  leaves: ReadonlyMap<string, unknown>,
  library: Library,
  fields: readonly string[],
): Map<string, unknown> | null {
  const cot = record.cot as Readonly<Record<string, Encoded>> | undefined;
  if (cot === undefined || Object.keys(cot).length === 0) return null;
  const wanted = fields.flatMap((field) => Object.keys((record[field] as object | undefined) ?? {}));
  const names = wanted.filter((path) => leaves.has(path));
  if (names.length === 0) return new Map();
  const plain = tensorDecoder(library, new Map(), false);
  const outputs: unknown[] = [];
  const cotangents: unknown[] = [];
  for (const [path, value] of Object.entries(cot)) {
    const output = valueAt(out, record.out, path);
    if (output === undefined) throw new Error(`the result has no entry ${path}`);
    outputs.push(
      record.cot_abs === undefined ? output : library.call({ name: 'torch.abs', args: [output], kwargs: {} }),
    );
    cotangents.push(decodeValue(value, plain, path));
  }
  const results = library.grad(
    outputs,
    names.map((name) => leaves.get(name)),
    cotangents,
  );
  return new Map(names.map((name, i) => [name, results[i] ?? null]));
}

/** Compares gradients by path; None may be zeros, and a sparse gradient may be dense. */
export function compareGradients(
  expected: Readonly<Record<string, Encoded>>,
  actual: ReadonlyMap<string, unknown>,
  library: Library,
  dev: number,
): Failure | null {
  const options: CompareOptions = { tolerance: gradientTolerance(dev), denseForSparse: true };
  for (const [path, wanted] of Object.entries(expected)) {
    const gradient = actual.get(path) ?? null;
    let failure: Failure | null;
    if (wanted === null) {
      const zeros = gradient === null || Array.from(library.read(gradient).data).every((x) => Number(x) === 0);
      failure = zeros ? null : { kind: 'gradient', detail: `${path}: a gradient, expected none` };
    } else if (gradient === null) {
      const zeros = hasTag(wanted, 'tensor') && decodeTensorData(wanted).data;
      failure =
        zeros !== false && Array.from(zeros).every((x) => Number(x) === 0)
          ? null
          : { kind: 'gradient', detail: `${path}: no gradient` };
    } else failure = compareValue(gradient, wanted, library, options, `gradient of ${path}`);
    if (failure !== null) return { ...failure, kind: 'gradient' };
  }
  return null;
}

const factorisations: ReadonlySet<string> = new Set(['svd', 'lowrank', 'eigh', 'eig', 'eigvals', 'qr', 'geqrf']);

function expectedTensors(out: Encoded | undefined): TensorData[] {
  const items = isTagged(out) && out.$ === 'tuple' ? (out.v as readonly Encoded[]) : [out];
  return items.filter((item): item is Tagged => hasTag(item, 'tensor')).map(decodeTensorData);
}

function compareOutput(
  record: CaseRecord,
  out: unknown,
  input: unknown,
  kwargs: Readonly<Record<string, unknown>>,
  library: Library,
  options: CompareOptions,
): Failure | null {
  const mode = String(record.cmp ?? 'close');
  if (!factorisations.has(mode)) return compareValue(out, record.out ?? null, library, options, 'out');
  const expected = expectedTensors(record.out);
  const fields = hasTag(record.out, 'tuple') ? (record.out.fields as readonly string[] | undefined) : undefined;
  const actual = expected.map((_, i) => (library.isTensor(out) ? out : tupleEntry(out, i, fields)));
  if (!actual.every((t) => library.isTensor(t)))
    return { kind: 'structure', detail: `out: expected ${expected.length} tensors` };
  return compareFactorisation({
    mode,
    call: String(record.call),
    kwargs,
    input: library.read(input),
    actual: actual.map((t) => library.read(t)),
    expected,
    tolerance: options.tolerance,
  });
}

const pythonName = (alias: string): string => (/^(torch|Tensor)\./.test(alias) ? alias : `torch.${alias}`);

const returnsIndices: ReadonlySet<string> = new Set(['argmax', 'argmin', 'argsort']);

interface Variation {
  readonly label: string;
  readonly call: string;
  readonly inplace: boolean;
}

function variationsOf(record: CaseRecord, entry: IndexEntry | undefined, library: Library): Variation[] {
  const call = String(record.call);
  const variations: Variation[] = [];
  if (typeof record.method === 'string')
    variations.push({ label: `method ${record.method}`, call: `Tensor.${record.method}`, inplace: false });
  if (typeof record.inplace === 'string')
    variations.push({ label: `in-place ${record.inplace}`, call: `Tensor.${record.inplace}`, inplace: true });
  for (const alias of entry?.aliases ?? []) {
    const name =
      call.startsWith('Tensor.') && !alias.includes('.') && !library.has(pythonName(alias))
        ? `Tensor.${alias}`
        : pythonName(alias);
    variations.push({ label: `alias ${alias}`, call: name, inplace: false });
  }
  return variations;
}

/** Starts a record of `ops/*`. */
export function startOperation(record: CaseRecord, context: Context): Prepared | null {
  const { library, index } = context;
  const call = String(record.call);
  const entry = index.get(`${String(record.op)}/${String(record.variant ?? '')}`);
  if (
    call.startsWith('aten.') ||
    entry?.internal === true ||
    entry?.prototype === true ||
    call.startsWith('torch.masked.')
  )
    return null;
  const signatures = entry?.signatures ?? index.get(call)?.signatures;
  const invoke = (name: string, { args, kwargs }: Arguments): unknown =>
    library.call({ name, args, kwargs, ...(signatures === undefined ? {} : { signatures }) });
  const [devOut, devGrad] = deviation(record);
  const flags = (record.flags as readonly string[] | undefined) ?? [];
  const ties = flags.includes('ties');
  const options: CompareOptions = {
    tolerance: outputTolerance(devOut),
    ignoreIndices: ties,
    metaOnly: record.cmp === 'shape' || (ties && returnsIndices.has(String(record.op).split('/')[0] ?? '')),
  };
  const mutates = /[^_]_$/.test(call);

  const decoded = decodeArguments(record, library, true);
  // A leaf that requires a gradient cannot be written: PyTorch's answer is that of a copy.
  const written = mutates && hasTag((record.args as readonly Encoded[])[0], 'tensor') && decoded.leaves.has('args.0');
  const main = written
    ? {
        ...decoded,
        args: [library.call({ name: 'Tensor.clone', args: [decoded.args[0]], kwargs: {} }), ...decoded.args.slice(1)],
      }
    : decoded;
  const out = invoke(call, main);
  const gradients = gradientsOf(record, out, main.leaves, library, ['grad']);
  const pending = tensorsIn([out, gradients === null ? [] : [...gradients.values()]], (v) => library.isTensor(v));
  const checks: (() => Failure | null)[] = [
    () => compareOutput(record, out, main.args[0], pythonKwargs(main.kwargs), library, options),
    () =>
      mutates && hasTag(record.out, 'tensor')
        ? compareValue(main.args[0], record.out, library, options, 'the mutated input')
        : null,
    () =>
      gradients === null
        ? null
        : compareGradients(record.grad as Readonly<Record<string, Encoded>>, gradients, library, devGrad),
  ];
  for (const variation of variationsOf(record, entry, library)) {
    const labelled = (failure: Failure | null): Failure | null =>
      failure && { ...failure, detail: `${variation.label}: ${failure.detail}` };
    const fresh = decodeArguments(record, library, false);
    let result: unknown;
    try {
      result = invoke(variation.call, fresh);
    } catch (error) {
      checks.push(() => labelled(failureOf(error)));
      continue;
    }
    const input = fresh.args[0];
    pending.push(...tensorsIn([result, variation.inplace ? input : null], (v) => library.isTensor(v)));
    checks.push(() => labelled(compareOutput(record, result, input, pythonKwargs(fresh.kwargs), library, options)));
    if (variation.inplace)
      checks.push(() => labelled(compareValue(input, record.out ?? null, library, options, 'the mutated input')));
  }
  return { pending, check: () => firstFailure(checks) };
}

function pythonKwargs(kwargs: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    Object.entries(kwargs).map(([key, value]) => [key, value instanceof PyValue ? value.value : value]),
  );
}

/** Starts a record of `ops/errors`: it passes when the call, or reading its result, throws; an operation that does not exist fails. */
export function startError(record: CaseRecord, { library, index }: Context): Prepared | null {
  const call = String(record.call);
  const entry = index.get(`${String(record.op)}/${String(record.variant ?? '')}`);
  if (call.startsWith('aten.') || entry?.internal === true || entry?.prototype === true) return null;
  const { args, kwargs } = decodeArguments(record, library, true);
  const signatures = entry?.signatures;
  return {
    pending: [],
    check() {
      if (!library.has(call)) return { kind: 'missing', detail: `${call} does not exist` };
      try {
        const out = library.call({ name: call, args, kwargs, ...(signatures === undefined ? {} : { signatures }) });
        for (const t of tensorsIn(out, (v) => library.isTensor(v))) library.read(t);
      } catch (error) {
        const code = (error as { code?: unknown } | null)?.code;
        return code === 'not-implemented' ? { kind: 'missing', detail: (error as Error).message } : null;
      }
      return {
        kind: 'no-error',
        detail: `nothing was thrown; PyTorch: ${String(record.error_type)}: ${String(record.message)}`,
      };
    },
  };
}
