/**
 * Integer sums of products as values of their own, and their scaling: the operations `int_dot`, `xnor_dot` and `scale` where no pass has joined them into a
 * linear layer. Written for sight, not for speed: this is what shows that all devices have the same integers.
 */
import { buildKernel, type Kernel, type KernelBuilder, type Memory, type Value } from '@proj/kernel';
import { ACTIVATION_GROUP, LINE_BYTES, PANEL_ROWS, packedLayout } from '../quantize/layout.ts';
import type { ActivationScheme, Scheme } from '../quantize/scheme.ts';
import { stepTokens } from './control.ts';
import { activationColumns, activationScales, activationSums, activationWords, CODE_SUM_FACTOR } from './linear.ts';
import { rowStride } from './rows.ts';

export interface DotShape {
  readonly scheme: Scheme;
  readonly activation: ActivationScheme;
  readonly rows: number;
  readonly columns: number;
}

/** Columns of one group of sums: the finer of the groups of both sides. */
const sumColumns = ({ scheme, activation, columns }: DotShape): number =>
  Math.min(scheme.group === 'row' ? columns : scheme.group, activation === 'a8g32' ? ACTIVATION_GROUP : columns);

/** The signed code of a weight. */
function codeAt(
  b: KernelBuilder,
  codes: Memory,
  { scheme, rows, columns }: DotShape,
  row: Value,
  column: Value,
): Value {
  const { linesPerPanel } = packedLayout(scheme, rows, columns);
  const perLine = 32 / scheme.bits;
  const line = b.add(b.mul(b.div(row, PANEL_ROWS), linesPerPanel), b.div(column, perLine));
  const within = b.rem(column, perLine);
  const byte = b.add(b.mul(b.rem(row, PANEL_ROWS), 4), b.rem(within, 4));
  const shift = b.cast(b.mul(b.div(within, 4), scheme.bits), 'i32');
  const u = b.and(
    b.shr(b.cast(b.load(codes, b.add(b.mul(line, LINE_BYTES), byte)), 'i32'), shift),
    2 ** scheme.bits - 1,
  );
  return scheme.bits === 1 ? b.sub(b.add(u, u), 1) : b.sub(u, scheme.offset);
}

/**
 * Parameters: codes u8, activations (i8 codes, or i32 signs), sums i32 `[token][row][group]`, control i32. Range: rows.
 */
export function dotKernel(name: string, shape: DotShape): Kernel {
  const { activation, rows, columns } = shape;
  return buildKernel(name, (b) => {
    const codes = b.buffer('codes', 'u8');
    const input = b.buffer('input', activation === 'a1' ? 'i32' : 'i8');
    const sums = b.buffer('sums', 'i32', 'write');
    const tokens = stepTokens(b, b.buffer('control', 'i32'));
    const width = sumColumns(shape);
    const groups = Math.ceil(columns / width);
    const inputAt = (token: Value, column: Value): Value => {
      if (activation !== 'a1')
        return b.cast(b.load(input, b.add(b.mul(token, activationColumns(columns)), column)), 'i32');
      const word = b.add(b.mul(token, activationWords('a1', columns)), b.div(column, 32));
      const within = b.rem(column, 32);
      const bit = b.cast(b.add(b.mul(b.rem(within, 4), 8), b.div(within, 4)), 'i32');
      const set = b.and(b.shr(b.load(input, word), bit), 1);
      return b.sub(b.add(set, set), 1);
    };
    b.for(b.begin, b.end, 1, [], (row) =>
      b.for(0, tokens, 1, [], (token) =>
        b.for(0, groups, 1, [], (group) => {
          const first = b.mul(group, width);
          const end = b.min(b.add(first, width), b.index(columns));
          const [sum] = b.for(first, end, 1, [b.constant(0, 'i32')], (k, running) => [
            b.add(running, b.mul(codeAt(b, codes, shape, row, k), inputAt(token, k))),
          ]);
          b.store(sums, b.add(b.mul(b.add(b.mul(token, rows), row), groups), group), sum);
        }),
      ),
    );
  });
}

