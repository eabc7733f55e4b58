// Counting and printing: a line per family, the failing operations by reason, and the total alone on the last line.
import type { FailureKind } from './compare.ts';
import type { Outcome } from './run-records.ts';

/** Counts and failures of a family, as `--json` writes them. */
export interface FamilyResult {
  passed: number;
  failed: number;
  skipped: number;
  failures: { id: string; reason: string }[];
}

const reasons: Readonly<Record<FailureKind, string>> = {
  missing: 'operation missing',
  throws: 'throws',
  dtype: 'wrong dtype',
  shape: 'wrong shape',
  value: 'wrong value',
  gradient: 'wrong gradient',
  structure: 'wrong structure',
  'no-error': 'does not raise',
  timeout: 'timeout',
  crash: 'crash',
  unsupported: 'not understood by the runner',
};

/** Results of a run, in the order in which families were first seen. */
export class Report {
  readonly families = new Map<string, FamilyResult>();
  readonly #failed: { readonly family: string; readonly outcome: Outcome }[] = [];

  add(family: string, outcome: Outcome): void {
    let result = this.families.get(family);
    if (result === undefined) {
      result = { passed: 0, failed: 0, skipped: 0, failures: [] };
      this.families.set(family, result);
    }
    result[outcome.status]++;
    if (outcome.failure === undefined) return;
    result.failures.push({ id: outcome.id, reason: `${reasons[outcome.failure.kind]}: ${outcome.failure.detail}` });
    this.#failed.push({ family, outcome });
  }

  get totals(): { passed: number; failed: number; skipped: number } {
    const totals = { passed: 0, failed: 0, skipped: 0 };
    for (const { passed, failed, skipped } of this.families.values()) {
      totals.passed += passed;
      totals.failed += failed;
      totals.skipped += skipped;
    }
    return totals;
  }

  /** Share of the records that were not skipped which passed; 1 when there are none. */
  get share(): number {
    const { passed, failed } = this.totals;
    return passed + failed === 0 ? 1 : passed / (passed + failed);
  }

  /** The lines of the report. */
  lines(verbose: boolean): string[] {
    const out: string[] = [];
    const names = [...this.families.keys()].sort();
    const width = Math.max(6, ...names.map((name) => name.length));
    out.push(`${'family'.padEnd(width)} passed failed skipped`);
    for (const name of names) {
      const { passed, failed, skipped } = this.families.get(name) as FamilyResult;
      out.push(
        `${name.padEnd(width)} ${String(passed).padStart(6)} ${String(failed).padStart(6)} ${String(skipped).padStart(7)}`,
      );
    }
    out.push(...this.#failuresByReason(), ...(verbose ? this.#eachFailure() : []));
    const lenient = this.#failed.filter(({ outcome }) => outcome.failure?.lenient === true).length;
    if (lenient > 0) out.push('', `${lenient} of the failures hold at the lenient tolerance (--lenient)`);
    const { passed, failed, skipped } = this.totals;
    out.push('', `${passed} passed, ${failed} failed, ${skipped} skipped`);
    return out;
  }

  #failuresByReason(): string[] {
    const groups = new Map<string, Map<string, number>>();
    for (const { outcome } of this.#failed) {
      const { kind, detail } = outcome.failure ?? { kind: 'throws', detail: '' };
      const reason =
        kind === 'throws' || kind === 'missing' || kind === 'crash'
          ? `${reasons[kind]}: ${shorten(detail)}`
          : reasons[kind];
      const operations = groups.get(reason) ?? new Map<string, number>();
      operations.set(outcome.operation, (operations.get(outcome.operation) ?? 0) + 1);
      groups.set(reason, operations);
    }
    const missing = [...groups].filter(([reason]) => reason.startsWith(reasons.missing));
    const others = [...groups].filter(([reason]) => !reason.startsWith(reasons.missing));
    const count = (operations: ReadonlyMap<string, number>): number =>
      [...operations.values()].reduce((a, b) => a + b, 0);
    const list = (operations: ReadonlyMap<string, number>): string =>
      [...operations].map(([name, n]) => (n > 1 ? `${name} ×${n}` : name)).join(', ');
    const out: string[] = [];
    if (missing.length > 0) {
      const merged = new Map<string, number>();
      for (const [reason, operations] of missing) {
        const name = reason.slice(reasons.missing.length + 2).replace(/ does not exist$/, '');
        merged.set(name, (merged.get(name) ?? 0) + count(operations));
      }
      out.push('', `${reasons.missing} (${count(merged)}):`, `  ${list(merged)}`);
    }
    for (const [reason, operations] of others.sort((a, b) => count(b[1]) - count(a[1])))
      out.push('', `${reason} (${count(operations)}):`, `  ${list(operations)}`);
    return out;
  }

  #eachFailure(): string[] {
    const out = ['', 'each failure:'];
    for (const { family, outcome } of this.#failed) {
      const { kind, detail } = outcome.failure ?? { kind: 'throws', detail: '' };
      out.push(`  ${family} ${outcome.id} (${outcome.operation}): ${reasons[kind]}: ${detail}`);
    }
    return out;
  }
}

/** The first line of a message with its numbers and shapes taken out, so that like failures group. */
function shorten(detail: string): string {
  const first = (detail.split('\n')[0] ?? '')
    .replace(/\[[\d, ]*\]/g, '[…]')
    .replace(/-?\d+(\.\d+)?(e[+-]?\d+)?/g, (number, _a, _b, at: number, all: string) =>
      /[A-Za-z_]/.test(all[at - 1] ?? '') ? number : 'N',
    );
  return first.length > 120 ? `${first.slice(0, 117)}…` : first;
}
