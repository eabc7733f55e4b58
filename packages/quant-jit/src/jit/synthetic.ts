/** Converted models with made-up weights, of any size and scheme: for measuring speed where no real model is at hand. */
import { createModelFile } from '../file/writer.ts';
import { type Gemma2Config, gemma2ConfigJson } from '../gemma2/config.ts';
import { buildGemma2, type Gemma2ProgramOptions } from '../il/gemma2.ts';
import type { ConstantDeclaration } from '../il/native-code-ilnn.ts';
import { optimise } from '../il/passes/optimise.ts';
import { packedLayout } from '../quantize/layout.ts';
import { type SchemeName, SCHEMES } from '../quantize/scheme.ts';
import { floatToHalfBits } from '@proj/kernel';

export interface SyntheticOptions extends Gemma2ProgramOptions {
  readonly seed?: number;
}

/**
 * Writes a model of this shape with random codes, and scales that give weights a standard deviation of about 1 / √columns.
 *
 * @throws ProjError `io` when the file cannot be written.
 */
export async function writeSyntheticModel(
  path: string,
  config: Gemma2Config,
  scheme: SchemeName,
  { seed = 1, ...options }: SyntheticOptions = {},
): Promise<void> {
  const whole = buildGemma2(config, () => scheme, options);
  const il = whole.with(optimise(whole.program));
  const tensors = il.constants.map(({ name, type }) => {
    const [rows, columns] = type.shape.length === 1 ? [1, type.shape[0]] : type.shape;
    return { name, scheme: type.scheme, rows, columns };
  });
  const writer = await createModelFile(
    path,
    { config: gemma2ConfigJson(config), il: String(il), tensors, source: `synthetic ${seed}` },
    { resume: false },
  );
  const noise = new Noise(seed);
  try {
    for (const constant of il.constants) await writer.write(constant.name, blobOf(constant, noise));
    await writer.finish();
  } catch (error) {
    await writer.close();
    throw error;
  }
}

/** Pseudo-random words (xorshift32, Marsaglia 2003). */
class Noise {
  #state: number;
  constructor(seed: number) {
    this.#state = (seed | 0) === 0 ? 1 : seed | 0;
  }
  fill(bytes: Uint8Array): void {
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2);
    let x = this.#state;
    for (let i = 0; i < words.length; i++) {
      x ^= x << 13;
      x ^= x >>> 17;
      x ^= x << 5;
      words[i] = x;
    }
    this.#state = x;
  }
}

/** Standard deviation of uniformly random codes of each width. */
const CODE_DEVIATION: Record<1 | 2 | 4 | 8, number> = { 1: 1, 2: 0.82, 4: 4.6, 8: 74 };

function blobOf({ type }: ConstantDeclaration, noise: Noise): Uint8Array {
  const scheme = SCHEMES[type.scheme];
  const [rows, columns] = type.shape.length === 1 ? [1, type.shape[0]] : type.shape;
  const layout = packedLayout(scheme, rows, columns);
  const blob = new Uint8Array(layout.bytes);
  // Norms: gains of 0.
  if (scheme.bits === 32) return blob;
  noise.fill(blob.subarray(0, layout.scales));
  if (scheme.bits === 2) noThrees(blob.subarray(0, layout.scales));
  const scale = 1 / Math.sqrt(columns) / CODE_DEVIATION[scheme.bits];
  if (scheme.scaleType === 'f16') new Uint16Array(blob.buffer, layout.scales).fill(floatToHalfBits(scale));
  else new Float32Array(blob.buffer, layout.scales).fill(scale);
  return blob;
}

/** Ternary codes are 0, 1 and 2. */
function noThrees(codes: Uint8Array): void {
  for (let i = 0; i < codes.length; i++) codes[i] &= ~(codes[i] & (codes[i] >> 1) & 0x55);
}
