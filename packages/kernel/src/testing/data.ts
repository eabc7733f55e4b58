/** Random data for kernels, the same for the same seed. */
import { SCALARS, type ScalarType } from '../ir/types.ts';

/** Numbers in [0, 1) that depend on the seed only (mulberry32, public domain idea by Tommy Ettinger). */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const FLOATS = [
  0,
  -0,
  1,
  -1,
  0.5,
  -2.5,
  3.5,
  NaN,
  Infinity,
  -Infinity,
  1e-40,
  -3e-39,
  3e38,
  -3e9,
  4294967296,
  127.5,
  -32768.5,
  65504,
  65520,
  70000,
  1e20,
  -1e20,
  6e-8,
  2 ** 53,
];
const EDGES = [0n, 1n, -1n, 2n ** 63n - 1n, -(2n ** 63n), 0x7fffffffn, -0x80000000n, 0x7fffn, 0x80n, 0xffn];

/** Bytes of `count` random elements, among them the special values of the type. */
export function randomElements(element: ScalarType, count: number, random: () => number): Uint8Array<ArrayBuffer> {
  const { bytes } = SCALARS[element];
  const view = new DataView(new ArrayBuffer(count * bytes));
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)];
  for (let i = 0; i < count; i++) {
    const special = random() < 0.25;
    const float = special ? pick(FLOATS) : (random() - 0.5) * 10 ** Math.floor(random() * 7);
    const integer = special ? pick(EDGES) : BigInt(Math.floor((random() - 0.5) * 2 ** (2 + Math.floor(random() * 50))));
    switch (element) {
      case 'bool':
        view.setUint8(i, random() < 0.5 ? 0 : 1);
        break;
      case 'f32':
        view.setFloat32(i * 4, float, true);
        break;
      case 'f64':
        view.setFloat64(i * 8, float, true);
        break;
      case 'i8':
      case 'u8':
        view.setUint8(i, Number(BigInt.asUintN(8, integer)));
        break;
      case 'f16':
      case 'bf16':
        view.setUint16(i * 2, Math.floor(random() * 65536), true);
        break;
      case 'i16':
      case 'u16':
        view.setUint16(i * 2, Number(BigInt.asUintN(16, integer)), true);
        break;
      case 'i32':
      case 'u32':
        view.setUint32(i * 4, Number(BigInt.asUintN(32, integer)), true);
        break;
      case 'i64':
      case 'index':
        view.setBigInt64(i * 8, BigInt.asIntN(64, integer), true);
        break;
      default:
        element satisfies never;
    }
  }
  return new Uint8Array(view.buffer);
}
