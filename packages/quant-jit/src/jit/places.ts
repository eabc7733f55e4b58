/**
 * Where values of a compiled program lie. A *slot* is a device buffer that a step's program binds; a *place* is where a value lies in one; the values of T rows
 * have room for all tokens of a step.
 */
import { type Device, type DeviceBuffer, ProjError } from '@proj/kernel';
import type { Layout } from '../il/il.ts';
import type { ActivationType, Rows, ValueType, WeightType } from '../il/types.ts';
import { controlElements, type StepRow, writeControl } from '../kernels/control.ts';
import { activationColumns, activationScales, activationSums } from '../kernels/linear.ts';
import { rowStride } from '../kernels/rows.ts';
import { PANEL_ROWS, packedLayout } from '../quantize/layout.ts';
import { type ActivationScheme, SCHEMES } from '../quantize/scheme.ts';
import type { ModelWeights } from './weights.ts';

export interface At {
  readonly slot: number;
  /** In bytes. */
  readonly offset: number;
  /** What lies there, where that is to be part of the code; there is no slot then. */
  readonly contents?: Uint8Array;
}
export interface FloatPlace extends At {
  readonly kind: 'f32';
  readonly rows: Rows;
  readonly columns: number;
  /** Elements between rows. */
  readonly stride: number;
}
export interface ActivationPlace {
  readonly kind: ActivationScheme;
  readonly rows: Rows;
  readonly columns: number;
  readonly codes: At;
  readonly scales: At;
  readonly sums: At;
}
export interface SumsPlace extends At {
  readonly kind: 'i32';
  readonly rows: Rows;
  readonly columns: number;
  readonly groups: number;
}
interface TokensPlace extends At {
  readonly kind: 'tokens';
}
export interface WeightValue extends At {
  readonly kind: 'weight';
  readonly type: WeightType;
  readonly layout: Layout;
}
export type ValuePlace = FloatPlace | ActivationPlace | SumsPlace | TokensPlace | WeightValue;

/** What a slot is, so that it can be made again: bytes, perhaps with contents, or the buffer that a weight lies in. */
export type SlotRecord =
  { readonly name: string; readonly bytes: number; readonly contents?: Float32Array } | { readonly weight: string };

/** Device memory of a compiled program; what both lowerings share. */
export class StepMemory {
  readonly device: Device;
  /** Buffers in the order of their bindings. */
  readonly slots: DeviceBuffer[] = [];
  /** Most tokens of a part of a prompt. */
  readonly tokens: number;
  /** Sequences that the caches hold. */
  readonly sequences: number;
  /** Rows of a batch, which has room for a token of each sequence. */
  readonly batch: number;
  /** Positions of the caches, a multiple of 16. */
  readonly positions: number;
  /** The tokens of the step, and the last of them alone (see control.ts). */
  readonly control: At;
  readonly lastControl: At;
  /** What the slots are, in their order. */
  readonly records: SlotRecord[] = [];
  readonly #made = new Map<string, At>();
  readonly #weights: ModelWeights;

  readonly #control: Int32Array;

