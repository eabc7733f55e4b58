/** Folders that results go to: made, and tried, before the work that they are for. */
import { accessSync, constants } from 'node:fs';
import { makeFolder } from '@proj/kernel';
import { fileError } from '@proj/tensor/io';

/** Makes a folder that can be written, or finds that it is one. @throws ProjError `io` where it cannot be made or written. */
export function outputFolder(op: string, path: string): void {
  try {
    makeFolder(path);
    accessSync(path, constants.W_OK);
  } catch (error) {
    throw fileError(op, 'write', path, error);
  }
}
