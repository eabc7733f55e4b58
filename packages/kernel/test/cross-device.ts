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
