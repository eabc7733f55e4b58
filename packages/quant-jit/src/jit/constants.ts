/**
 * Small programs with their weights in the code: constants of the compiled module, so that nothing is loaded from device memory but activations. Larger
 * weights are better mapped: code is compiled, hashed and cached as a whole.
 */
import { type Device, ProjError } from '@proj/kernel';
import type { ConstantSource } from '../il/constants.ts';
import type { NativeCodeILNN } from '../il/native-code-ilnn.ts';
import { CompiledNativeILNN } from './compiled.ts';
import { constantBytes, type ModelWeights, packConstant } from './weights.ts';

/** Most bytes of weights that a program may have in its code. */
export const MAX_EMBEDDED_BYTES = 1 << 20;

/**
 * The constants of a program for its code. Pass it as the weights of a `CompiledNativeILNN`.
 *
 * @throws ProjError `invalid-argument` for a program with more than {@link MAX_EMBEDDED_BYTES} of weights.
 */
export function embedWeights(il: NativeCodeILNN, source: ConstantSource): ModelWeights {
  const bytes = il.constants.reduce((sum, constant) => sum + constantBytes(constant), 0);
  if (bytes > MAX_EMBEDDED_BYTES)
    throw new ProjError(
      'invalid-argument',
      `program "${il.config.name}" has ${bytes} bytes of weights, at most ${MAX_EMBEDDED_BYTES} can be constants of its code`,
      { op: 'embedWeights', cure: 'Use packWeights, or openModel, which maps the file' },
    );
  const packed = new Map(il.constants.map((constant) => [constant.name, packConstant(constant, source)]));
  return {
    place(name) {
      const contents = packed.get(name);
      if (contents === undefined)
        throw new ProjError('invalid-argument', `the program has no constant "${name}"`, {
          op: 'weights',
          cure: 'Embed the weights of the program that is compiled',
        });
      return { contents };
    },
  };
}

/**
 * Compiles a program with its weights as constants of the code.
 *
 * @throws ProjError as {@link embedWeights}.
 */
export const compileWithConstants = (
  il: NativeCodeILNN,
  source: ConstantSource,
  device: Device,
  maxTokens?: number,
): CompiledNativeILNN =>
  new CompiledNativeILNN(il, {
    device,
    weights: embedWeights(il, source),
    ...(maxTokens === undefined ? {} : { maxTokens }),
  });
