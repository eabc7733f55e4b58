// `tensor/promotion`: result dtypes of operations on pairs of dtypes, casts, broadcasting, finfo and iinfo.
import { compareValue, exactTolerance } from '../compare.ts';
import { isExactDtype, PyValue } from '../encoded.ts';
import type { CaseRecord, Encoded } from '../encoded.ts';
import type { Library, Prepared } from '../library.ts';
import type { Context } from './family.ts';

const scalars: Readonly<Record<string, unknown>> = {
  bool: true,
  int: 2,
  float: 2.5,
  complex: new PyValue('complex', [1, 2]),
};

/** A tensor of a dtype with ones: 0-d for `dim` 0, else of `dim` dimensions of size 2. */
function ones(library: Library, dtype: string, dim: number): unknown {
  const shape = new Array<number>(dim).fill(2);
  const count = 2 ** dim;
  const data = dtype.startsWith('complex')
    ? Array.from({ length: 2 * count }, (_, i) => (i % 2 === 0 ? 1 : 0))
    : new Array<number>(count).fill(1);
  return library.tensor({ dtype, shape, data });
}

const needsDim: ReadonlySet<string> = new Set([
  'softmax',
  'log_softmax',
  'cumsum',
  'cumprod',
  'logsumexp',
  'sort',
  'argsort',
  'cummax',
  'cummin',
  'logcumsumexp',
  'softmin',
  'diff',
]);

/** Runs the function of a record; returns a dtype name or another plain value. */
function evaluate(record: CaseRecord, library: Library): unknown {
  const fn = String(record.fn);
  const call = (name: string, args: readonly unknown[], kwargs: Readonly<Record<string, unknown>> = {}): unknown =>
    library.call({ name: `torch.${name}`, args, kwargs });
  const dtype = (name: string): PyValue => new PyValue('dtype', name);
  const a = String(record.a);
  const b = String(record.b);
  const resultDtype = (value: unknown): unknown => {
    const tensor = library.isTensor(value)
      ? value
      : Array.isArray(value)
        ? value[0]
        : typeof value === 'object' && value !== null
          ? Object.values(value)[0]
          : value;
    return library.isTensor(tensor) ? library.read(tensor).dtype : tensor;
  };
  const dim = (field: string): number => (typeof record[field] === 'number' ? record[field] : 1);
  switch (fn) {
    case 'can_cast':
    case 'promote_types':
      return call(fn, [dtype(a), dtype(b)]);
    case 'tensor_op':
      return resultDtype(call(String(record.op), [ones(library, a, dim('a_dim')), ones(library, b, dim('b_dim'))]));
    case 'scalar_op':
      return resultDtype(call(String(record.op), [ones(library, a, dim('a_dim')), scalars[String(record.scalar)]]));
    case 'scalar_tensor_op':
      return resultDtype(call(String(record.op), [scalars[String(record.scalar)], ones(library, a, dim('a_dim'))]));
    case 'unary_op':
      return resultDtype(
        call(
          String(record.op),
          needsDim.has(String(record.op)) ? [ones(library, a, dim('a_dim')), 0] : [ones(library, a, dim('a_dim'))],
        ),
      );
    case 'result_type': {
      const side = (field: 'a' | 'b'): unknown =>
        String(record[field]) in scalars && !isExactDtype(String(record[field]))
          ? scalars[String(record[field])]
          : ones(library, String(record[field]), dim(`${field}_dim`));
      return call(fn, [side('a'), record.scalar === undefined ? side('b') : scalars[String(record.scalar)]]);
    }
    case 'broadcast_shapes':
    case 'broadcast': {
      const shapes = Array.isArray(record.shapes) ? record.shapes : [record.a, record.b];
      return call(
        'broadcast_shapes',
        shapes.map((shape) => (typeof shape === 'object' && shape !== null && 'v' in shape ? shape.v : shape)),
      );
    }
    case 'finfo':
    case 'iinfo':
      return call(fn, [dtype(String(record.dtype ?? record.a))]);
    default:
      return call(fn, Array.isArray(record.args) ? record.args : [record.a, record.b].filter((x) => x !== undefined));
  }
}

/** Starts a record of `tensor/promotion`; the answer `error` means that the call must throw. */
export function startPromotion(record: CaseRecord, { library }: Context): Prepared {
  return {
    pending: [],
    check() {
      if (record.out === 'error') {
        try {
          const result = evaluate(record, library);
          return { kind: 'no-error', detail: `nothing was thrown, the result is ${String(result)}` };
        } catch (error) {
          if (error instanceof Error && error.name === 'MissingOperation') throw error;
          return null;
        }
      }
      return compareValue(
        evaluate(record, library),
        record.out as Encoded,
        library,
        { tolerance: exactTolerance(1e-6) },
        'result',
      );
    },
  };
}
