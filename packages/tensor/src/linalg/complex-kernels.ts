/**
 * The factorisations of `kernels.ts` for complex matrices, of which each input and result is two real blocks: real parts, then imaginary ones.
 * Diagonals that are real by mathematics (of Cholesky factors, of R, of singular values) are computed as real numbers.
 */
import type { KernelBuilder, Operand, Value } from '@proj/kernel';
import { batchedOp, type Grid, type Sizes, type Steps } from './batched.ts';
import type { Kernels } from './kernels.ts';

type Complex = readonly [re: Value, im: Value];

/** Arithmetic on pairs of values. */
class Field {
  readonly b: KernelBuilder;
  constructor(b: KernelBuilder) {
    this.b = b;
  }
  add([a, c]: Complex, [x, y]: Complex): Complex {
    return [this.b.add(a, x), this.b.add(c, y)];
  }
  sub([a, c]: Complex, [x, y]: Complex): Complex {
    return [this.b.sub(a, x), this.b.sub(c, y)];
  }
  mul([a, c]: Complex, [x, y]: Complex): Complex {
    const { b } = this;
    return [b.sub(b.mul(a, x), b.mul(c, y)), b.add(b.mul(a, y), b.mul(c, x))];
  }
  /** conj(z)·w. */
  dot(z: Complex, w: Complex): Complex {
    return this.mul(this.conj(z), w);
  }
  scale([a, c]: Complex, factor: Value): Complex {
    return [this.b.mul(a, factor), this.b.mul(c, factor)];
  }
  over([a, c]: Complex, divisor: Value): Complex {
    return [this.b.div(a, divisor), this.b.div(c, divisor)];
  }
  conj([a, c]: Complex): Complex {
    return [a, this.b.neg(c)];
  }
  square([a, c]: Complex): Value {
    return this.b.add(this.b.mul(a, a), this.b.mul(c, c));
  }
  size(z: Complex): Value {
    return this.b.sqrt(this.square(z));
  }
  /** By the larger part of the divisor first, so that squares do not overflow. */
  div(z: Complex, w: Complex): Complex {
    const { b } = this;
    const scale = b.max(b.abs(w[0]), b.abs(w[1]));
    const unit = this.over(w, scale);
    return this.over(this.over(this.dot(unit, z), this.square(unit)), scale);
  }
}

/** A complex matrix: two blocks. */
class Matrix {
  readonly re: Grid;
  readonly im: Grid;
  constructor(grid: Grid, offset: number, rows: number, columns: number) {
    this.re = grid.part(offset, columns);
    this.im = grid.part(offset + rows * columns, columns);
  }
  get(i: Operand, j: Operand): Complex {
    return [this.re.get(i, j), this.im.get(i, j)];
  }
  set(i: Operand, j: Operand, [re, im]: Complex): void {
    this.re.set(i, j, re);
    this.im.set(i, j, im);
  }
  swap(s: Steps, r1: Value, c1: Value, r2: Value, c2: Value): void {
    s.swap(this.re, r1, c1, r2, c2);
    s.swap(this.im, r1, c1, r2, c2);
  }
}

const sum = (s: Steps, start: Operand, end: Operand, term: (i: Value) => Complex): Complex => {
  const field = new Field(s.b);
  const [re, im] = s.b.for(start, end, 1, [s.number(0), s.number(0)], (i, x, y) => [...field.add([x, y], term(i))]);
  return [re, im];
};
const copy = (s: Steps, from: Matrix, to: Matrix, rows: number, columns: number): void =>
  s.each(0, rows, (i) => s.each(0, columns, (j) => to.set(i, j, from.get(i, j))));
const identity = (s: Steps, to: Matrix, rows: number, columns: number): void =>
  s.each(0, rows, (i) =>
    s.each(0, columns, (j) => to.set(i, j, [s.b.select(s.b.eq(i, j), s.number(1), s.number(0)), s.number(0)])),
  );
/** Sizes of the first input. */
const sizeOf = ([[, rows, n]]: Sizes): readonly [m: number, n: number] => [rows / 2, n];

