/** Runs one kernel on a device, and compares two devices byte by byte. */
import type { Argument, Device } from '../device/device.ts';
import type { Kernel } from '../ir/ir.ts';
import { SCALARS, type ScalarType } from '../ir/types.ts';

/** What a kernel is run on. */
export interface KernelInputs {
  /** Contents of each buffer parameter, in order. */
  readonly buffers: readonly Uint8Array[];
  /** Each scalar parameter, in order. */
  readonly scalars?: readonly (number | bigint)[];
  readonly begin?: number;
  readonly end: number;
  /** See `Launch`: how the range is split over threads. */
  readonly grain?: number;
  readonly align?: number;
}

/** Runs `kernel` once over `inputs` and gives the contents of each buffer parameter afterwards. */
export function runKernel(device: Device, kernel: Kernel, inputs: KernelInputs): Uint8Array[] {
  const [compiled] = device.compile([kernel]);
  const buffers = inputs.buffers.map((bytes) => {
    const buffer = device.allocate(bytes.byteLength);
    device.write(buffer, 0, bytes);
    return buffer;
  });
  let binding = 0;
  let scalar = 0;
  const args = kernel.parameters.map((p): Argument =>
    p.kind === 'buffer' ? { kind: 'buffer', binding: binding++, offset: 0 } : { kind: 'scalar', scalar: scalar++ },
  );
  const { begin = 0, end, grain = 2 ** 30, align = 1 } = inputs;
  const program = device.program([{ kernel: compiled, args, begin, end, grain, align }], binding);
  program.run(buffers, inputs.scalars ?? []);
  const results = buffers.map((buffer, i) => device.read(buffer, 0, inputs.buffers[i].byteLength));
  for (const buffer of buffers) buffer.dispose();
  program.dispose();
  return results;
}

/** The elements of `bytes` as text: equal text means equal elements, all NaN being one. */
function elementText(view: DataView, element: ScalarType, i: number): string {
  switch (element) {
    case 'f32':
      return floatText(view.getFloat32(i * 4, true));
    case 'f64':
      return floatText(view.getFloat64(i * 8, true));
    case 'f16':
      return (view.getUint16(i * 2, true) & 0x7fff) > 0x7c00 ? 'NaN' : `0x${view.getUint16(i * 2, true).toString(16)}`;
    case 'bf16':
      return (view.getUint16(i * 2, true) & 0x7fff) > 0x7f80 ? 'NaN' : `0x${view.getUint16(i * 2, true).toString(16)}`;
    case 'bool':
    case 'u8':
      return String(view.getUint8(i));
    case 'i8':
      return String(view.getInt8(i));
    case 'i16':
      return String(view.getInt16(i * 2, true));
    case 'u16':
      return String(view.getUint16(i * 2, true));
    case 'i32':
      return String(view.getInt32(i * 4, true));
    case 'u32':
      return String(view.getUint32(i * 4, true));
    case 'i64':
    case 'index':
      return String(view.getBigInt64(i * 8, true));
    default:
      return element satisfies never;
  }
}

const floatText = (x: number): string => (Object.is(x, -0) ? '-0' : String(x));

/** Distance of two floats in units in the last place of `element`; 0 where both are NaN. */
function distance(view: DataView, other: DataView, element: 'f32' | 'f64', i: number): number {
  const [x, y] =
    element === 'f32'
      ? [view.getFloat32(i * 4, true), other.getFloat32(i * 4, true)]
      : [view.getFloat64(i * 8, true), other.getFloat64(i * 8, true)];
  if (Object.is(x, y)) return 0;
  if (Number.isNaN(x) || Number.isNaN(y)) return Infinity;
  const ordered = (v: DataView): bigint => {
    const raw = element === 'f32' ? BigInt(v.getInt32(i * 4, true)) : v.getBigInt64(i * 8, true);
    return raw >= 0n ? raw : -(raw & (element === 'f32' ? 0x7fffffffn : 0x7fffffffffffffffn));
  };
  const difference = ordered(view) - ordered(other);
  return Number(difference < 0n ? -difference : difference);
}

/**
 * Runs `kernel` on both devices and says where they first differ, or gives null. Integers must be equal; floats may differ by `ulps` units in
 * the last place (0: bit for bit, but for the bits of a NaN).
 */
export function compareDevices(
  reference: Device,
  device: Device,
  kernel: Kernel,
  inputs: KernelInputs,
  ulps = 0,
): string | null {
  const expected = runKernel(reference, kernel, inputs);
  const actual = runKernel(device, kernel, inputs);
  const memories = kernel.parameters.flatMap((p) => (p.kind === 'scalar' ? [] : [p]));
  for (const [k, { name, element }] of memories.entries()) {
    const wanted = new DataView(expected[k].buffer, expected[k].byteOffset, expected[k].byteLength);
    const got = new DataView(actual[k].buffer, actual[k].byteOffset, actual[k].byteLength);
    const count = Math.floor(wanted.byteLength / SCALARS[element].bytes);
    for (let i = 0; i < count; i++) {
      const same =
        ulps > 0 && (element === 'f32' || element === 'f64')
          ? distance(wanted, got, element, i) <= ulps
          : elementText(wanted, element, i) === elementText(got, element, i);
      if (!same)
        return `kernel ${kernel.name}, ${name}[${i}] (${element}): ${reference.name} has ${elementText(wanted, element, i)}, ${device.name} has ${elementText(got, element, i)}`;
    }
  }
  return null;
}
