// Finding and reading case files: `.jsonl` and `.jsonl.gz`, one JSON object a line; what cannot be read is an error with file and line.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import type { CaseRecord } from './encoded.ts';
import type { IndexEntry } from './families/family.ts';

/** A case file that cannot be read, with the place. */
export class CaseFileError extends Error {
  override readonly name = 'CaseFileError';
}

/** A record and the line it stands on (from 1). */
export interface CaseLine {
  readonly line: number;
  readonly record: CaseRecord;
}

const isCaseFile = (name: string): boolean => /\.jsonl(\.gz)?$/.test(name);

/** The case files under paths (files or folders), sorted, each once. */
export function findCaseFiles(paths: readonly string[]): string[] {
  const found = new Set<string>();
  const visit = (path: string): void => {
    if (!existsSync(path)) throw new CaseFileError(`${path}: no such file or folder`);
    if (statSync(path).isDirectory()) {
      for (const name of readdirSync(path).sort()) {
        const child = join(path, name);
        if (isCaseFile(name) || statSync(child).isDirectory()) visit(child);
      }
    } else if (isCaseFile(path)) found.add(path);
    else throw new CaseFileError(`${path}: a case file ends in .jsonl or .jsonl.gz`);
  };
  for (const path of paths) {
    visit(path);
    if (found.size === 0) throw new CaseFileError(`${path}: there is no .jsonl or .jsonl.gz file in it`);
  }
  return [...found];
}

/** Reads the records of a case file. */
export function readCaseFile(path: string): CaseLine[] {
  let text: string;
  try {
    const bytes = readFileSync(path);
    text = (path.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('utf8');
  } catch (error) {
    throw new CaseFileError(`${path}:1: cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
  const lines: CaseLine[] = [];
  for (const [i, source] of text.split('\n').entries()) {
    if (source.trim() === '') continue;
    let record: unknown;
    try {
      record = JSON.parse(source);
    } catch (error) {
      throw new CaseFileError(
        `${path}:${i + 1}: not a JSON object: ${error instanceof Error ? error.message : String(error)}`,
      );
    }
    if (typeof record !== 'object' || record === null || Array.isArray(record))
      throw new CaseFileError(`${path}:${i + 1}: not a JSON object`);
    lines.push({ line: i + 1, record: record as CaseRecord });
  }
  return lines;
}

/** The `index.json` beside a case file, by `op/variant` and by call; empty where there is none. */
export function readIndex(path: string): Map<string, IndexEntry> {
  const index = new Map<string, IndexEntry>();
  const file = join(dirname(path), 'index.json');
  if (!existsSync(file)) return index;
  let entries: unknown;
  try {
    entries = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new CaseFileError(`${file}:1: not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (!Array.isArray(entries)) throw new CaseFileError(`${file}:1: not a list of operations`);
  for (const entry of entries as IndexEntry[]) {
    index.set(`${entry.op}/${entry.variant}`, entry);
    if (!index.has(entry.call)) index.set(entry.call, entry);
  }
  return index;
}