const lu = batchedOp({
  name: 'luComplex',
  size: (shapes) => {
    const [m, n] = sizeOf(shapes);
    return 2 * m * n + Math.min(m, n);
  },
  body: (s, [a], out, shapes) => {
    const { b } = s;
    const field = new Field(b);
    const [m, n] = sizeOf(shapes);
    const factors = new Matrix(out, 0, m, n);
    const pivots = out.part(2 * m * n, 1);
    copy(s, new Matrix(a, 0, m, n), factors, m, n);
    s.each(0, Math.min(m, n), (k) => {
      // LAPACK compares |re| + |im|.
      const [, at] = b.for(k, m, 1, [s.number(-1), k], (i, best, place) => {
        const [re, im] = factors.get(i, k);
        const size = b.add(b.abs(re), b.abs(im));
        const better = b.gt(size, best);
        return [b.select(better, size, best), b.select(better, i, place)];
      });
      pivots.set(k, 0, b.cast(at, 'f64'));
      s.each(0, n, (j) => factors.swap(s, k, j, at, j));
      const pivot = factors.get(k, k);
      b.if(b.or(b.ne(pivot[0], 0), b.ne(pivot[1], 0)), () => {
        s.each(b.add(k, 1), m, (i) => {
          const factor = field.div(factors.get(i, k), pivot);
          factors.set(i, k, factor);
          s.each(b.add(k, 1), n, (j) =>
            factors.set(i, j, field.sub(factors.get(i, j), field.mul(factor, factors.get(k, j)))),
          );
        });
      });
    });
  },
});

const cholesky = batchedOp({
  name: 'choleskyComplex',
  size: ([[, , n]]) => 2 * n * n + 1,
  body: (s, [input], out, [[, , n]]) => {
    const { b } = s;
    const field = new Field(b);
    const [a, l] = [new Matrix(input, 0, n, n), new Matrix(out, 0, n, n)];
    const info = out.part(2 * n * n, 1);
    info.set(0, 0, s.number(0));
    s.each(0, n, (j) => {
      const rest = b.sub(
        a.get(j, j)[0],
        s.sum(0, j, (k) => field.square(l.get(j, k))),
      );
      b.if(b.and(b.not(b.gt(rest, 0)), b.eq(info.get(0, 0), 0)), () => info.set(0, 0, b.cast(b.add(j, 1), 'f64')));
      const root = b.sqrt(rest);
      l.set(j, j, [root, s.number(0)]);
      s.each(b.add(j, 1), n, (i) => {
        const known = sum(s, 0, j, (k) => field.dot(l.get(j, k), l.get(i, k)));
        l.set(i, j, field.over(field.sub(a.get(i, j), known), root));
        l.set(j, i, [s.number(0), s.number(0)]);
      });
    });
  },
});

const substitution = (name: string, upper: boolean, unit: boolean): ReturnType<typeof batchedOp> =>
  batchedOp({
    name: `${name}Complex`,
    size: ([, [, rows, k]]) => rows * k,
    body: (s, [left, right], out, [, [, rows, width]]) => {
      const { b } = s;
      const field = new Field(b);
      const n = rows / 2;
      const [t, known, x] = [new Matrix(left, 0, n, n), new Matrix(right, 0, n, width), new Matrix(out, 0, n, width)];
      s.each(0, width, (c) => {
        const solveRow = (i: Value): void => {
          const term = (j: Value): Complex => field.mul(t.get(i, j), x.get(j, c));
          const others = upper ? sum(s, b.add(i, 1), n, term) : sum(s, 0, i, term);
          const value = field.sub(known.get(i, c), others);
          x.set(i, c, unit ? value : field.div(value, t.get(i, i)));
        };
        if (upper) s.down(n - 1, 0, solveRow);
        else s.each(0, n, solveRow);
      });
    },
  });

/** With real diagonals of R: reflectors I - tau·v·vᴴ, applied conjugated (LAPACK's zgeqrf). */
const householder = batchedOp({
  name: 'geqrfComplex',
  size: (shapes) => {
    const [m, n] = sizeOf(shapes);
    return 2 * m * n + 2 * Math.min(m, n);
  },
  body: (s, [a], out, shapes) => {
    const { b } = s;
    const field = new Field(b);
    const [m, n] = sizeOf(shapes);
    const r = new Matrix(out, 0, m, n);
    const tau = new Matrix(out, 2 * m * n, Math.min(m, n), 1);
    copy(s, new Matrix(a, 0, m, n), r, m, n);
    s.each(0, Math.min(m, n), (k) => {
      const below = s.sum(b.add(k, 1), m, (i) => field.square(r.get(i, k)));
      const alpha = r.get(k, k);
      tau.set(k, 0, [s.number(0), s.number(0)]);
      b.if(b.or(b.gt(below, 0), b.ne(alpha[1], 0)), () => {
        const norm = b.sqrt(b.add(field.square(alpha), below));
        const beta = b.select(b.ge(alpha[0], 0), b.neg(norm), norm);
        const difference: Complex = [b.sub(beta, alpha[0]), b.neg(alpha[1])];
        const factor = field.over(difference, beta);
        tau.set(k, 0, factor);
        s.each(b.add(k, 1), m, (i) =>
          r.set(i, k, field.div(r.get(i, k), [b.neg(difference[0]), b.neg(difference[1])])),
        );
        r.set(k, k, [beta, s.number(0)]);
        s.each(b.add(k, 1), n, (j) => {
          const along = field.add(
            r.get(k, j),
            sum(s, b.add(k, 1), m, (i) => field.dot(r.get(i, k), r.get(i, j))),
          );
          const projection = field.dot(factor, along);
          r.set(k, j, field.sub(r.get(k, j), projection));
          s.each(b.add(k, 1), m, (i) => r.set(i, j, field.sub(r.get(i, j), field.mul(projection, r.get(i, k)))));
        });
      });
    });
  },
});

