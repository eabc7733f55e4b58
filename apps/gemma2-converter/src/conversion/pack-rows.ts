/**
 * One constant of a program, quantised and packed some rows at a time, so that a tensor is never in memory as a whole unless its quantiser has to see all of it.
 * Rows are independent in every quantiser, and panels are in the packed form: a band of whole panels packs to a run of lines and a run of scales.
 */
import { ProjError, toProjError } from '@proj/kernel';
import { checkFinite, type TensorSource } from '@proj/quant-jit/gemma2';
import { type ConstantDeclaration, joinFloats, joinMatrices, storeMatrix, storeRows } from '@proj/quant-jit/il';
import {
  packedLayout,
  packMatrix,
  PANEL_ROWS,
  type QuantizedMatrix,
  type Scheme,
  SCHEMES,
} from '@proj/quant-jit/quantize';
import { shapeOf } from './program.ts';

/** Rounds rows `begin …` of a tensor. */
export type RowQuantizer = (
  tensor: string,
  values: Float32Array,
  rows: number,
  columns: number,
  begin: number,
) => QuantizedMatrix;

/** Floats of a band. */
const BAND_FLOATS = 1 << 21;

/** Bands of rows of the parts that give consecutive rows of the constant. */
interface Band {
  readonly parts: readonly { readonly tensor: string; readonly begin: number; readonly end: number }[];
}

function* bands(
  { name, parts, layout }: ConstantDeclaration,
  rowsOf: (tensor: string) => number,
  columns: number,
): Generator<Band> {
  const height = Math.max(PANEL_ROWS, Math.floor(BAND_FLOATS / columns / PANEL_ROWS) * PANEL_ROWS);
  if (layout === 'pairs') {
    const rows = rowsOf(parts[0]);
    for (let begin = 0; begin < rows; begin += height) {
      const end = Math.min(rows, begin + height);
      yield { parts: parts.map((tensor) => ({ tensor, begin, end })) };
    }
    return;
  }
  for (const tensor of parts.length === 0 ? [name] : parts) {
    const rows = rowsOf(tensor);
    for (let begin = 0; begin < rows; begin += height)
      yield { parts: [{ tensor, begin, end: Math.min(rows, begin + height) }] };
  }
}

/** Where a band of panels goes in the whole. */
function place(
  whole: Uint8Array,
  band: Uint8Array,
  scheme: Scheme,
  row: number,
  rows: number,
  columns: number,
  total: number,
): void {
  if (scheme.bits === 32) {
    whole.set(band.subarray(0, 4 * rows * columns), 4 * row * columns);
    return;
  }
  const from = packedLayout(scheme, rows, columns);
  const to = packedLayout(scheme, total, columns);
  const panel = row / PANEL_ROWS;
  const lineBytes = to.scales / to.panels;
  whole.set(band.subarray(0, from.scales), panel * lineBytes);
  const scaleBytes = PANEL_ROWS * to.groups * (scheme.scaleType === 'f16' ? 2 : 4);
  const copy = (source: number, target: number): void =>
    whole.set(band.subarray(source, source + from.panels * scaleBytes), target + panel * scaleBytes);
  copy(from.scales, to.scales);
  if (scheme.asymmetric) copy(from.minimums, to.minimums);
}

/** What {@link packConstantByRows} works with. */
export interface PackOptions {
  readonly source: TensorSource;
  readonly quantizer: RowQuantizer;
  /** Told after each band: floats that were read. */
  readonly onRead?: (floats: number) => void | Promise<void>;
}

/**
 * The packed bytes of a constant.
 *
 * @throws ProjError that names the tensor when a weight is not finite or has no code.
 */
export async function packConstantByRows(
  declaration: ConstantDeclaration,
  { source, quantizer, onRead }: PackOptions,
): Promise<Uint8Array> {
  const scheme = SCHEMES[declaration.type.scheme];
  const { rows: total, columns } = shapeOf(declaration);
  const rowsOf = (tensor: string): number => {
    const { shape } = source.info(tensor);
    return shape.length === 1 ? 1 : shape[0];
  };
  const whole = new Uint8Array(packedLayout(scheme, total, columns).bytes);
  let row = 0;
  for (const band of bands(declaration, rowsOf, columns)) {
    const values = band.parts.map(({ tensor, begin, end }) => {
      const info = source.info(tensor);
      const read = info.shape.length === 1 ? source.read(tensor) : source.read(tensor, { begin, end });
      checkFinite(tensor, read, info, begin);
      return read;
    });
    const rows = band.parts.reduce((sum, { begin, end }) => sum + end - begin, 0);
    let packed: Uint8Array;
    if (scheme.bits === 32) {
      const floats = storeRows(joinFloats(values), rows, declaration.layout);
      packed = new Uint8Array(floats.buffer, floats.byteOffset, floats.byteLength);
    } else {
      const matrices = band.parts.map(({ tensor, begin, end }, i) =>
        named(`tensor "${tensor}" in ${source.info(tensor).file}`, () =>
          quantizer(tensor, values[i], end - begin, columns, begin),
        ),
      );
      packed = packMatrix(storeMatrix(joinMatrices(matrices), declaration.layout));
    }
    place(whole, packed, scheme, row, rows, columns, total);
    row += rows;
    await onRead?.(rows * columns);
  }
  if (row !== total)
    throw new ProjError('shape-mismatch', `"${declaration.name}" has ${row} rows, ${total} were planned`, {
      op: 'convert',
    });
  return whole;
}

/** An error with what it is about before it. */
function named<T>(subject: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    const { code, message } = toProjError(error);
    throw new ProjError(code, `${subject}: ${message}`, { cause: error });
  }
}
