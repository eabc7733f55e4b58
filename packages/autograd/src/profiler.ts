/**
 * The profiler of torch.autograd: what devices did while a function ran. Tensors are lazy, so time shows where values are computed, not where operations are
 * written; a launch is a kernel that several operations were fused into, and is named after them.
 */
import { describeValue, ProjError, withDefaults } from '@proj/kernel';
import { observeWork } from '@proj/tensor/graph';

/** Something that took time. Times in milliseconds, `start` from the begin of the profile. */
export interface ProfileEvent {
  readonly name: string;
  /** A kernel that ran, a plan that was made and compiled, or a function of `recordFunction`. */
  readonly kind: 'launch' | 'plan' | 'function';
  /** The device's name; empty for functions. */
  readonly device: string;
  readonly start: number;
  readonly duration: number;
  /** Of launches: bytes that their buffers hold, and floating-point operations of products. */
  readonly bytes: number;
  readonly operations: number;
}

/** All events of one name. */
export interface KeyAverage {
  readonly name: string;
  readonly kind: ProfileEvent['kind'];
  readonly device: string;
  readonly count: number;
  /** Milliseconds, in all and on average. */
  readonly total: number;
  readonly mean: number;
  /** Of the time of the whole profile. Functions contain launches and each other, so shares add up to more than 1. */
  readonly share: number;
  readonly bytes: number;
  readonly operations: number;
}

export type KeyOrder = 'total' | 'mean' | 'count' | 'name';
export interface TableOptions {
  /** Largest first; names in their order (default 'total'). */
  readonly sortBy?: KeyOrder;
  /** Rows (default 100). */
  readonly rowLimit?: number;
}
const ORDERS: Record<KeyOrder, (a: KeyAverage, b: KeyAverage) => number> = {
  total: (a, b) => b.total - a.total,
  mean: (a, b) => b.mean - a.mean,
  count: (a, b) => b.count - a.count,
  name: (a, b) => (a.name < b.name ? -1 : Number(a.name > b.name)),
};

/** What was measured while a function ran. Printed, it is its table. */
export class Profile<T = unknown> {
  /** What the function gave. */
  readonly value: T;
  /** In the order in which they ended. */
  readonly events: readonly ProfileEvent[];
  /** Milliseconds from begin to end. */
  readonly duration: number;

  constructor(value: T, events: readonly ProfileEvent[], duration: number) {
    this.value = value;
    this.events = events;
    this.duration = duration;
  }

  /** Events of one name, kind and device taken together, the longest first. */
  keyAverages(): KeyAverage[] {
    const groups = new Map<string, ProfileEvent[]>();
    for (const event of this.events) {
      const key = `${event.kind} ${event.device} ${event.name}`;
      const group = groups.get(key) ?? [];
      group.push(event);
      groups.set(key, group);
    }
    const sum = (group: readonly ProfileEvent[], of: (event: ProfileEvent) => number): number =>
      group.reduce((total, event) => total + of(event), 0);
    return [...groups.values()]
      .map((group): KeyAverage => {
        const [{ name, kind, device }] = group;
        const total = sum(group, ({ duration }) => duration);
        return {
          name,
          kind,
          device,
          count: group.length,
          total,
          mean: total / group.length,
          share: total / this.duration,
          bytes: sum(group, ({ bytes }) => bytes),
          operations: sum(group, ({ operations }) => operations),
        };
      })
      .sort(ORDERS.total);
  }

