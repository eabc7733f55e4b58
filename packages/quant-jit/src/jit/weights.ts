/** Where the constants of a program lie: on a device, or in the code. */
import { type Device, type DeviceBuffer, ProjError } from '@proj/kernel';
import { type ConstantSource, joinFloats, joinMatrices } from '../il/constants.ts';
import { storeMatrix, storeRows } from '../il/layouts.ts';
import type { ConstantDeclaration, NativeCodeILNN } from '../il/native-code-ilnn.ts';
import { packedLayout } from '../quantize/layout.ts';
import { packMatrix } from '../quantize/pack.ts';
import { SCHEMES } from '../quantize/scheme.ts';

/** Where a constant is, a packed matrix or floats: in device memory, from an offset in bytes on (a multiple of 64), or in the code. */
export type WeightPlace =
  { readonly buffer: DeviceBuffer; readonly offset: number } | { readonly contents: Uint8Array };

/** The constants of a program by name. */
export interface ModelWeights {
  /** @throws ProjError `invalid-argument` for a name that is not there. */
  place(name: string): WeightPlace;
  /** Called before each step; weights that are on their way to better memory go on. */
  advance?(): void;
  /** Tells of a buffer that has taken another's place; gives what ends that. */
  subscribe?(listener: (old: DeviceBuffer, fresh: DeviceBuffer) => void): () => void;
}

/** Bytes of a constant in device memory. */
export function constantBytes({ type: { scheme, shape } }: ConstantDeclaration): number {
  const [rows, columns] = shape.length === 1 ? [1, shape[0]] : shape;
  return packedLayout(SCHEMES[scheme], rows, columns).bytes;
}

/** The bytes of a constant, joined, laid out and packed. */
export function packConstant({ name, parts, layout, type }: ConstantDeclaration, source: ConstantSource): Uint8Array {
  const whole = parts.length === 0 || source.has?.(name) === true;
  if (type.scheme === 'f32') {
    const floats = whole ? source.floats(name) : joinFloats(parts.map((part) => source.floats(part)));
    const stored = storeRows(floats, type.shape[0], layout);
    return new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength);
  }
  const matrix = whole ? source.matrix(name) : joinMatrices(parts.map((part) => source.matrix(part)));
  return packMatrix(storeMatrix(matrix, layout));
}

/** Packs all constants of a program into one buffer of the device. */
export function packWeights(device: Device, il: NativeCodeILNN, source: ConstantSource): ModelWeights {
  const offsets = new Map<string, number>();
  let bytes = 0;
  for (const constant of il.constants) {
    offsets.set(constant.name, bytes);
    bytes += constantBytes(constant);
  }
  const buffer = device.allocate(Math.max(bytes, 64));
  for (const constant of il.constants)
    device.write(buffer, offsets.get(constant.name) ?? 0, packConstant(constant, source));
  return {
    place(name) {
      const offset = offsets.get(name);
      if (offset === undefined)
        throw new ProjError('invalid-argument', `the program has no constant "${name}"`, {
          op: 'weights',
          cure: 'Pack the weights for the program that is compiled',
        });
      return { buffer, offset };
    },
  };
}
