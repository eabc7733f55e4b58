/** The memory plan: where in one arena each intermediate value lives, so that values that are never alive together share bytes. */

export interface Lifetime {
  readonly bytes: number;
  /** Steps at which the value is written first and read last. */
  readonly from: number;
  readonly to: number;
}

const ALIGNMENT = 64;
const align = (bytes: number): number => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

/** Offsets for `lifetimes`, largest first, each at the lowest place that is free during its life (0 for those of no bytes); and the bytes of the arena. */
export function planArena(lifetimes: readonly Lifetime[]): { offsets: number[]; bytes: number } {
  const offsets = new Array<number>(lifetimes.length).fill(0);
  const placed: { readonly offset: number; readonly end: number; readonly life: Lifetime }[] = [];
  const order = lifetimes
    .map((_, i) => i)
    .filter((i) => lifetimes[i].bytes > 0)
    .sort((a, b) => lifetimes[b].bytes - lifetimes[a].bytes || lifetimes[a].from - lifetimes[b].from);
  let total = 0;
  for (const i of order) {
    const life = lifetimes[i];
    const size = align(life.bytes);
    let offset = 0;
    for (const other of placed) {
      if (other.life.to < life.from || life.to < other.life.from) continue;
      if (offset + size <= other.offset) break;
      offset = Math.max(offset, other.end);
    }
    offsets[i] = offset;
    const entry = { offset, end: offset + size, life };
    const at = placed.findIndex((other) => other.offset > offset);
    placed.splice(at < 0 ? placed.length : at, 0, entry);
    total = Math.max(total, entry.end);
  }
  return { offsets, bytes: total };
}
