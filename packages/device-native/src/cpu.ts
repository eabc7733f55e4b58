/**
 * What the host processor can do, in LLVM's names, and masks over it.
 *
 * On Linux the features come from the kernel (`/proc/cpuinfo` lists only what the operating system also saves on a context switch), so that
 * nothing has to be opened to know the key of a cached object; elsewhere they come from LLVM. `PROJ_CPU_FEATURES` takes features away, so
 * that one machine tests the code of lesser ones.
 */
import { ProjError } from '@proj/kernel';
import { cLibrary } from './ffi.ts';
import { closeSync, openSync, readSync } from './node-modules.ts';

/** Classes of vector units that kernels are written for. */
export type CpuLevel = 'avx512' | 'avx2' | 'baseline' | 'neon';

/** What code may use. */
export interface CpuTarget {
  readonly architecture: 'x64' | 'arm64';
  readonly level: CpuLevel;
  /** LLVM names, sorted. */
  readonly features: readonly string[];
  /** LLVM's feature string: every known feature, on (`+`) or off (`-`). */
  readonly featureString: string;
  /** LLVM's processor names: what may be used without the features, and whose timings to schedule for. */
  readonly baseCpu: string;
  readonly tuneCpu: string;
  /** Width of the widest vector register that code should use, in bytes. */
  readonly vectorBytes: number;
  /** Lanes of a full vector of `f32`. */
  readonly f32Lanes: number;
  /** Full vector registers there are. */
  readonly registers: number;
  /** What `tileDot` has instructions for; see `DeviceFeatures`. */
  readonly tiles: readonly ('bf16' | 'i8')[];
  has(feature: string): boolean;
}

interface Feature {
  /** The flag in /proc/cpuinfo. */
  readonly flag: string;
  readonly requires: readonly string[];
  /** The lowest level that keeps it when a level is asked for. */
  readonly level: CpuLevel;
}

const feature = (flag: string, level: CpuLevel, ...requires: string[]): Feature => ({ flag, level, requires });

const X64_FEATURES: Readonly<Record<string, Feature>> = {
  sse3: feature('pni', 'avx2'),
  ssse3: feature('ssse3', 'avx2', 'sse3'),
  'sse4.1': feature('sse4_1', 'avx2', 'ssse3'),
  'sse4.2': feature('sse4_2', 'avx2', 'sse4.1'),
  popcnt: feature('popcnt', 'avx2'),
  lzcnt: feature('abm', 'avx2'),
  movbe: feature('movbe', 'avx2'),
  bmi: feature('bmi1', 'avx2'),
  bmi2: feature('bmi2', 'avx2'),
  avx: feature('avx', 'avx2', 'sse4.2'),
  f16c: feature('f16c', 'avx2', 'avx'),
  fma: feature('fma', 'avx2', 'avx'),
  avx2: feature('avx2', 'avx2', 'avx'),
  avxvnni: feature('avx_vnni', 'avx512', 'avx2'),
  gfni: feature('gfni', 'avx512', 'sse4.2'),
  avx512f: feature('avx512f', 'avx512', 'avx2', 'fma', 'f16c'),
  avx512cd: feature('avx512cd', 'avx512', 'avx512f'),
  avx512dq: feature('avx512dq', 'avx512', 'avx512f'),
  avx512bw: feature('avx512bw', 'avx512', 'avx512f'),
  avx512vl: feature('avx512vl', 'avx512', 'avx512f'),
  avx512ifma: feature('avx512ifma', 'avx512', 'avx512f'),
  avx512vbmi: feature('avx512vbmi', 'avx512', 'avx512bw'),
  avx512vbmi2: feature('avx512_vbmi2', 'avx512', 'avx512bw'),
  avx512vnni: feature('avx512_vnni', 'avx512', 'avx512f'),
  avx512bitalg: feature('avx512_bitalg', 'avx512', 'avx512bw'),
  avx512vpopcntdq: feature('avx512_vpopcntdq', 'avx512', 'avx512f'),
  avx512bf16: feature('avx512_bf16', 'avx512', 'avx512bw'),
  avx512fp16: feature('avx512_fp16', 'avx512', 'avx512bw', 'avx512dq', 'avx512vl'),
  'amx-tile': feature('amx_tile', 'avx512', 'avx512f'),
  'amx-bf16': feature('amx_bf16', 'avx512', 'amx-tile'),
  'amx-int8': feature('amx_int8', 'avx512', 'amx-tile'),
};

