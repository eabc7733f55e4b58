// Reads the imports of one TypeScript file, with the three kinds that matter here told apart.
import { parseSync } from 'oxc-parser';

/** `value`: loaded together with the file; `type`: erased before it runs; `dynamic`: loaded later, by `import()`. */
export type ImportKind = 'value' | 'type' | 'dynamic';

export interface Import {
  readonly specifier: string;
  readonly kind: ImportKind;
}

/** Under `verbatimModuleSyntax` only `import type` and `export type` are erased; `import { type A }` still loads the module. */
const erased = /^(?:import|export)\s+type\b(?!\s*(?:from|,)\s)/;

/** The imports and re-exports of a source text, in order. Throws when it does not parse. */
export function readImports(file: string, source: string): Import[] {
  const { module, errors } = parseSync(file, source);
  if (errors.length > 0) throw new SyntaxError(`${file}: ${errors[0].message}`);
  const found: (Import & { readonly start: number })[] = [];
  const kindAt = (start: number, end: number): ImportKind => (erased.test(source.slice(start, end)) ? 'type' : 'value');
  for (const statement of module.staticImports) {
    found.push({
      specifier: statement.moduleRequest.value,
      kind: kindAt(statement.start, statement.end),
      start: statement.start,
    });
  }
  for (const statement of module.staticExports) {
    const request = statement.entries.find((entry) => entry.moduleRequest !== null)?.moduleRequest;
    if (request)
      found.push({ specifier: request.value, kind: kindAt(statement.start, statement.end), start: statement.start });
  }
  for (const call of module.dynamicImports) {
    const text = source.slice(call.moduleRequest.start, call.moduleRequest.end);
    const literal = /^(['"`])([^'"`$]*)\1$/.exec(text);
    if (literal) found.push({ specifier: literal[2], kind: 'dynamic', start: call.start });
  }
  return found.sort((a, b) => a.start - b.start).map(({ specifier, kind }) => ({ specifier, kind }));
}