  constructor(device: Device, positions: number, weights: ModelWeights, tokens: number, sequences = 1) {
    this.device = device;
    this.#weights = weights;
    this.tokens = Math.ceil(tokens / PANEL_ROWS) * PANEL_ROWS;
    this.positions = Math.max(PANEL_ROWS, Math.ceil(positions / PANEL_ROWS) * PANEL_ROWS);
    this.sequences = sequences;
    this.batch = batchRows(sequences);
    const elements = controlElements(Math.max(this.tokens, this.batch));
    this.#control = new Int32Array(elements + controlElements(1));
    this.control = this.allocate('control', this.#control.byteLength);
    this.lastControl = { slot: this.control.slot, offset: elements * 4 };
  }

  /** Says what the next step's tokens are. */
  writeRows(rows: readonly StepRow[]): void {
    writeControl(this.#control, rows);
    writeControl(this.#control.subarray(this.lastControl.offset / 4), rows.slice(-1));
    this.device.write(this.slots[this.control.slot], 0, new Uint8Array(this.#control.buffer));
  }

  /** The buffer of a name. What it holds at first is undefined: kernels read no more than was written. */
  allocate(name: string, bytes: number): At {
    const found = this.#made.get(name);
    if (found !== undefined) return found;
    const buffer = this.device.allocate(Math.max(64, Math.ceil(bytes / 64) * 64));
    const place = { slot: this.#slot(buffer, { name, bytes }), offset: 0 };
    this.#made.set(name, place);
    return place;
  }

  /** A buffer with these numbers. */
  constant(name: string, data: Float32Array): At {
    const known = this.#made.has(name);
    const place = this.allocate(name, data.byteLength);
    if (!known) {
      this.device.write(this.slots[place.slot], 0, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
      this.records[place.slot] = { name, bytes: data.byteLength, contents: data };
    }
    return place;
  }

  weight(name: string): At {
    const place = this.#weights.place(name);
    if ('contents' in place) return { slot: -1, offset: 0, contents: place.contents };
    return { slot: this.#slot(place.buffer, { weight: name }), offset: place.offset };
  }

  /** The slot of this record here: the one that there is, or another like it. */
  remake(record: SlotRecord): number {
    if ('weight' in record) return this.weight(record.weight).slot;
    const { name, bytes, contents } = record;
    return (contents === undefined ? this.allocate(name, bytes) : this.constant(name, contents)).slot;
  }

  /** Gives back what was allocated here; the weights stay. */
  dispose(): void {
    for (const { slot } of this.#made.values()) this.slots[slot].dispose();
  }

  #slot(buffer: DeviceBuffer, record: SlotRecord): number {
    const found = this.slots.indexOf(buffer);
    if (found >= 0) return found;
    this.records.push(record);
    return this.slots.push(buffer) - 1;
  }
}

/** Rows of a batch of so many sequences: linear layers work on two, four or eight tokens at a time. */
export const batchRows = (sequences: number): number =>
  sequences > 4 ? 8 * Math.ceil(sequences / 8) : 2 ** Math.ceil(Math.log2(sequences));

/** Bytes of a row of a value, as kernels lay it out. */
export function rowBytes(type: ValueType): number {
  switch (type.kind) {
    case 'tokens':
      return 4;
    case 'f32':
      return 4 * rowStride(type.columns);
    case 'i32':
      return 4 * type.columns * type.groups;
    case 'a8g32':
    case 'a8':
      return (
        activationColumns(type.columns) + 4 * (activationScales(type.kind, type.columns) + activationSums(type.columns))
      );
    case 'a1':
      return activationColumns(type.columns) / 8 + 4;
    case 'weight':
      return 0;
    default:
      return type satisfies never;
  }
}

export function activationPlace(
  { kind, rows, columns }: ActivationType,
  slot: number,
  offset: number,
  room: number,
): ActivationPlace {
  const scales = offset + room * (kind === 'a1' ? activationColumns(columns) / 8 : activationColumns(columns));
  const sums = scales + room * 4 * activationScales(kind, columns);
  const at = (where: number): At => ({ slot, offset: where });
  return { kind, rows, columns, codes: at(offset), scales: at(scales), sums: at(sums) };
}

export const wrongKind = (wanted: string, found: string): ProjError =>
  new ProjError('kernel-verification', `a value is ${found}, not ${wanted}`, {
    op: 'lower',
    cure: 'Verify the program',
  });

export function asFloats(place: ValuePlace | undefined): FloatPlace {
  if (place?.kind !== 'f32') throw wrongKind('f32', place?.kind ?? 'missing');
  return place;
}
export function asActivation(place: ValuePlace | undefined): ActivationPlace {
  if (place?.kind === 'a8g32' || place?.kind === 'a8' || place?.kind === 'a1') return place;
  throw wrongKind('activations', place?.kind ?? 'missing');
}
export function asSums(place: ValuePlace | undefined): SumsPlace {
  if (place?.kind !== 'i32') throw wrongKind('i32', place?.kind ?? 'missing');
  return place;
}
export function asWeight(place: ValuePlace | undefined): WeightValue {
  if (place?.kind !== 'weight') throw wrongKind('a weight', place?.kind ?? 'missing');
  return place;
}

/** Codes, scales and minimums of a packed matrix. */
export function weightParts(weight: WeightValue): { codes: At; scales: At; minimums: readonly At[] } {
  const { slot, offset, contents, type } = weight;
  const scheme = SCHEMES[type.scheme];
  const { scales, minimums, bytes } = packedLayout(scheme, type.shape[0], type.shape[1]);
  const part = (begin: number, end: number): At => ({
    slot,
    offset: offset + begin,
    ...(contents === undefined ? {} : { contents: contents.subarray(begin, end) }),
  });
  return {
    codes: part(0, scales),
    scales: part(scales, minimums),
    minimums: scheme.asymmetric ? [part(minimums, bytes)] : [],
  };
}