const ARM64_FEATURES: Readonly<Record<string, Feature>> = {
  neon: feature('asimd', 'neon'),
  crc: feature('crc32', 'neon'),
  lse: feature('atomics', 'neon'),
  fullfp16: feature('asimdhp', 'neon', 'neon'),
  dotprod: feature('asimddp', 'neon', 'neon'),
  fp16fml: feature('asimdfhm', 'neon', 'fullfp16'),
  i8mm: feature('i8mm', 'neon', 'neon'),
  bf16: feature('bf16', 'neon', 'neon'),
};

const TABLES: Readonly<Record<CpuTarget['architecture'], Readonly<Record<string, Feature>>>> = {
  x64: X64_FEATURES,
  arm64: ARM64_FEATURES,
};

/** Levels from the highest down; asking for one keeps what it and those after it have. */
const LEVELS: Readonly<Record<CpuTarget['architecture'], readonly CpuLevel[]>> = {
  x64: ['avx512', 'avx2', 'baseline'],
  arm64: ['neon'],
};

const LEVEL_SHAPE: Readonly<Record<CpuLevel, { readonly vectorBytes: number; readonly registers: number }>> = {
  avx512: { vectorBytes: 64, registers: 32 },
  avx2: { vectorBytes: 32, registers: 16 },
  baseline: { vectorBytes: 16, registers: 16 },
  neon: { vectorBytes: 16, registers: 32 },
};

/** Processor names that every supported LLVM knows, by vendor and level. */
const TUNING: Readonly<Record<'intel' | 'amd' | 'other', Readonly<Record<CpuLevel, string>>>> = {
  intel: { avx512: 'icelake-server', avx2: 'haswell', baseline: 'generic', neon: 'generic' },
  amd: { avx512: 'znver3', avx2: 'znver3', baseline: 'generic', neon: 'generic' },
  other: { avx512: 'skylake-avx512', avx2: 'haswell', baseline: 'generic', neon: 'generic' },
};

/** The host as the system describes it. */
export interface HostCpu {
  readonly architecture: CpuTarget['architecture'];
  readonly vendor: 'intel' | 'amd' | 'other';
  readonly features: ReadonlySet<string>;
}

/** The text that describes the first processor, without reading about all the others (which is slow on large machines). */
function readCpuInfo(): string {
  try {
    const file = openSync('/proc/cpuinfo', 'r');
    try {
      const bytes = Buffer.alloc(8192);
      const text = bytes.toString('latin1', 0, readSync(file, bytes));
      const blank = text.indexOf('\n\n');
      return blank < 0 ? text : text.slice(0, blank);
    } finally {
      closeSync(file);
    }
  } catch {
    return '';
  }
}

function field(text: string, name: RegExp): string {
  return (
    text
      .split('\n')
      .find((line) => name.test(line))
      ?.replace(/^[^:]*:\s*/, '') ?? ''
  );
}

/** The host's features out of the text of /proc/cpuinfo. */
export function parseCpuInfo(text: string, architecture: CpuTarget['architecture']): HostCpu {
  const flags = new Set(field(text, /^(flags|Features)\s*:/).split(/\s+/));
  const features = new Set(
    Object.entries(TABLES[architecture])
      .filter(([, { flag }]) => flags.has(flag))
      .map(([name]) => name),
  );
  const vendorName = field(text, /^vendor_id\s*:/);
  const vendor = vendorName === 'GenuineIntel' ? 'intel' : vendorName === 'AuthenticAMD' ? 'amd' : 'other';
  return { architecture, vendor, features };
}

/** The host's features out of LLVM's string (`+a,-b,…`). */
export function parseLlvmFeatures(text: string, architecture: CpuTarget['architecture']): HostCpu {
  const on = new Set(
    text
      .split(',')
      .filter((part) => part.startsWith('+'))
      .map((part) => part.slice(1)),
  );
  const features = new Set(Object.keys(TABLES[architecture]).filter((name) => on.has(name)));
  return { architecture, vendor: 'other', features };
}

