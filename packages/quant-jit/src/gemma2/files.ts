/** JSON files of a model folder. */
import { readFileSync } from 'node:fs';
import { ProjError } from '@proj/kernel';
import { fileError } from '@proj/tensor/io';

/** JSON from a file. Errors: it cannot be read or parsed, with its path. */
export function readJson(path: string): unknown {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw fileError('gemma2', 'read', path, error);
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ProjError('serialization', `${path} is not JSON (${(error as Error).message})`, {
      op: 'gemma2',
      cure: 'The file is damaged: fetch it again',
      cause: error,
    });
  }
}
