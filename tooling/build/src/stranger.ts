// The packages in an empty project outside the tree, as npm installs their tarballs for a stranger: every sub-path is imported, the programs of the
// documentation run and print what it says, on this Node and on the oldest that the packages promise to run on, and the types compile with
// both ways of resolving modules. What is for browsers can be bundled for them, and its types compile without Node's.
import { globSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { build, transform } from 'esbuild';
import { execute, inTurns } from './execute.ts';

export interface Wares {
  /** The repository. */
  readonly root: string;
  /** Where the project may lie. */
  readonly folder: string;
  /** Files by the names of the packages. */
  readonly tarballs: Readonly<Record<string, string>>;
  /** All that can be imported. */
  readonly subPaths: readonly string[];
  /** The version that the packages' `engines` begin with. */
  readonly oldestNode: string;
}

export interface Use {
  readonly problems: readonly string[];
  /** What was done, a line each. */
  readonly done: readonly string[];
}

/** What needs Node: machine code through FFI, and models in files. */
const FOR_NODE = /^@proj\/(?:device-native|quant-jit(?:\/(?:distill|file|gemma2|jit))?)$/;

/** Everything that the documentation says a file prints, and the blocks of brain-blitz.md as files. */
interface Program {
  readonly name: string;
  readonly code: string;
  readonly prints: readonly string[];
}

/** Uses the packages; what went wrong, and what was done. */
export async function useAsStranger(wares: Wares): Promise<Use> {
  const problems: string[] = [];
  const done: string[] = [];
  const project = join(wares.folder, 'project');
  mkdirSync(project);
  const write = (file: string, content: string): void => writeFileSync(join(project, file), content);
  const dependencies = Object.fromEntries(
    Object.entries(wares.tarballs).map(([name, tarball]) => [name, `file:${tarball}`]),
  );
  write('package.json', JSON.stringify({ name: 'stranger', private: true, type: 'module', dependencies }));
  const flags = ['--prefer-offline', '--ignore-scripts', '--no-audit', '--no-fund', '--no-package-lock'];
  const installed = await execute('npm', ['install', ...flags], { cwd: project });
  if (installed.status !== 0) return { problems: [`npm install of the tarballs failed:\n${installed.output}`], done };

  const imports = (subPaths: readonly string[]): string =>
    subPaths.map((subPath, i) => `import * as part${i} from '${subPath}';`).join('\n');
  const uses = `export const parts = [${wares.subPaths.map((_, i) => `part${i}`).join(', ')}];`;
  const programs = [
    { name: 'every-sub-path', code: `${imports(wares.subPaths)}\n${uses}\n`, prints: [] },
    // Without it what the packages keep on disk would not be theirs alone, so they would keep nothing.
    {
      name: 'code-digest',
      code: "import { kernelCodeDigest } from '@proj/kernel';\nconsole.log(`digest of ${kernelCodeDigest?.length} digits`);\n",
      prints: ['digest of 32 digits'],
    },
    ...documented(wares.root),
  ];
  for (const { name, code } of programs) {
    write(`${name}.ts`, code);
    write(`${name}.js`, (await transform(code, { loader: 'ts', format: 'esm' })).code);
  }
  const oldest = await oldNode(wares.oldestNode, wares.folder);
  if (oldest === null) done.push(`skipped: Node ${wares.oldestNode} could not be had from npm, nothing was run on it`);
  const nodes = [
    { node: process.execPath, version: process.versions.node, extension: 'ts' },
    // Types are stripped from 22.18 on.
    ...(oldest === null ? [] : [{ node: oldest, version: wares.oldestNode, extension: 'js' }]),
  ];
  const runs = nodes.flatMap((on) => programs.map((program) => ({ ...on, ...program })));
  await inTurns(runs, async ({ node, version, extension, name, prints }) => {
    const args = ['--disable-warning=ExperimentalWarning', `${name}.${extension}`];
    const { status, stdout, output } = await execute(node, args, { cwd: project });
    if (status !== 0) problems.push(`${name}.${extension} fails on Node ${version}:\n${output}`);
    // A device that is missing here is said too, which is as it should be.
    else if (/^\(node:\d+\)/m.test(output))
      problems.push(`${name}.${extension} makes Node ${version} warn:\n${output}`);
    for (const text of prints)
      if (status === 0 && !stdout.includes(text))
        problems.push(`${name}.${extension} on Node ${version} is to print\n${text}\nand prints\n${stdout}`);
  });
  done.push(`${programs.length} programs on Node ${nodes.map(({ version }) => version).join(' and ')}`);

  write('for-browsers.ts', `${imports(wares.subPaths.filter((subPath) => !FOR_NODE.test(subPath)))}\n`);
  try {
    // An import of a module of Node would be an error.
    const options = { bundle: true, write: false, platform: 'browser', format: 'esm', logLevel: 'silent' } as const;
    await build({ ...options, absWorkingDir: project, entryPoints: ['for-browsers.ts'] });
  } catch (error) {
    problems.push(`a bundle for browsers cannot be made:\n${(error as Error).message}`);
  }
  done.push('a bundle for browsers');
  await checkTypes(wares.root, project, programs, problems);
  done.push('types under nodenext and bundler resolution');
  return { problems, done };
}

async function checkTypes(root: string, project: string, programs: readonly Program[], problems: string[]) {
  const resolutions = [{ module: 'nodenext' }, { module: 'preserve', moduleResolution: 'bundler' }];
  const strangers = [
    { files: programs.map(({ name }) => `${name}.ts`), types: ['node'], lib: ['es2023'] },
    { files: ['for-browsers.ts'], types: [], lib: ['es2022', 'dom'] },
  ];
  const checks = resolutions.flatMap((resolution) => strangers.map((stranger) => ({ resolution, ...stranger })));
  const named = checks.map((check, i) => ({ ...check, file: `tsconfig.${i}.json` }));
  for (const { resolution, files, types, lib, file } of named) {
    const typeRoots = [join(root, 'node_modules/@types')];
    // Declarations are checked too: skipLibCheck is off.
    const compilerOptions = { ...resolution, strict: true, noEmit: true, target: 'es2022', lib, types, typeRoots };
    writeFileSync(join(project, file), JSON.stringify({ compilerOptions, files }));
  }
  await inTurns(named, async ({ resolution, lib, file }) => {
    const { status, output } = await execute('tsc', ['-p', join(project, file)], { cwd: root });
    if (status !== 0) problems.push(`types under ${resolution.module} with ${lib.join(', ')}:\n${output}`);
  });
}

/** The programs that the documentation quotes, with what it says they print, and those that docs/brain-blitz.md holds. */
function documented(root: string): Program[] {
  const folder = join(root, 'apps/examples/src');
  const pages = globSync(['README.md', 'docs/**/*.md', 'packages/*/README.md'], {
    cwd: root,
    exclude: ['docs/api/**'],
  });
  const text = pages.map((page) => readFileSync(join(root, page), 'utf8')).join('\n');
  const quoted = readdirSync(folder).map((file) => {
    const fence = '```';
    const block = new RegExp(
      `^${fence}ts file=apps/examples/src/${file}\\n(?:(?!${fence})[^])*\\n${fence}\\n\\n${fence}text\\n([^]*?)\\n${fence}$`,
      'gm',
    );
    const prints = [...text.matchAll(block)].map(([, output]) => output);
    return { name: basename(file, '.ts'), code: readFileSync(join(folder, file), 'utf8'), prints };
  });
  const brainBlitz = readFileSync(join(root, 'docs/brain-blitz.md'), 'utf8');
  const held = [...brainBlitz.matchAll(/```ts\n([^]*?)\n```\n\n```text\n([^]*?)\n```/g)];
  return [...quoted, ...held.map(([, code, output], i) => ({ name: `brain-blitz-${i}`, code, prints: [output] }))];
}

/** Node of that version through npm, or null where there is none for this machine, or no registry. */
async function oldNode(version: string, cwd: string): Promise<string | null> {
  const exact = version.split('.').length === 3 ? version : `${version}.0`;
  const args = ['--yes', '--prefer-offline', `node@${exact}`, '-p', 'process.version + " " + process.execPath'];
  const { status, stdout } = await execute('npx', args, { cwd });
  const [found, path] = stdout.split(' ');
  return status === 0 && found === `v${exact}` ? path : null;
}