/** The machine this process runs on. `llvmFeatures` is asked where the system has no /proc/cpuinfo. */
export function hostCpu(llvmFeatures: () => string): HostCpu {
  const architecture = process.arch;
  if (architecture !== 'x64' && architecture !== 'arm64') {
    throw new ProjError('device-unavailable', `no code generator for ${architecture}`, { op: 'native device' });
  }
  if (process.platform !== 'linux') return withoutTiles(parseLlvmFeatures(llvmFeatures(), architecture));
  const host = parseCpuInfo(readCpuInfo(), architecture);
  return host.features.has('amx-tile') && !cLibrary().requestTiles() ? withoutTiles(host) : host;
}

const withoutTiles = (host: HostCpu): HostCpu => ({
  ...host,
  features: new Set([...host.features].filter((name) => !name.startsWith('amx'))),
});

/**
 * What code may use: the host less a mask. The mask is a comma-separated list: a level (`avx512`, `avx2`, `baseline`, `neon`) keeps what that
 * level has; `-name` takes a feature away with all that need it; `name` or `+name` states that the host must have it.
 */
export function cpuTarget(host: HostCpu, mask: string | undefined): CpuTarget {
  const { architecture } = host;
  const table = TABLES[architecture];
  const levels = LEVELS[architecture];
  const kept = new Set(host.features);
  for (const word of (mask ?? '')
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '' && part !== 'native')) {
    const level = levels.find((name) => name === word);
    if (level !== undefined) {
      if (levels.indexOf(level) < levels.indexOf(levelOf(host.features, architecture)))
        throw maskError(word, 'this machine does not have it', kept);
      for (const name of kept)
        if (levels.indexOf(levelOfFeature(table, name)) < levels.indexOf(level)) kept.delete(name);
      continue;
    }
    const name = word.replace(/^[+-]/, '');
    if (!Object.hasOwn(table, name)) {
      throw maskError(
        word,
        `unknown; the names are ${[...levels, ...Object.keys(table).map((known) => `-${known}`)].join(', ')}`,
        kept,
      );
    }
    if (word.startsWith('-')) removeWithDependents(table, kept, name);
    else if (!kept.has(name))
      throw maskError(
        word,
        host.features.has(name) ? 'an earlier part of the list takes it away' : 'this machine does not have it',
        kept,
      );
  }
  return describe(host, kept);
}

function levelOfFeature(table: Readonly<Record<string, Feature>>, name: string): CpuLevel {
  return table[name]?.level ?? 'baseline';
}

function maskError(word: string, why: string, kept: ReadonlySet<string>): ProjError {
  return new ProjError('invalid-argument', `'${word}' in PROJ_CPU_FEATURES: ${why}`, {
    op: 'native device',
    cure: `Unset it or choose among ${[...kept].join(', ') || 'baseline'}`,
  });
}

function removeWithDependents(table: Readonly<Record<string, Feature>>, kept: Set<string>, name: string): void {
  kept.delete(name);
  for (const [other, { requires }] of Object.entries(table))
    if (kept.has(other) && requires.includes(name)) removeWithDependents(table, kept, other);
}

function levelOf(features: ReadonlySet<string>, architecture: CpuTarget['architecture']): CpuLevel {
  if (architecture === 'arm64') return 'neon';
  if (['avx512f', 'avx512bw', 'avx512dq', 'avx512vl'].every((name) => features.has(name))) return 'avx512';
  return features.has('avx2') ? 'avx2' : 'baseline';
}

function describe({ architecture, vendor }: HostCpu, kept: ReadonlySet<string>): CpuTarget {
  const level = levelOf(kept, architecture);
  const known = Object.keys(TABLES[architecture]);
  const { vectorBytes, registers } = LEVEL_SHAPE[level];
  return {
    architecture,
    level,
    features: [...kept].sort(),
    featureString: known.map((name) => (kept.has(name) ? `+${name}` : `-${name}`)).join(','),
    baseCpu: architecture === 'x64' ? 'x86-64' : 'generic',
    tuneCpu: TUNING[vendor][level],
    vectorBytes,
    f32Lanes: vectorBytes / 4,
    registers,
    tiles: kept.has('amx-bf16') && kept.has('amx-int8') ? ['bf16', 'i8'] : [],
    has: (name) => kept.has(name),
  };
}
