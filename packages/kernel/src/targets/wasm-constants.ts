/** Constants of WebAssembly code: the 16 bytes of a vector, and the data segment of a kernel's constant memories. */
import { floatToBfloatBits, floatToHalfBits } from '../dtypes/half.ts';
import type { Kernel, Memory } from '../ir/ir.ts';
import type { ScalarType } from '../ir/types.ts';
import { laneBits } from './wasm-opcodes.ts';

/** Bytes in whole cache lines. */
export const inLines = (bytes: number): number => Math.ceil(bytes / 64) * 64;

/** Bytes that the constant memories of these kernels take. */
export const wasmConstantBytes = (kernels: readonly Kernel[]): number =>
  kernels.flatMap(({ constants }) => constants).reduce((sum, { contents }) => sum + inLines(contents?.length ?? 0), 0);

/** The constant memories of all kernels one after the other, and where each lies. */
export function placeConstants(
  kernels: readonly Kernel[],
  start: number,
): { readonly places: ReadonlyMap<Memory, number>; readonly bytes: Uint8Array } {
  const bytes = new Uint8Array(wasmConstantBytes(kernels));
  const places = new Map<Memory, number>();
  let at = 0;
  for (const { constants } of kernels)
    for (const constant of constants) {
      bytes.set(constant.contents ?? new Uint8Array(), at);
      places.set(constant, start + at);
      at += inLines(constant.contents?.length ?? 0);
    }
  return { places, bytes };
}

/** 16 bytes with `value` in each lane of `bits` bits. */
export function integerLanes(bits: number, value: bigint): Uint8Array {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  const lane = BigInt.asUintN(bits, value);
  for (let at = 0; at < 16; at += bits / 8)
    for (let i = 0; i < bits / 8; i++) view.setUint8(at + i, Number((lane >> BigInt(8 * i)) & 0xffn));
  return bytes;
}

/** 16 bytes with `value(i)` in lane i; a mask has all bits of a lane, or none. */
export function typedLanes(scalar: ScalarType, value: (lane: number) => number | bigint | boolean): Uint8Array {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  const step = laneBits(scalar) / 8;
  for (let at = 0; at < 16; at += step) {
    const lane = value(at / step);
    switch (scalar) {
      case 'f32':
        view.setFloat32(at, Number(lane), true);
        break;
      case 'f64':
        view.setFloat64(at, Number(lane), true);
        break;
      case 'i64':
        view.setBigInt64(at, BigInt(lane), true);
        break;
      case 'i32':
      case 'u32':
      case 'index':
        view.setInt32(at, Number(lane), true);
        break;
      case 'i16':
      case 'u16':
        view.setInt16(at, Number(lane), true);
        break;
      case 'f16':
        view.setUint16(at, floatToHalfBits(Number(lane)), true);
        break;
      case 'bf16':
        view.setUint16(at, floatToBfloatBits(Number(lane)), true);
        break;
      case 'i8':
      case 'u8':
        view.setInt8(at, Number(lane));
        break;
      case 'bool':
        view.setUint8(at, Number(lane) === 0 ? 0 : 0xff);
        break;
      default:
        scalar satisfies never;
    }
  }
  return bytes;
}
