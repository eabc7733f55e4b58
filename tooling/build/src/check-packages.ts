// Packs every package that is published and looks at the result as a user would: publint and attw on the tarball, then all of them in a
// stranger's project (stranger.ts). Runs under `pnpm exec`, because it packs with pnpm.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execute, inTurns } from './execute.ts';
import { useAsStranger } from './stranger.ts';

interface Manifest {
  readonly name: string;
  readonly private?: boolean;
  readonly engines: { readonly node: string };
  readonly exports: Readonly<Record<string, unknown>>;
}

const root = fileURLToPath(new URL('../../../', import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'proj-pack-'));
const problems: string[] = [];

async function expectSuccess(what: string, command: string, args: readonly string[], cwd: string): Promise<void> {
  const { status, output } = await execute(command, args, { cwd });
  if (status !== 0) problems.push(`${what} failed:\n${output}`);
}

const manifests = readdirSync(join(root, 'packages'))
  .map((folder) => ({
    folder: join(root, 'packages', folder),
    manifest: JSON.parse(readFileSync(join(root, 'packages', folder, 'package.json'), 'utf8')) as Manifest,
  }))
  .filter(({ manifest }) => manifest.private !== true);

const tarballs: Record<string, string> = {};
await inTurns(manifests, async ({ folder, manifest }) => {
  const tarball = join(scratch, `${manifest.name.replace('@', '').replace('/', '-')}.tgz`);
  // The build step has run: packing need not build again.
  const pack = ['pack', '--config.ignore-scripts=true', '--out', tarball];
  await expectSuccess(`pnpm pack of ${manifest.name}`, 'pnpm', pack, folder);
  tarballs[manifest.name] = tarball;
  await expectSuccess(`publint of ${manifest.name}`, 'publint', [tarball, '--strict'], root);
  await expectSuccess(`attw of ${manifest.name}`, 'attw', [tarball, '--profile', 'esm-only', '--no-emoji'], root);
});

const engines = new Set(manifests.map(({ manifest }) => manifest.engines.node));
if (engines.size !== 1) problems.push(`the packages ask for different versions of Node: ${[...engines].join(', ')}`);
const subPaths = manifests.flatMap(({ manifest }) =>
  Object.keys(manifest.exports)
    .filter((subPath) => !subPath.endsWith('.json'))
    .map((subPath) => manifest.name + subPath.slice(1)),
);
let done: readonly string[] = [];
if (problems.length === 0) {
  const [oldestNode = ''] = [...engines].map((range) => range.replace(/^>=/, ''));
  const use = await useAsStranger({ root, folder: scratch, tarballs, subPaths, oldestNode });
  problems.push(...use.problems);
  done = use.done;
}

rmSync(scratch, { recursive: true, force: true });
for (const line of done) console.log(line);
for (const problem of problems) console.error(`${problem}\n`);
console.log(`${manifests.length} packages, ${subPaths.length} sub-paths, ${problems.length} problems`);
if (problems.length > 0) process.exitCode = 1;
