/** The one error type of all packages, and its value form. */

/** Every way in which an operation of ours can fail. */
export type ErrorCode =
  | 'shape-mismatch'
  | 'dtype'
  | 'device-unavailable'
  | 'out-of-memory'
  | 'kernel-verification'
  | 'kernel-compilation'
  | 'autograd'
  | 'capture'
  | 'serialization'
  | 'data-loading'
  | 'distributed'
  | 'index-out-of-range'
  | 'invalid-argument'
  | 'io'
  | 'not-implemented';

export interface ErrorDetails {
  /** The operation that failed, by its public name. */
  readonly op?: string;
  readonly shapes?: readonly (readonly number[])[];
  readonly dtypes?: readonly string[];
  /** What the caller can do about it. */
  readonly cure?: string;
  readonly cause?: unknown;
}

/** Thrown by every package: what failed (`op`), on what (`shapes`, `dtypes`), and what to do (`cure`). */
export class ProjError extends Error {
  readonly code: ErrorCode;
  readonly op: string | undefined;
  readonly shapes: readonly (readonly number[])[] | undefined;
  readonly dtypes: readonly string[] | undefined;
  readonly cure: string | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(format(message, details), details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'ProjError';
    this.code = code;
    this.op = details.op;
    this.shapes = details.shapes;
    this.dtypes = details.dtypes;
    this.cure = details.cure;
  }
}

function format(message: string, { op, shapes, dtypes, cure }: ErrorDetails): string {
  const operands = shapes
    ?.map((shape, i) => `${dtypes?.[i] ?? ''}[${shape?.join(', ') ?? 'not a tensor'}]`)
    .join(' and ');
  return `${op === undefined ? '' : `${op}: `}${message}${operands === undefined ? '' : ` (operands ${operands})`}${cure === undefined ? '' : `. ${cure}`}`;
}

export type Result<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: ProjError };

/** Any thrown value as a `ProjError`; one that is a `ProjError` already is kept as it is. */
export function toProjError(error: unknown): ProjError {
  if (error instanceof ProjError) return error;
  return new ProjError('invalid-argument', error instanceof Error ? error.message : String(error), { cause: error });
}

/** Runs `fn` and gives its value, or the error it threw, as a value. */
export function attempt<T>(fn: () => T): Result<T> {
  try {
    return { ok: true, value: fn() };
  } catch (error) {
    return { ok: false, error: toProjError(error) };
  }
}

/** As {@link attempt}, for a function that gives a promise. */
export async function attemptAsync<T>(fn: () => Promise<T>): Promise<Result<T>> {
  try {
    return { ok: true, value: await fn() };
  } catch (error) {
    return { ok: false, error: toProjError(error) };
  }
}
