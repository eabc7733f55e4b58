/** Errors of the operating system as ours. */
import { ProjError } from '@proj/kernel';

const CURES: Readonly<Record<string, string>> = {
  ENOENT: 'Check the path; its folder must exist',
  EACCES: 'Check the permissions of the file and its folder',
  EPERM: 'Check the permissions of the file and its folder',
  EISDIR: 'Give the path of a file, not of a folder',
  ENOTDIR: 'Check the path: a part of it is a file',
  EROFS: 'The disk is read-only: write elsewhere',
  ENOSPC: 'Free some space and start the same conversion again: it goes on where it stopped',
  EDQUOT: 'Free some of the quota and start the same conversion again: it goes on where it stopped',
  EFBIG: 'The file system or a limit of this user does not allow files of this size: write elsewhere',
};

/** What went wrong, where, and what to do. */
export function ioError(op: string, action: string, path: string, error: unknown): ProjError {
  if (error instanceof ProjError) return error;
  const { code = '', message } = error as NodeJS.ErrnoException;
  return new ProjError('io', `cannot ${action} ${path}: ${message}`, { op, cure: CURES[code], cause: error });
}
