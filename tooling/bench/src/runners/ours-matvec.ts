/** The chain of the `matvec` suite as a program of our intermediate language: product after product, each with a matrix of its own. */
import type { Device } from '@proj/kernel';
import { floatToHalfBits } from '@proj/kernel';
import { IlBuilder, NativeCodeILNN, optimise, TILE_SIZE } from '@proj/quant-jit/il';
import { CompiledNativeILNN } from '@proj/quant-jit/jit';
import { packedLayout, SCHEMES } from '@proj/quant-jit/quantize';
import type { SchemeName } from '@proj/quant-jit/quantize';
import type { MatvecSpec } from '../cases.ts';
import { uniform } from '../inputs.ts';
import type { Prepared } from '../serve.ts';

/** Prepares the chain with random codes; scales keep the vector's length. */
export function prepareMatvec(
  { size, copies }: MatvecSpec,
  scheme: Exclude<SchemeName, 'f32'>,
  device: Device,
): Prepared {
  const b = new IlBuilder();
  let x = b.loadInput(size);
  for (let i = 0; i < copies; i++)
    x = b.project(x, b.constant(`w${i}`, { kind: 'weight', scheme, shape: [size, size] }));
  b.store(x);
  const whole = new NativeCodeILNN({ name: 'matvec', positions: 0, tileSize: TILE_SIZE }, b.build());
  const blob = randomMatrix(scheme, size);
  const buffer = device.allocate(copies * blob.length);
  for (let i = 0; i < copies; i++) device.write(buffer, i * blob.length, blob);
  const chain = new CompiledNativeILNN(whole.with(optimise(whole.program)), {
    device,
    weights: { place: (name) => ({ buffer, offset: Number(name.slice(1)) * blob.length }) },
    maxTokens: 1,
  });
  const input = uniform(size, 1);
  return {
    units: copies,
    run: () => void chain.call(input),
    detail: () => ({ scheme, bytes: blob.length }),
    dispose() {
      chain.dispose();
      buffer.dispose();
    },
  };
}

/** A packed matrix of random codes without a mean: with one, a chain of products would grow without bound. */
function randomMatrix(name: Exclude<SchemeName, 'f32'>, size: number): Uint8Array {
  const scheme = SCHEMES[name];
  const layout = packedLayout(scheme, size, size);
  const blob = new Uint8Array(layout.bytes);
  const noise = uniform(layout.scales, 2);
  const perByte = 8 / scheme.bits;
  let power = 0;
  for (let i = 0; i < layout.scales; i++) {
    let bits = Math.floor(((noise[i] ?? 0) + 0.5) * 256);
    for (let k = 0; k < perByte; k++) {
      const shift = k * scheme.bits;
      const code = balanced((bits >> shift) & (2 ** scheme.bits - 1), scheme.bits);
      bits = (bits & ~((2 ** scheme.bits - 1) << shift)) | (code << shift);
      power += (scheme.bits === 1 ? 1 : code - scheme.offset) ** 2;
    }
    blob[i] = bits;
  }
  const scale = 1 / Math.sqrt(size * (power / (layout.scales * perByte)));
  const scales = blob.subarray(layout.scales, layout.minimums);
  if (scheme.scaleType === 'f16')
    new Uint16Array(scales.buffer, scales.byteOffset, scales.length / 2).fill(floatToHalfBits(scale));
  else new Float32Array(scales.buffer, scales.byteOffset, scales.length / 4).fill(scale);
  return blob;
}

/** The stored form of a code; one that has no counterpart of the other sign becomes zero. */
function balanced(code: number, bits: number): number {
  if (bits === 2) return code === 3 ? 1 : code;
  return bits > 2 && code === 0 ? 2 ** (bits - 1) : code;
}