/**
 * Parameters: sums i32, scales, minimums f16 (asymmetric schemes), codeSums i32 (those of the activations, asymmetric schemes), activationScales f32, out f32, control i32. Range: rows.
 */
export function scaleKernel(name: string, shape: DotShape): Kernel {
  const { scheme, activation, rows, columns } = shape;
  const { groups: weightGroups } = packedLayout(scheme, rows, columns);
  return buildKernel(name, (b) => {
    const sums = b.buffer('sums', 'i32');
    const scales = b.buffer('scales', scheme.scaleType);
    const minimums = scheme.asymmetric ? b.buffer('minimums', 'f16') : null;
    const codeSums = scheme.asymmetric ? b.buffer('codeSums', 'i32') : null;
    const activationScale = b.buffer('activationScales', 'f32');
    const out = b.buffer('out', 'f32', 'write');
    const tokens = stepTokens(b, b.buffer('control', 'i32'));
    const width = sumColumns(shape);
    const groups = Math.ceil(columns / width);
    const byRow = scheme.group === 'row';
    const ofGroups = activation === 'a8g32';
    const parts = ofGroups && scheme.group !== 'row' ? scheme.group / ACTIVATION_GROUP : 1;
    const blocks = byRow ? groups : weightGroups;
    b.for(b.begin, b.end, 1, [], (row) =>
      b.for(0, tokens, 1, [], (token) => {
        const scaleAt = (group: Value): Value => {
          const panel = b.mul(b.div(row, PANEL_ROWS), weightGroups);
          return b.add(b.mul(b.add(panel, group), PANEL_ROWS), b.rem(row, PANEL_ROWS));
        };
        const tokenScale = (group: Value): Value =>
          b.load(activationScale, b.add(b.mul(token, activationScales(activation, columns)), group));
        /** What groups of integers come to, with the scales of their activations; those behind the last column are zero. */
        const blockSum = (block: Value, integers: (group: Value) => Value): Value => {
          const [sum] = b.for(0, parts, 1, [b.constant(0, 'f32')], (part, running) => {
            const group = b.add(b.mul(block, parts), part);
            const value = b.cast(integers(group), 'f32');
            return [b.add(running, ofGroups ? b.mul(value, tokenScale(group)) : value)];
          });
          return sum;
        };
        const sumAt = (group: Value): Value => {
          const there = b.load(sums, b.add(b.mul(b.add(b.mul(token, rows), row), groups), b.min(group, groups - 1)));
          return b.select(b.lt(group, groups), there, b.constant(0, 'i32'));
        };
        const [all] = b.for(0, blocks, 1, [b.constant(0, 'f32')], (block, running) => {
          const scaled = blockSum(block, sumAt);
          if (byRow) return [b.add(running, scaled)];
          const next = b.add(running, b.mul(scaled, b.cast(b.load(scales, scaleAt(block)), 'f32')));
          if (minimums === null || codeSums === null) return [next];
          const first = b.mul(token, activationSums(columns));
          const each = ofGroups ? 1 : scheme.group / ACTIVATION_GROUP;
          const lowest = blockSum(block, (group) => {
            let codes = b.load(codeSums, b.add(first, b.mul(group, each)));
            for (let i = 1; i < each; i++)
              codes = b.add(codes, b.load(codeSums, b.add(first, b.add(b.mul(group, each), i))));
            return b.div(codes, CODE_SUM_FACTOR);
          });
          return [b.add(next, b.mul(b.cast(b.load(minimums, scaleAt(block)), 'f32'), lowest))];
        });
        const ofRow = byRow ? b.mul(all, b.cast(b.load(scales, scaleAt(b.index(0))), 'f32')) : all;
        const total = ofGroups ? ofRow : b.mul(ofRow, tokenScale(b.index(0)));
        b.store(out, b.add(b.mul(token, rowStride(rows)), row), total);
      }),
    );
  });
}
