// Packs every package that is published and looks at the result as a user would: publint and attw on the tarball, then an
// installation of all tarballs into an empty project, an import of each sub-path under Node without the source condition, and a type check there.
// Runs under `pnpm exec`, because it packs and installs with pnpm.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

interface Manifest {
  readonly name: string;
  readonly private?: boolean;
  readonly exports: Readonly<Record<string, unknown>>;
}

const root = fileURLToPath(new URL('../../../', import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'proj-pack-'));
const problems: string[] = [];

/** Runs a command; on failure notes its output as a problem. */
function expectSuccess(what: string, command: string, args: readonly string[], cwd: string): boolean {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd,
    encoding: 'utf8',
    shell: process.platform === 'win32',
  });
  if (status === 0) return true;
  problems.push(`${what} failed:\n${[error?.message, stdout, stderr].filter(Boolean).join('\n').trimEnd()}`);
  return false;
}

const manifests = readdirSync(join(root, 'packages'))
  .map((folder) => ({
    folder: join(root, 'packages', folder),
    manifest: JSON.parse(readFileSync(join(root, 'packages', folder, 'package.json'), 'utf8')) as Manifest,
  }))
  .filter(({ manifest }) => manifest.private !== true);

const tarballs: Record<string, string> = {};
for (const { folder, manifest } of manifests) {
  const tarball = join(scratch, `${manifest.name.replace('@', '').replace('/', '-')}.tgz`);
  if (!expectSuccess(`pnpm pack of ${manifest.name}`, 'pnpm', ['pack', '--out', tarball], folder)) continue;
  tarballs[manifest.name] = `file:${tarball}`;
  expectSuccess(`publint of ${manifest.name}`, 'publint', [tarball, '--strict'], root);
  expectSuccess(`attw of ${manifest.name}`, 'attw', [tarball, '--profile', 'esm-only', '--no-emoji'], root);
}

const subPaths = manifests.flatMap(({ manifest }) =>
  Object.keys(manifest.exports)
    .filter((subPath) => !subPath.endsWith('.json'))
    .map((subPath) => manifest.name + subPath.slice(1)),
);
const project = join(scratch, 'project');
mkdirSync(project);
const write = (file: string, content: unknown): void =>
  writeFileSync(join(project, file), typeof content === 'string' ? content : JSON.stringify(content));
write('package.json', { name: 'empty-project', private: true, type: 'module', dependencies: tarballs });
write(
  'pnpm-workspace.yaml',
  ['packages: []', 'pmOnFail: ignore', 'strictDepBuilds: false', `overrides: ${JSON.stringify(tarballs)}`, ''].join(
    '\n',
  ),
);
const names = subPaths.map((subPath, index) => `import * as part${index} from '${subPath}'`);
write(
  'use.ts',
  `${names.join('\n')}\nexport const parts = [${subPaths.map((_, index) => `part${index}`).join(', ')}]\n`,
);
write(
  'use.js',
  `${names.join('\n')}\nconsole.log([${subPaths.map((_, index) => `part${index}`).join(', ')}].length)\n`,
);
write('tsconfig.json', {
  compilerOptions: {
    module: 'nodenext',
    target: 'es2024',
    lib: ['es2024', 'dom', 'esnext.disposable'],
    strict: true,
    noEmit: true,
    types: ['node'],
    typeRoots: [join(root, 'node_modules/@types')],
  },
  include: ['use.ts'],
});
const installed = expectSuccess(
  'installation of the tarballs',
  'pnpm',
  ['install', '--prefer-offline', '--ignore-scripts', '--no-frozen-lockfile'],
  project,
);
if (installed) {
  expectSuccess('import of every sub-path', process.execPath, ['use.js'], project);
  expectSuccess('type check of every sub-path', 'tsc', ['-p', project], root);
}

rmSync(scratch, { recursive: true, force: true });
for (const problem of problems) console.error(`${problem}\n`);
console.log(`${manifests.length} packages, ${subPaths.length} sub-paths, ${problems.length} problems`);
if (problems.length > 0) process.exitCode = 1;
