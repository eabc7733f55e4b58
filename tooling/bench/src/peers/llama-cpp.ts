/**
 * Has llama.cpp ready: node-llama-cpp from npm (without its scripts) in the bench's cache. The package carries llama.cpp's source as a git bundle and
 * prebuilt libraries. With git, cmake and a compiler llama-bench is built from the bundle for this very machine; the same program also runs on
 * the prebuilt libraries. Without a compiler these are called through the package's own interface.
 */
import { execFile, spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { acquire } from '../lock.ts';
import { cacheFolder } from './cache.ts';

/** The release that is compared with. */
export const NODE_LLAMA_CPP = '3.22.1';

/** Built for this machine, or as it comes. */
export type LlamaFlavour = 'built' | 'prebuilt';

/** How a flavour is run. */
export type LlamaCpp =
  | {
      readonly kind: 'program';
      readonly path: string;
      readonly env: Readonly<Record<string, string>>;
      readonly version: string;
    }
  | { readonly kind: 'library'; readonly entry: string; readonly version: string };

const folder = (): string => cacheFolder(`node-llama-cpp-${NODE_LLAMA_CPP}`);
const packageFolder = (): string => join(folder(), 'node_modules', 'node-llama-cpp');
const benchProgram = (): string => join(folder(), 'build', 'bin', 'llama-bench');
const WHY_NOT_BUILT = 'not-built.txt';

/** A flavour that is set up; throws the reason when it is not. Used by the runner, which installs nothing. */
export function findLlamaCpp(flavour: LlamaFlavour): LlamaCpp {
  if (!existsSync(join(packageFolder(), 'package.json')))
    throw new Error(`node-llama-cpp ${NODE_LLAMA_CPP} is not in the bench's cache`);
  const version = `${llamaRelease()} (node-llama-cpp ${NODE_LLAMA_CPP})`;
  const path = benchProgram();
  if (flavour === 'built') {
    if (!existsSync(path)) throw new Error(`llama-bench was not built: ${reasonNotBuilt()}`);
    return { kind: 'program', path, env: {}, version };
  }
  const prebuilt = join(folder(), 'prebuilt');
  if (existsSync(join(prebuilt, 'llama-bench')))
    return { kind: 'program', path: join(prebuilt, 'llama-bench'), env: { LD_LIBRARY_PATH: prebuilt }, version };
  return { kind: 'library', entry: join(packageFolder(), 'dist', 'index.js'), version };
}

function reasonNotBuilt(): string {
  try {
    return readFileSync(join(folder(), WHY_NOT_BUILT), 'utf8');
  } catch {
    return 'no build was tried';
  }
}

function llamaRelease(): string {
  const info = JSON.parse(readFileSync(join(packageFolder(), 'llama', 'binariesGithubRelease.json'), 'utf8')) as {
    release?: string;
  };
  return info.release ?? 'unknown release';
}

let settingUp: Promise<void> | undefined;

/** Installs and builds what is not there yet, for both flavours; minutes at the first time, nothing later. Throws when nothing can be had. */
export function setUpLlamaCpp(say: (text: string) => void): Promise<void> {
  settingUp ??= setUp(say);
  return settingUp;
}

async function setUp(say: (text: string) => void): Promise<void> {
  const lock = await acquire(join(folder(), 'lock'), () => say('llama.cpp: another bench is setting it up'));
  try {
    if (!existsSync(join(packageFolder(), 'package.json'))) {
      say(`llama.cpp: installing node-llama-cpp ${NODE_LLAMA_CPP} into ${folder()}`);
      await install();
    }
    if (existsSync(benchProgram())) return linkPrebuilt();
    try {
      await build(say);
      rmSync(join(folder(), WHY_NOT_BUILT), { force: true });
      linkPrebuilt();
    } catch (error) {
      const reason = (error as Error).message;
      writeFileSync(join(folder(), WHY_NOT_BUILT), reason);
      say(`llama.cpp: ${reason}`);
    }
  } finally {
    await lock.release();
  }
}

async function install(): Promise<void> {
  writeFileSync(join(folder(), 'package.json'), '{ "private": true }\n');
  const manager = ['npm', 'pnpm'].find((name) => spawnSync(name, ['--version'], { stdio: 'ignore' }).status === 0);
  if (manager === undefined) throw new Error('neither npm nor pnpm is on the PATH');
  const verb = manager === 'npm' ? ['install', '--no-audit', '--no-fund'] : ['add'];
  await call(manager, [...verb, '--ignore-scripts', `node-llama-cpp@${NODE_LLAMA_CPP}`]);
}

async function build(say: (text: string) => void): Promise<void> {
  if (process.env['PROJ_BENCH_LLAMA_BUILD'] === 'off') throw new Error('PROJ_BENCH_LLAMA_BUILD is off');
  for (const tool of ['git', 'cmake', 'c++'])
    if (spawnSync(tool, ['--version'], { stdio: 'ignore' }).error !== undefined)
      throw new Error(`${tool} is not on the PATH, which building llama-bench takes`);
  say(`llama.cpp: building llama-bench in ${folder()}, which takes some minutes`);
  const source = join(folder(), 'source');
  if (!existsSync(source)) {
    rmSync(`${source}.part`, { recursive: true, force: true });
    await call('git', ['clone', '--quiet', join(packageFolder(), 'llama', 'gitRelease.bundle'), `${source}.part`]);
    renameSync(`${source}.part`, source);
  }
  const ninja = spawnSync('ninja', ['--version'], { stdio: 'ignore' }).status === 0;
  await call('cmake', [
    '-S',
    source,
    '-B',
    join(folder(), 'build'),
    ...(ninja ? ['-G', 'Ninja'] : []),
    '-DCMAKE_BUILD_TYPE=Release',
    `-DCMAKE_CXX_FLAGS=-include "${fileURLToPath(new URL('amx-intrinsics.h', import.meta.url))}"`,
    '-DBUILD_SHARED_LIBS=ON',
    '-DGGML_NATIVE=ON',
    ...['TESTS', 'SERVER', 'EXAMPLES', 'APP'].map((part) => `-DLLAMA_BUILD_${part}=OFF`),
    '-DLLAMA_OPENSSL=OFF',
  ]);
  const jobs = String(availableParallelism());
  await call('cmake', ['--build', join(folder(), 'build'), '--target', 'llama-bench', '--parallel', jobs]);
}

/** A folder where the built llama-bench finds the prebuilt libraries under the names that it was linked with. Linux only, where those are known. */
function linkPrebuilt(): void {
  if (process.platform !== 'linux') return;
  const libraries = prebuiltLibraries();
  const target = join(folder(), 'prebuilt');
  if (libraries === undefined || existsSync(join(target, 'llama-bench'))) return;
  const part = `${target}.part`;
  rmSync(part, { recursive: true, force: true });
  cacheFolder(`node-llama-cpp-${NODE_LLAMA_CPP}`, 'prebuilt.part');
  for (const file of readdirSync(libraries)) {
    symlinkSync(join(libraries, file), join(part, file));
    // libllama.v0.5.0.so is wanted as libllama.so.0, libggml-base.so as libggml-base.so.0
    const wanted = /^(libllama|libggml|libggml-base)(?:\.v[\d.]+)?\.so$/.exec(file)?.[1];
    if (wanted !== undefined) symlinkSync(join(libraries, file), join(part, `${wanted}.so.0`));
  }
  const built = join(folder(), 'build', 'bin');
  for (const file of ['llama-bench', 'libllama-bench-impl.so', 'libllama-common.so.0'])
    copyFileSync(join(built, file), join(part, file));
  renameSync(part, target);
}

function prebuiltLibraries(): string | undefined {
  const name = `linux-${process.arch}`;
  const found = join(folder(), 'node_modules', '@node-llama-cpp', name, 'bins', name);
  return existsSync(found) ? found : undefined;
}

/** Runs a command in the cache; what it printed last is the reason when it fails. */
function call(command: string, args: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    execFile(command, [...args], { cwd: folder(), maxBuffer: 1 << 28 }, (error, stdout, stderr) => {
      if (error === null) return resolve();
      const said = `${stdout}\n${stderr}`.split('\n').filter((line) => /error|fail/i.test(line));
      reject(new Error(`${command} ${args[0] ?? ''} failed: ${said.slice(0, 3).join(' | ') || error.message}`));
    });
  });
}