  /** {@link keyAverages} for people. */
  table(options: TableOptions = {}): string {
    const { sortBy, rowLimit } = withDefaults('Profile.table', { sortBy: 'total', rowLimit: 100 }, options);
    if (!Object.hasOwn(ORDERS, sortBy))
      throw new ProjError('invalid-argument', `sortBy is ${describeValue(sortBy)}`, {
        op: 'Profile.table',
        cure: `Orders are ${Object.keys(ORDERS).join(', ')}`,
      });
    const all = this.keyAverages().sort(ORDERS[sortBy]);
    const cells = all
      .slice(0, rowLimit)
      .map(({ name, kind, device, count, total, mean, share, bytes, operations }) => [
        name,
        device === '' ? kind : `${kind}, ${device}`,
        String(count),
        total.toFixed(3),
        mean.toFixed(4),
        `${(100 * share).toFixed(1)} %`,
        operations === 0 ? '' : (operations / total / 1e6).toFixed(1),
        bytes === 0 ? '' : (bytes / total / 1e6).toFixed(1),
      ]);
    const rows = [['name', 'kind', 'calls', 'total ms', 'mean ms', 'share', 'GFLOP/s', 'GB/s'], ...cells];
    const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
    const text = rows.map((row) =>
      row
        .map((cell, column) => (column < 2 ? cell.padEnd(widths[column]) : cell.padStart(widths[column])))
        .join('  ')
        .trimEnd(),
    );
    const ofKind = (kind: ProfileEvent['kind']): ProfileEvent[] => this.events.filter((event) => event.kind === kind);
    const time = (events: readonly ProfileEvent[]): string =>
      events.reduce((total, { duration }) => total + duration, 0).toFixed(3);
    const [launches, plans] = [ofKind('launch'), ofKind('plan')];
    const rest = all.length > cells.length ? [`and ${all.length - cells.length} more`] : [];
    return [
      ...text,
      ...rest,
      `${this.duration.toFixed(3)} ms: ${time(launches)} in ${launches.length} launches, ${time(plans)} making ${plans.length} plans`,
    ].join('\n');
  }
  toString(): string {
    return this.table();
  }
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.table();
  }

  /** The events in the format of `chrome://tracing` and Perfetto. */
  chromeTrace(): { readonly traceEvents: readonly Readonly<Record<string, unknown>>[] } {
    const rows = ['', ...new Set(this.events.map(({ device }) => device).filter((device) => device !== ''))];
    return {
      traceEvents: [
        ...rows.map((device, tid) => ({
          ph: 'M',
          name: 'thread_name',
          pid: 1,
          tid,
          args: { name: device === '' ? 'functions' : device },
        })),
        ...this.events.map(({ name, kind, device, start, duration, bytes, operations }) => ({
          ph: 'X',
          name,
          cat: kind,
          pid: 1,
          tid: rows.indexOf(device),
          // In microseconds.
          ts: 1000 * start,
          dur: 1000 * duration,
          args: kind === 'launch' ? { bytes, operations } : {},
        })),
      ],
    };
  }
  /** Writes {@link chromeTrace} as a file. Errors (`io`): no file system here; the file cannot be written. */
  exportChromeTrace(path: string | URL): void {
    const op = 'exportChromeTrace';
    const fs = globalThis.process?.getBuiltinModule?.('node:fs');
    if (fs === undefined) throw new ProjError('io', 'there is no file system here', { op, cure: 'Use chromeTrace()' });
    try {
      fs.writeFileSync(path, JSON.stringify(this.chromeTrace()));
    } catch (error) {
      throw new ProjError('io', `cannot write ${String(path)}: ${(error as Error).message}`, {
        op,
        cure: 'Check the folder and its permissions',
        cause: error,
      });
    }
  }
}

/** The profile that is running: its events, and when it began. */
let running: { readonly events: ProfileEvent[]; readonly begin: number } | null = null;

/** Calls `end` once `fn` is over, also where it is waited for or throws. */
function whenOver<T>(fn: () => T, end: () => void): T {
  let result: T;
  try {
    result = fn();
  } catch (error) {
    end();
    throw error;
  }
  if (!(result instanceof Promise)) {
    end();
    return result;
  }
  return result.finally(end) as T;
}

/**
 * Runs `fn` and measures every launch, every plan that is made, and the functions of {@link recordFunction}. Launches run one by one meanwhile, which takes longer than
 * the programs that they are parts of. A promise where `fn` gives one. Errors (`invalid-argument`): a profile is running already.
 */
export function profile<T>(fn: () => Promise<T>): Promise<Profile<T>>;
export function profile<T>(fn: () => T): Profile<T>;
export function profile<T>(fn: () => T | Promise<T>): Profile<T> | Promise<Profile<T>> {
  checkFunction('profile', fn);
  if (running !== null)
    throw new ProjError('invalid-argument', 'a profile is running already', {
      op: 'profile',
      cure: 'Use recordFunction inside of it',
    });
  const begin = performance.now();
  const events: ProfileEvent[] = [];
  running = { events, begin };
  observeWork({
    launched: ({ name, bytes, operations }, device, start, duration) =>
      events.push({ name, kind: 'launch', device: device.name, start: start - begin, duration, bytes, operations }),
    planned: (launches, device, start, duration) =>
      events.push({
        name: `plan of ${launches} ${launches === 1 ? 'launch' : 'launches'}`,
        kind: 'plan',
        device: device.name,
        start: start - begin,
        duration,
        bytes: 0,
        operations: 0,
      }),
  });
  let duration = 0;
  const result = whenOver(fn, () => {
    duration = performance.now() - begin;
    observeWork(null);
    running = null;
  });
  return result instanceof Promise
    ? result.then((value) => new Profile(value, events, duration))
    : new Profile(result, events, duration);
}

/** Runs `fn`; a profile that is running shows it under this name, with all that was built, planned and computed inside. */
export function recordFunction<T>(name: string, fn: () => T): T {
  checkFunction('recordFunction', fn);
  const profiled = running;
  if (profiled === null) return fn();
  const start = performance.now();
  return whenOver(fn, () => {
    profiled.events.push({
      name,
      kind: 'function',
      device: '',
      start: start - profiled.begin,
      duration: performance.now() - start,
      bytes: 0,
      operations: 0,
    });
  });
}

function checkFunction(op: string, fn: unknown): void {
  if (typeof fn !== 'function')
    throw new ProjError('invalid-argument', `${describeValue(fn)} where a function belongs`, {
      op,
      cure: op === 'profile' ? 'Write profile(() => …)' : "Write recordFunction('name', () => …)",
    });
}
