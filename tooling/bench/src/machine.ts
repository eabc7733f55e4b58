/** What the figures were taken on, and how much of it others used meanwhile. */
import { readFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  /** The widest vector extension, where the system tells. */
  readonly vectors: string;
  readonly platform: string;
  readonly node: string;
}

/** This machine. */
export function describeMachine(): Machine {
  const processors = cpus();
  return {
    cpu: processors[0]?.model.trim() ?? 'unknown',
    cores: processors.length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    vectors: vectorExtension(),
    platform: `${process.platform}-${process.arch}`,
    node: process.version,
  };
}

const X86_EXTENSIONS = [
  ['amx_tile', 'AMX'],
  ['avx512f', 'AVX-512'],
  ['avx2', 'AVX2'],
  ['sse4_2', 'SSE4.2'],
] as const;

function cpuFlags(): string {
  try {
    return /^(?:flags|Features)\s*:.*$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[0] ?? '';
  } catch {
    return '';
  }
}

function vectorExtension(): string {
  const flags = cpuFlags();
  if (process.arch === 'arm64') return flags.includes(' sve') ? 'SVE' : 'NEON';
  const found = X86_EXTENSIONS.filter(([flag]) => flags.includes(` ${flag}`)).map(([, name]) => name);
  return found.length === 0 ? 'unknown' : found.join(', ');
}

/** Whether the processor has AVX-512; false where the system does not tell. */
export function hasAvx512(): boolean {
  return cpuFlags().includes(' avx512f');
}

const TICK_MS = 10;

/** Milliseconds of processor time that the whole machine has spent busy since it started (stolen time included); NaN where unknown. */
export function busyMs(): number {
  try {
    const [user, nice, system, , , irq, softirq, steal] = (
      /^cpu\s+(.*)$/m.exec(readFileSync('/proc/stat', 'utf8'))?.[1] ?? ''
    )
      .split(/\s+/)
      .map(Number);
    return ((user ?? 0) + (nice ?? 0) + (system ?? 0) + (irq ?? 0) + (softirq ?? 0) + (steal ?? 0)) * TICK_MS;
  } catch {
    return Number.NaN;
  }
}

/** The share of a core that others used: busy time less our own, over the time that passed. 0 where the system does not tell. */
export function foreignLoad(busy: number, own: number, wall: number): number {
  const foreign = (busy - own) / wall;
  return Number.isFinite(foreign) ? Math.max(0, foreign) : 0;
}
