// Walks the source of every workspace package and reports imports that point up, imports that reach into another
// package's files, and files that import each other in a cycle. Type-only and dynamic imports obey the layers but make no cycle.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix, relative, sep } from 'node:path';
import { findCycles } from './cycles.ts';
import { readImports } from './imports.ts';
import { forbiddenImport, type Importer } from './layers.ts';

interface WorkspacePackage {
  readonly name: string;
  readonly kind: Importer['kind'];
  /** Path from the root, with forward slashes. */
  readonly folder: string;
}

/** What is wrong in the tree at `root`, one sentence each; empty when all is well. */
export function checkBoundaries(root: string): string[] {
  const packages = (['packages', 'apps', 'tooling'] as const).flatMap((kind) => readPackages(root, kind));
  const names = new Set(packages.map((one) => one.name));
  const problems: string[] = [];
  const graph = new Map<string, string[]>();

  for (const { name, kind, folder } of packages) {
    for (const path of sourceFiles(join(root, folder, 'src'))) {
      const file = relative(root, path).split(sep).join('/');
      const importer: Importer = { packageName: name, kind, file: posix.relative(folder, file) };
      const loaded: string[] = [];
      for (const { specifier, kind: importKind } of readImports(file, readFileSync(path, 'utf8'))) {
        if (specifier.startsWith('.')) {
          const target = posix.join(dirname(file), specifier);
          if (!target.startsWith(`${folder}/`))
            problems.push(`${file} → ${target}: import the other package by its name`);
          else if (importKind === 'value') loaded.push(target);
          continue;
        }
        const target = packageOf(specifier);
        if (!names.has(target)) continue;
        const reason = forbiddenImport(importer, target);
        if (reason !== undefined) problems.push(`${file} → ${specifier}: ${reason}`);
      }
      graph.set(file, loaded);
    }
  }
  for (const cycle of findCycles(graph)) problems.push(`import cycle: ${cycle.join(' → ')}`);
  return problems;
}

function packageOf(specifier: string): string {
  const parts = specifier.split('/');
  return specifier.startsWith('@') ? parts.slice(0, 2).join('/') : parts[0];
}

function readPackages(root: string, kind: Importer['kind']): WorkspacePackage[] {
  const folder = join(root, kind);
  if (!existsSync(folder)) return [];
  return readdirSync(folder).flatMap((entry) => {
    const manifest = join(folder, entry, 'package.json');
    if (!existsSync(manifest)) return [];
    const { name } = JSON.parse(readFileSync(manifest, 'utf8')) as { readonly name: string };
    return [{ name, kind, folder: `${kind}/${entry}` }];
  });
}

function sourceFiles(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => join(folder, file))
    .sort();
}
