/**
 * Nested states (state dicts of models and optimisers, positions, settings) in one safetensors file: tensors under the path that leads to them,
 * everything else as JSON in the metadata, with a checksum over the elements. One file, so that one rename replaces all of it.
 */
import { ProjError } from '@proj/kernel';
import { evaluate } from '../evaluate.ts';
import { Tensor } from '../tensor.ts';
import { type LoadOptions, tensorBytes } from './bytes.ts';
import { describeSource, type Source } from './files.ts';
import { openSafetensors, safetensorsBytes, saveSafetensors } from './safetensors.ts';

/** What can be saved: tensors, numbers (NaN and infinities too), bigints, strings, booleans, null, arrays, maps with string keys and plain objects of these. */
export type State =
  | Tensor
  | number
  | bigint
  | string
  | boolean
  | null
  | undefined
  | readonly State[]
  | ReadonlyMap<string, State>
  | { readonly [key: string]: State };

type Json = number | string | boolean | null | Json[] | { [key: string]: Json };

const STRUCTURE = 'proj.structure';
const CHECKSUM = 'proj.crc32';

function encode(value: State, path: readonly string[], tensors: Map<string, Tensor>): Json {
  if (value instanceof Tensor) {
    let name = path.join('.') || 'value';
    while (tensors.has(name)) name += '_';
    tensors.set(name, value);
    return { $tensor: name };
  }
  if (typeof value === 'bigint') return { $bigint: String(value) };
  if (typeof value === 'number')
    return Number.isFinite(value) && !Object.is(value, -0)
      ? value
      : { $number: Object.is(value, -0) ? '-0' : String(value) };
  if (value === null || value === undefined || typeof value === 'string' || typeof value === 'boolean')
    return value ?? null;
  if (Array.isArray(value)) return value.map((item: State, i) => encode(item, [...path, String(i)], tensors));
  if (typeof value !== 'object')
    throw new ProjError('serialization', `a ${typeof value} at "${path.join('.')}" cannot be saved`, { op: 'save' });
  const entries =
    value instanceof Map
      ? [...(value as ReadonlyMap<string, State>)]
      : Object.entries(value as Record<string, State>).filter(([, item]) => item !== undefined);
  const fields = Object.fromEntries(entries.map(([key, item]) => [key, encode(item, [...path, key], tensors)]));
  return value instanceof Map || entries.some(([key]) => key.startsWith('$'))
    ? { [value instanceof Map ? '$map' : '$object']: Object.entries(fields) }
    : fields;
}

function decode(value: Json, tensor: (name: string) => Tensor): State {
  if (Array.isArray(value)) return value.map((item) => decode(item, tensor));
  if (typeof value !== 'object' || value === null) return value;
  if ('$tensor' in value) return tensor(String(value['$tensor']));
  if ('$bigint' in value) return BigInt(String(value['$bigint']));
  if ('$number' in value) return Number(value['$number']);
  if ('$map' in value)
    return new Map((value['$map'] as [string, Json][]).map(([key, item]) => [key, decode(item, tensor)]));
  const entries = '$object' in value ? (value['$object'] as [string, Json][]) : Object.entries(value);
  return Object.fromEntries(entries.map(([key, item]) => [key, decode(item, tensor)]));
}

type Checksum = (data: Uint8Array, start: number) => number;
/** CRC-32 where the platform has it (Node 22.2 and later). */
const checksumFunction = (): Checksum | null => globalThis.process?.getBuiltinModule?.('node:zlib').crc32 ?? null;

/** Over the tensors in the order of their names. */
function checksumOf(names: readonly string[], bytes: (name: string) => Uint8Array): string | null {
  const crc = checksumFunction();
  if (crc === null) return null;
  return String(names.toSorted().reduce((sum, name) => crc(bytes(name), sum), 0));
}

function prepare(state: State): { tensors: Map<string, Tensor>; metadata: Record<string, string> } {
  const tensors = new Map<string, Tensor>();
  const structure = encode(state, [], tensors);
  evaluate([...tensors.values()].map((tensor) => tensor.detach()));
  const sum = checksumOf([...tensors.keys()], (name) => tensorBytes(tensors.get(name) as Tensor));
  return {
    tensors,
    metadata: { [STRUCTURE]: JSON.stringify(structure), ...(sum === null ? {} : { [CHECKSUM]: sum }) },
  };
}

/** Writes a state to a file, atomically. Errors: a value that cannot be saved; a disk that is full or read-only (the old file stays). */
export function save(state: State, path: string | URL): void {
  const { tensors, metadata } = prepare(state);
  saveSafetensors(path, tensors, { metadata });
}

/** A state as bytes. */
export function saveBytes(state: State): Uint8Array {
  const { tensors, metadata } = prepare(state);
  return safetensorsBytes(tensors, { metadata });
}

/**
 * A state that {@link save} wrote. A plain safetensors file gives its tensors by name. Errors: see `openSafetensors`; elements that do not fit
 * the checksum.
 */
export function load(source: Source, options: LoadOptions = {}): State {
  const where = describeSource(source);
  const file = openSafetensors(source);
  try {
    const wanted = file.metadata[CHECKSUM];
    const actual = wanted === undefined ? null : checksumOf(file.keys(), (name) => file.bytes(name));
    if (actual !== null && actual !== wanted)
      throw new ProjError('serialization', `${where}: the checksum is ${actual}, it should be ${wanted}`, {
        op: 'load',
        cure: 'The file is damaged: use an older one',
      });
    const structure = file.metadata[STRUCTURE];
    if (structure === undefined) return Object.fromEntries(file.keys().map((name) => [name, file.get(name, options)]));
    let parsed: Json;
    try {
      parsed = JSON.parse(structure) as Json;
    } catch (error) {
      throw new ProjError('serialization', `${where}: ${STRUCTURE} is not JSON`, {
        op: 'load',
        cure: 'The file is damaged: use an older one',
        cause: error,
      });
    }
    return decode(parsed, (name) => file.get(name, options));
  } finally {
    file.close();
  }
}
