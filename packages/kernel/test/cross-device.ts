/** Runs a kernel on the reference (`js`) and on another device, on the same data, and compares every byte; a NaN equals any NaN. */
import { type Device, type Kernel, type ScalarType, SCALARS } from '../src/index.ts';

export interface Case {
  readonly kernel: Kernel;
  /** Contents of each buffer parameter, in order. */
  readonly data: readonly Uint8Array[];
  readonly scalars?: readonly (number | bigint)[];
  readonly begin?: number;
  readonly end?: number;
  readonly grain?: number;
  readonly align?: number;
}

export function runOn(
  device: Device,
  { kernel, data, scalars = [], begin = 0, end = 1, grain = 2 ** 30, align = 1 }: Case,
): Uint8Array[] {
  const [compiled] = device.compile([kernel]);
  const buffers = data.map((bytes) => {
    const buffer = device.allocate(bytes.length);
    device.write(buffer, 0, bytes);
    return buffer;
  });
  let binding = 0;
  let scalar = 0;
  const args = kernel.parameters.map((p) =>
    p.kind === 'buffer'
      ? ({ kind: 'buffer', binding: binding++, offset: 0 } as const)
      : ({ kind: 'scalar', scalar: scalar++ } as const),
  );
  const program = device.program([{ kernel: compiled, args, begin, end, grain, align }], binding);
  program.run(buffers, scalars);
  const out = buffers.map((buffer, i) => device.read(buffer, 0, data[i].length));
  for (const buffer of buffers) buffer.dispose();
  program.dispose();
  return out;
}

/** A bit pattern for comparing: all NaNs are one. */
function bitsAt(bytes: Uint8Array, element: ScalarType, i: number): string {
  const size = SCALARS[element].bytes;
  const view = new DataView(bytes.buffer, bytes.byteOffset + i * size, size);
  switch (element) {
    case 'f32':
      return Number.isNaN(view.getFloat32(0, true))
        ? 'NaN'
        : `${view.getFloat32(0, true)} ${view.getUint32(0, true).toString(16)}`;
    case 'f64':
      return Number.isNaN(view.getFloat64(0, true))
        ? 'NaN'
        : `${view.getFloat64(0, true)} ${view.getBigUint64(0, true).toString(16)}`;
    case 'f16':
      return (view.getUint16(0, true) & 0x7fff) > 0x7c00 ? 'NaN' : view.getUint16(0, true).toString(16);
    case 'bf16':
      return (view.getUint16(0, true) & 0x7fff) > 0x7f80 ? 'NaN' : view.getUint16(0, true).toString(16);
    default: {
      let text = '';
      for (let k = size - 1; k >= 0; k--) text += view.getUint8(k).toString(16).padStart(2, '0');
      return text;
    }
  }
}

/** The first difference between what two devices did, or null. */
export function difference(reference: Device, device: Device, c: Case): string | null {
  const expected = runOn(reference, c);
  const actual = runOn(device, c);
  const buffers = c.kernel.parameters.flatMap((p) => (p.kind === 'scalar' ? [] : [p]));
  for (const [b, parameter] of buffers.entries()) {
    const { bytes } = SCALARS[parameter.element];
    for (let i = 0; i < expected[b].length / bytes; i++) {
      const want = bitsAt(expected[b], parameter.element, i);
      const got = bitsAt(actual[b], parameter.element, i);
      if (want !== got)
        return `${parameter.name}[${i}] (${parameter.element}): ${reference.name} ${want}, ${device.name} ${got}`;
    }
  }
  return null;
}

/** A small deterministic generator of numbers in [0, 1) (mulberry32). */
export function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** `count` elements of a type: random ones, among them the special values of the type. */
export function elements(type: ScalarType, count: number, random: () => number): Uint8Array {
  const { bytes } = SCALARS[type];
  const out = new Uint8Array(count * bytes);
  const view = new DataView(out.buffer);
  const floats = [
    0,
    -0,
    1,
    -1,
    0.5,
    -1.5,
    2.5,
    3.5,
    NaN,
    Infinity,
    -Infinity,
    1e-40,
    3e38,
    -3e9,
    3e9,
    70000,
    -70000,
    127.5,
    1e20,
    -1e20,
    65504,
    65520,
    6e-8,
  ];
  for (let i = 0; i < count; i++) {
    const special = random() < 0.3;
    const float = special
      ? floats[Math.floor(random() * floats.length)]
      : (random() - 0.5) * 10 ** Math.floor(random() * 6);
    switch (type) {
      case 'bool':
        view.setUint8(i, random() < 0.5 ? 0 : 1);
        break;
      case 'f32':
        view.setFloat32(i * 4, float, true);
        break;
      case 'f64':
        view.setFloat64(i * 8, float, true);
        break;
      default: {
        const extreme = [0, 1, 0xff, 0x7f, 0x80][Math.floor(random() * 5)];
        for (let k = 0; k < bytes; k++)
          view.setUint8(
            i * bytes + k,
            special
              ? k === bytes - 1 || extreme === 0xff
                ? extreme
                : extreme === 0x7f
                  ? 0xff
                  : k === 0 && extreme === 1
                    ? 1
                    : 0
              : Math.floor(random() * 256),
          );
        if (special && extreme === 1) view.setUint8(i * bytes + bytes - 1, bytes === 1 ? 1 : 0);
        if (!special && bytes > 1 && (type.startsWith('i') || type.startsWith('u')) && random() < 0.5)
          for (let k = 1; k < bytes; k++) view.setUint8(i * bytes + k, 0);
      }
    }
  }
  return out;
}
