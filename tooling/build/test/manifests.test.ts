import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const packagesFolder = new URL('../../../packages/', import.meta.url);

interface Manifest {
  readonly description?: string;
  readonly keywords?: readonly string[];
  readonly license?: string;
  readonly engines?: { readonly node?: string };
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>;
  readonly publishConfig: { readonly exports: unknown };
}

describe.each(readdirSync(packagesFolder))('the manifest of %s', (folder) => {
  const manifest = JSON.parse(readFileSync(new URL(`${folder}/package.json`, packagesFolder), 'utf8')) as Manifest;

  it('publishes every sub-path that the workspace uses, without the source condition', () => {
    const published = Object.fromEntries(
      Object.entries(manifest.exports).map(([subPath, target]) => {
        if (typeof target === 'string') return [subPath, target];
        const { source: _source, ...rest } = target;
        return [subPath, rest];
      }),
    );
    expect(manifest.publishConfig.exports).toEqual(published);
  });

  it('is found in a registry: description, keywords, licence, engines', () => {
    expect(manifest.description).toMatch(/^[A-Z].{20,}\.$/);
    expect(manifest.keywords?.length).toBeGreaterThan(4);
    expect(manifest.license).toBe('MIT');
    expect(manifest.engines?.node).toMatch(/^>=\d/);
  });

  it('has a source file behind every sub-path', () => {
    for (const [subPath, target] of Object.entries(manifest.exports)) {
      const file = typeof target === 'string' ? target : target.source;
      expect(file, subPath).toBeDefined();
      expect(existsSync(fileURLToPath(new URL(`${folder}/${file}`, packagesFolder))), `${subPath} → ${file}`).toBe(
        true,
      );
    }
  });

  it('has every sub-path for programs in the API reference', () => {
    const { entryPoints } = JSON.parse(
      readFileSync(new URL('../tooling/docs/typedoc.json', packagesFolder), 'utf8'),
    ) as { readonly entryPoints: readonly string[] };
    for (const [subPath, target] of Object.entries(manifest.exports)) {
      // The graph is for the packages above, the test helpers for their tests.
      if (typeof target === 'string' || ['./graph', './testing'].includes(subPath)) continue;
      expect(entryPoints).toContain(`../../packages/${folder}/${target.source.slice(2)}`);
    }
  });
});
