/** The seed's example (row B16): ten tokens of 512 floats times a weight [128, 512], of any scheme, as a program of one product. */
import type { ActivationScheme, SchemeName } from '../quantize/scheme.ts';
import { IlBuilder } from './builder.ts';
import { NativeCodeILNN, TILE_SIZE } from './native-code-ilnn.ts';
import { weight } from './types.ts';

/** Sizes and schemes of the example. */
export interface LinearProgramOptions {
  readonly rows?: number;
  readonly columns?: number;
  readonly scheme: SchemeName;
  readonly activation?: ActivationScheme;
  /** Name of the weight. */
  readonly weight?: string;
}

/** A program of one product: output [T, rows] from input [T, columns]. */
export function buildLinear({
  rows = 128,
  columns = 512,
  scheme,
  activation,
  weight: name = 'weight',
}: LinearProgramOptions): NativeCodeILNN {
  const b = new IlBuilder();
  const input = b.loadInput(columns);
  b.store(b.project(input, b.constant(name, weight(scheme, [rows, columns])), activation, 'output'));
  return new NativeCodeILNN({ name: 'linear', positions: 0, tileSize: TILE_SIZE }, b.build());
}