const reflectors = batchedOp({
  name: 'orgqrComplex',
  size: ([, , [, rows, columns]]) => rows * columns,
  body: (s, [vectors, factors], out, [[, , n], [, twice], [, rows, columns]]) => {
    const { b } = s;
    const field = new Field(b);
    const [m, k] = [rows / 2, twice / 2];
    const [v, tau, q] = [new Matrix(vectors, 0, m, n), new Matrix(factors, 0, k, 1), new Matrix(out, 0, m, columns)];
    identity(s, q, m, columns);
    s.down(k - 1, 0, (i) => {
      const factor = tau.get(i, 0);
      s.each(0, columns, (j) => {
        const along = field.add(
          q.get(i, j),
          sum(s, b.add(i, 1), m, (r) => field.dot(v.get(r, i), q.get(r, j))),
        );
        const projection = field.mul(factor, along);
        q.set(i, j, field.sub(q.get(i, j), projection));
        s.each(b.add(i, 1), m, (r) => q.set(r, j, field.sub(q.get(r, j), field.mul(projection, v.get(r, i)))));
      });
    });
  },
});

const SWEEPS = 24;

/** Selection sort of `values`, descending, and of the columns of the matrices with them. */
function sortColumns(s: Steps, values: Grid, count: number, matrices: readonly (readonly [Matrix, number])[]): void {
  const { b } = s;
  s.each(0, count, (i) => {
    const [, at] = b.for(i, count, 1, [values.get(i, 0), i], (j, best, place) => {
      const better = b.gt(values.get(j, 0), best);
      return [b.select(better, values.get(j, 0), best), b.select(better, j, place)];
    });
    s.swap(values, i, b.index(0), at, b.index(0));
    for (const [matrix, rows] of matrices) s.each(0, rows, (r) => matrix.swap(s, r, i, r, at));
  });
}

/** One-sided Jacobi: a column is turned so that its product with the other is real, then both are rotated as real ones. */
function jacobi(s: Steps, u: Matrix, m: number, v: Matrix, n: number): void {
  const { b } = s;
  const field = new Field(b);
  s.each(0, SWEEPS, () =>
    s.each(0, Math.max(0, n - 1), (p) =>
      s.each(b.add(p, 1), n, (q) => {
        const alpha = s.sum(0, m, (i) => field.square(u.get(i, p)));
        const beta = s.sum(0, m, (i) => field.square(u.get(i, q)));
        const product = sum(s, 0, m, (i) => field.dot(u.get(i, p), u.get(i, q)));
        const gamma = field.size(product);
        b.if(b.gt(gamma, b.mul(b.sqrt(b.mul(alpha, beta)), 1e-16)), () => {
          const phase = field.over(field.conj(product), gamma);
          const zeta = b.div(b.sub(beta, alpha), b.mul(gamma, 2));
          const t = b.div(
            b.select(b.ge(zeta, 0), s.number(1), s.number(-1)),
            b.add(b.abs(zeta), b.sqrt(b.add(b.mul(zeta, zeta), 1))),
          );
          const c = b.div(s.number(1), b.sqrt(b.add(b.mul(t, t), 1)));
          const sine = b.mul(t, c);
          for (const [matrix, rows] of [
            [u, m],
            [v, n],
          ] as const)
            s.each(0, rows, (i) => {
              const [x, y] = [matrix.get(i, p), field.mul(matrix.get(i, q), phase)];
              matrix.set(i, p, field.sub(field.scale(x, c), field.scale(y, sine)));
              matrix.set(i, q, field.add(field.scale(x, sine), field.scale(y, c)));
            });
        });
      }),
    ),
  );
}

