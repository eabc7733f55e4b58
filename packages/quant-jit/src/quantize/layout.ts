/**
 * Where the parts of a packed matrix lie (the layout itself is described in docs/brain-blitz.md). A *panel* is 16 rows; a *line* is 64 bytes, 4 byte
 * positions of each row of a panel.
 */
import { groupCount, type Scheme } from './scheme.ts';

export const PANEL_ROWS = 16;
export const LINE_BYTES = 64;
/** Activations are grouped by this many columns, and rows are padded to whole groups. */
export const ACTIVATION_GROUP = 32;

export interface PackedLayout {
  readonly panels: number;
  /** Columns padded to whole groups, of the scheme and of activations. */
  readonly columns: number;
  readonly linesPerPanel: number;
  /** Groups of a padded row. */
  readonly groups: number;
  /** Byte offsets in the blob; `minimums` is the end where the scheme has none. */
  readonly scales: number;
  readonly minimums: number;
  /** Length of the blob. */
  readonly bytes: number;
}

const roundUp = (value: number, multiple: number): number => Math.ceil(value / multiple) * multiple;

/** Layout of a packed matrix. `f32` matrices are plain rows: one panel a row, no scales. */
export function packedLayout(scheme: Scheme, rows: number, columns: number): PackedLayout {
  if (scheme.bits === 32) {
    const bytes = roundUp(rows * columns * 4, LINE_BYTES);
    return { panels: rows, columns, linesPerPanel: 0, groups: 0, scales: bytes, minimums: bytes, bytes };
  }
  const padded = roundUp(columns, scheme.group === 'row' ? ACTIVATION_GROUP : Math.max(ACTIVATION_GROUP, scheme.group));
  const panels = Math.ceil(rows / PANEL_ROWS);
  const linesPerPanel = (padded * scheme.bits) / 32;
  const groups = groupCount(scheme, padded);
  const scales = panels * linesPerPanel * LINE_BYTES;
  const scaleBytes = roundUp(panels * PANEL_ROWS * groups * (scheme.scaleType === 'f16' ? 2 : 4), LINE_BYTES);
  const minimums = scales + scaleBytes;
  return {
    panels,
    columns: padded,
    linesPerPanel,
    groups,
    scales,
    minimums,
    bytes: minimums + (scheme.asymmetric ? scaleBytes : 0),
  };
}
