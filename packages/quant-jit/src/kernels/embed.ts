/** Rows of an embedding: codes unpacked, times both scales, as floats. */
import { buildKernel, type Kernel, type KernelBuilder, type Value } from '@proj/kernel';
import { LINE_BYTES, PANEL_ROWS, packedLayout } from '../quantize/layout.ts';
import type { Scheme } from '../quantize/scheme.ts';
import { stepTokens } from './control.ts';
import { rowStride } from './rows.ts';

export interface EmbedShape {
  readonly scheme: Scheme;
  readonly rows: number;
  readonly columns: number;
  /** Times this (√d in Gemma, rounded as the model's type does). */
  readonly factor: number;
}

/**
 * Parameters: words i32 (the blob), scales, minimums f16 (asymmetric schemes), tokens i32, out f32, control i32; of `f32`: weights f32, tokens, out, control. Range: the most tokens of a step.
 */
export function embedKernel(name: string, shape: EmbedShape): Kernel {
  return buildKernel(name, (b) => {
    const { scheme, columns, factor } = shape;
    const layout = packedLayout(scheme, shape.rows, columns);
    const weights = b.buffer('weights', scheme.bits === 32 ? 'f32' : 'i32');
    const scales = scheme.bits === 32 ? null : b.buffer('scales', scheme.scaleType);
    const minimums = scheme.asymmetric ? b.buffer('minimums', 'f16') : null;
    const tokens = b.buffer('tokens', 'i32');
    const out = b.buffer('out', 'f32', 'write');
    const control = b.buffer('control', 'i32');
    const count = stepTokens(b, control);
    b.for(b.begin, b.end, 1, [], (token) =>
      b.if(b.lt(token, count), () => {
        const row = b.cast(b.load(tokens, token), 'index');
        const result = b.mul(token, rowStride(columns));
        if (scales === null) {
          const first = b.mul(row, columns);
          b.for(0, columns, 1, [], (k) =>
            b.store(out, b.add(result, k), b.mul(b.load(weights, b.add(first, k)), factor)),
          );
          return;
        }
        const panel = b.div(row, PANEL_ROWS);
        const lane = b.rem(row, PANEL_ROWS);
        const fields = 8 / scheme.bits;
        const perLine = 4 * fields;
        const groupColumns = scheme.group === 'row' ? layout.columns : scheme.group;
        const at = (group: Value): Value => b.add(b.mul(b.add(b.mul(panel, layout.groups), group), PANEL_ROWS), lane);
        const lines = b.add(b.mul(panel, layout.linesPerPanel * (LINE_BYTES / 4)), lane);
        b.for(0, layout.groups, 1, [], (group) => {
          const scale = b.mul(b.cast(b.load(scales, at(group)), 'f32'), factor);
          const minimum = minimums === null ? null : b.mul(b.cast(b.load(minimums, at(group)), 'f32'), factor);
          const linesOfGroup = groupColumns / perLine;
          b.for(0, linesOfGroup, 1, [], (line) => {
            const l = b.add(b.mul(group, linesOfGroup), line);
            const word = b.load(weights, b.add(lines, b.mul(l, LINE_BYTES / 4)));
            for (let field = 0; field < fields; field++)
              for (let i = 0; i < 4; i++) {
                const k = b.add(b.mul(l, perLine), 4 * field + i);
                const value = decode(b, word, 8 * i + field * scheme.bits, scheme);
                const x = minimum === null ? b.mul(value, scale) : b.add(b.mul(value, scale), minimum);
                const put = (): void => b.store(out, b.add(result, k), x);
                if (layout.columns === columns) put();
                else b.if(b.lt(k, columns), put);
              }
          });
        });
      }),
    );
  });
}

/** A code, as a float, from the bits of a word. */
function decode(b: KernelBuilder, word: Value, shift: number, { bits, offset }: Scheme): Value {
  const u = b.and(b.shr(word, shift), 2 ** bits - 1);
  return b.cast(bits === 1 ? b.sub(b.add(u, u), 1) : b.sub(u, offset), 'f32');
}