const singularValues = batchedOp({
  name: 'svdComplex',
  size: (shapes) => {
    const [m, n] = sizeOf(shapes);
    return n + 2 * n * n + 2 * m * m;
  },
  body: (s, [a], out, shapes) => {
    const { b } = s;
    const field = new Field(b);
    const [m, n] = sizeOf(shapes);
    const values = out.part(0, 1);
    const [v, u] = [new Matrix(out, n, n, n), new Matrix(out, n + 2 * n * n, m, m)];
    copy(s, new Matrix(a, 0, m, n), u, m, n);
    identity(s, v, n, n);
    jacobi(s, u, m, v, n);
    s.each(0, n, (j) => values.set(j, 0, b.sqrt(s.sum(0, m, (i) => field.square(u.get(i, j))))));
    sortColumns(s, values, n, [
      [u, m],
      [v, n],
    ]);
    const limit = b.mul(n === 0 ? s.number(0) : values.get(0, 0), 1e-15);
    s.each(0, m, (j) => {
      const isValue = n === m ? b.constant(true, 'bool') : b.lt(j, n);
      const size = n === 0 ? s.number(0) : values.get(b.min(j, Math.max(0, n - 1)), 0);
      b.if(
        b.and(b.and(isValue, b.gt(size, limit)), b.gt(size, 0)),
        () => s.each(0, m, (i) => u.set(i, j, field.over(u.get(i, j), size))),
        () => completeColumn(s, u, m, j),
      );
    });
  },
});

/** Makes column j a unit vector orthogonal to the columns before it: the coordinate vector that lies least in their span, projected twice. */
function completeColumn(s: Steps, u: Matrix, m: number, j: Value): void {
  const { b } = s;
  const field = new Field(b);
  const [, at] = b.for(0, m, 1, [s.number(-1), b.index(0)], (i, best, place) => {
    const rest = b.sub(
      s.number(1),
      s.sum(0, j, (c) => field.square(u.get(i, c))),
    );
    const better = b.gt(rest, best);
    return [b.select(better, rest, best), b.select(better, i, place)];
  });
  s.each(0, m, (i) => u.set(i, j, [b.select(b.eq(i, at), s.number(1), s.number(0)), s.number(0)]));
  s.each(0, 2, () =>
    s.each(0, j, (c) => {
      const projection = sum(s, 0, m, (i) => field.dot(u.get(i, c), u.get(i, j)));
      s.each(0, m, (i) => u.set(i, j, field.sub(u.get(i, j), field.mul(projection, u.get(i, c)))));
    }),
  );
  const norm = b.sqrt(s.sum(0, m, (i) => field.square(u.get(i, j))));
  s.each(0, m, (i) => u.set(i, j, field.over(u.get(i, j), norm)));
}

/**
 * Eigenvalues, ascending (n), and eigenvectors (2n·n) of a Hermitian matrix (its lower triangle): it is moved by a bound on its size, so that
 * singular vectors of the positive matrix that results are its eigenvectors. 2n·n more as scratch.
 */
const symmetricEigen = batchedOp({
  name: 'eighComplex',
  size: ([[, , n]]) => n + 4 * n * n,
  body: (s, [input], out, [[, , n]]) => {
    const { b } = s;
    const field = new Field(b);
    const a = new Matrix(input, 0, n, n);
    const values = out.part(0, 1);
    const [vectors, u] = [new Matrix(out, n, n, n), new Matrix(out, n + 2 * n * n, n, n)];
    const entry = (i: Value, j: Value): Complex => {
      const [x, y] = [a.get(i, j), field.conj(a.get(j, i))];
      const lower = b.ge(i, j);
      return [b.select(lower, x[0], y[0]), b.select(b.eq(i, j), s.number(0), b.select(lower, x[1], y[1]))];
    };
    const [bound] = b.for(0, n, 1, [s.number(0)], (i, best) => [
      b.max(
        best,
        s.sum(0, n, (j) => field.size(entry(i, j))),
      ),
    ]);
    s.each(0, n, (i) =>
      s.each(0, n, (j) => {
        const [re, im] = entry(i, j);
        // Negated, so that descending singular values are ascending eigenvalues.
        u.set(i, j, [b.sub(b.select(b.eq(i, j), bound, s.number(0)), re), b.neg(im)]);
      }),
    );
    identity(s, vectors, n, n);
    jacobi(s, u, n, vectors, n);
    s.each(0, n, (j) => values.set(j, 0, b.sqrt(s.sum(0, n, (i) => field.square(u.get(i, j))))));
    sortColumns(s, values, n, [[vectors, n]]);
    // The quotient vᴴ A v is more exact than the difference of two numbers of the size of the bound.
    s.each(0, n, (j) =>
      values.set(
        j,
        0,
        s.sum(0, n, (i) => {
          const image = sum(s, 0, n, (k) => field.mul(entry(i, k), vectors.get(k, j)));
          return field.dot(vectors.get(i, j), image)[0];
        }),
      ),
    );
  },
});

export const COMPLEX_KERNELS: Kernels = {
  lu,
  cholesky,
  lower: substitution('solveLower', false, false),
  lowerUnit: substitution('solveLowerUnit', false, true),
  upper: substitution('solveUpper', true, false),
  upperUnit: substitution('solveUpperUnit', true, true),
  householder,
  reflectors,
  symmetricEigen,
  singularValues,
};
