/** Factorisations and solvers as kernels. Algorithms: Golub and Van Loan, *Matrix Computations*, 4th ed. */
import type { Value } from '@proj/kernel';
import { batchedOp, type Grid, type Steps } from './batched.ts';

const copy = (s: Steps, from: Grid, to: Grid, rows: number, columns: number): void =>
  s.each(0, rows, (i) => s.each(0, columns, (j) => to.set(i, j, from.get(i, j))));
const identity = (s: Steps, to: Grid, rows: number, columns: number): void =>
  s.each(0, rows, (i) => s.each(0, columns, (j) => to.set(i, j, s.b.select(s.b.eq(i, j), s.number(1), s.number(0)))));

/** [m, n] → L and U in one matrix (m·n), then the row that was swapped with row k (min(m, n)), from 0. */
const lu = batchedOp({
  name: 'lu',
  size: ([[, m, n]]) => m * n + Math.min(m, n),
  body: (s, [a], out, [[, m, n]]) => {
    const { b } = s;
    const lu = out.part(0, n);
    const pivots = out.part(m * n, 1);
    copy(s, a, lu, m, n);
    s.each(0, Math.min(m, n), (k) => {
      const [, at] = b.for(k, m, 1, [s.number(-1), k], (i, best, place) => {
        const size = b.abs(lu.get(i, k));
        const better = b.gt(size, best);
        return [b.select(better, size, best), b.select(better, i, place)];
      });
      pivots.set(k, 0, b.cast(at, 'f64'));
      s.each(0, n, (j) => s.swap(lu, k, j, at, j));
      const pivot = lu.get(k, k);
      b.if(b.ne(pivot, 0), () => {
        s.each(b.add(k, 1), m, (i) => {
          const factor = b.div(lu.get(i, k), pivot);
          lu.set(i, k, factor);
          s.each(b.add(k, 1), n, (j) => lu.set(i, j, b.sub(lu.get(i, j), b.mul(factor, lu.get(k, j)))));
        });
      });
    });
  },
});

/** [n, n] → lower Cholesky factor (n·n), then 0, or the order of the leading minor that is not positive. Reads the lower triangle. */
const cholesky = batchedOp({
  name: 'cholesky',
  size: ([[, n]]) => n * n + 1,
  body: (s, [a], out, [[, n]]) => {
    const { b } = s;
    const l = out.part(0, n);
    const info = out.part(n * n, 1);
    info.set(0, 0, s.number(0));
    s.each(0, n, (j) => {
      const rest = b.sub(
        a.get(j, j),
        s.sum(0, j, (k) => b.mul(l.get(j, k), l.get(j, k))),
      );
      b.if(b.and(b.not(b.gt(rest, 0)), b.eq(info.get(0, 0), 0)), () => info.set(0, 0, b.cast(b.add(j, 1), 'f64')));
      const root = b.sqrt(rest);
      l.set(j, j, root);
      s.each(b.add(j, 1), n, (i) => {
        const value = b.sub(
          a.get(i, j),
          s.sum(0, j, (k) => b.mul(l.get(i, k), l.get(j, k))),
        );
        l.set(i, j, b.div(value, root));
        l.set(j, i, s.number(0));
      });
    });
  },
});

/** T [n, n], B [n, k] → X (n·k) with T X = B, by substitution. */
const substitution = (name: string, upper: boolean, unit: boolean): ReturnType<typeof batchedOp> =>
  batchedOp({
    name,
    size: ([, [, n, k]]) => n * k,
    body: (s, [t, right], out, [, [, n, k]]) => {
      const { b } = s;
      const x = out.part(0, k);
      s.each(0, k, (c) => {
        const solveRow = (i: Value): void => {
          const known = upper
            ? s.sum(b.add(i, 1), n, (j) => b.mul(t.get(i, j), x.get(j, c)))
            : s.sum(0, i, (j) => b.mul(t.get(i, j), x.get(j, c)));
          const value = b.sub(right.get(i, c), known);
          x.set(i, c, unit ? value : b.div(value, t.get(i, i)));
        };
        if (upper) s.down(n - 1, 0, solveRow);
        else s.each(0, n, solveRow);
      });
    },
  });

/** Row swaps as LAPACK lists them (from 1) → the permutation matrix P (m·m) with A = P L U. */
export const permutationKernel = batchedOp({
  name: 'permutation',
  size: ([, [, m]]) => m * m,
  body: (s, [pivots], out, [[, k], [, m]]) => {
    const { b } = s;
    const p = out.part(0, m);
    identity(s, p, m, m);
    s.each(0, k, (i) => {
      const at = b.sub(b.cast(pivots.get(i, 0), 'index'), 1);
      s.each(0, m, (r) => s.swap(p, r, i, r, at));
    });
  },
});

/** [m, n] → Householder vectors below R (m·n), then their factors (min(m, n)); LAPACK's geqrf. */
const householder = batchedOp({
  name: 'geqrf',
  size: ([[, m, n]]) => m * n + Math.min(m, n),
  body: (s, [a], out, [[, m, n]]) => {
    const { b } = s;
    const r = out.part(0, n);
    const tau = out.part(m * n, 1);
    copy(s, a, r, m, n);
    s.each(0, Math.min(m, n), (k) => {
      const below = s.sum(b.add(k, 1), m, (i) => b.mul(r.get(i, k), r.get(i, k)));
      const alpha = r.get(k, k);
      tau.set(k, 0, s.number(0));
      b.if(b.gt(below, 0), () => {
        const norm = b.sqrt(b.add(b.mul(alpha, alpha), below));
        const beta = b.select(b.ge(alpha, 0), b.neg(norm), norm);
        const factor = b.div(b.sub(beta, alpha), beta);
        const scale = b.div(s.number(1), b.sub(alpha, beta));
        tau.set(k, 0, factor);
        s.each(b.add(k, 1), m, (i) => r.set(i, k, b.mul(r.get(i, k), scale)));
        r.set(k, k, beta);
        s.each(b.add(k, 1), n, (j) => {
          const projection = b.mul(
            factor,
            b.add(
              r.get(k, j),
              s.sum(b.add(k, 1), m, (i) => b.mul(r.get(i, k), r.get(i, j))),
            ),
          );
          r.set(k, j, b.sub(r.get(k, j), projection));
          s.each(b.add(k, 1), m, (i) => r.set(i, j, b.sub(r.get(i, j), b.mul(projection, r.get(i, k)))));
        });
      });
    });
  },
});

/** Vectors [m, n] and factors [k, 1] → the first columns of their product Q: m·n, or m·m when the third input is [1, m, m]. */
const reflectors = batchedOp({
  name: 'orgqr',
  size: ([, , [, m, columns]]) => m * columns,
  body: (s, [v, tau], out, [, [, k], [, m, columns]]) => {
    const { b } = s;
    const q = out.part(0, columns);
    identity(s, q, m, columns);
    s.down(k - 1, 0, (i) => {
      const factor = tau.get(i, 0);
      s.each(0, columns, (j) => {
        const projection = b.mul(
          factor,
          b.add(
            q.get(i, j),
            s.sum(b.add(i, 1), m, (r) => b.mul(v.get(r, i), q.get(r, j))),
          ),
        );
        q.set(i, j, b.sub(q.get(i, j), projection));
        s.each(b.add(i, 1), m, (r) => q.set(r, j, b.sub(q.get(r, j), b.mul(projection, v.get(r, i)))));
      });
    });
  },
});

const SWEEPS = 24;

/** Symmetric [n, n] (its lower triangle) → eigenvalues, ascending (n), then eigenvectors in columns (n·n), by cyclic Jacobi rotations; n·n more as scratch. */
const symmetricEigen = batchedOp({
  name: 'eigh',
  size: ([[, n]]) => n + 2 * n * n,
  body: (s, [a], out, [[, n]]) => {
    const { b } = s;
    const values = out.part(0, 1);
    const vectors = out.part(n, n);
    const w = out.part(n + n * n, n);
    s.each(0, n, (i) => s.each(0, n, (j) => w.set(i, j, b.select(b.ge(i, j), a.get(i, j), a.get(j, i)))));
    identity(s, vectors, n, n);
    s.each(0, SWEEPS, () =>
      s.each(0, Math.max(0, n - 1), (p) =>
        s.each(b.add(p, 1), n, (q) => {
          const off = w.get(p, q);
          const [app, aqq] = [w.get(p, p), w.get(q, q)];
          // Below the last bit of the diagonal a rotation would change nothing.
          b.if(b.gt(b.abs(off), b.mul(b.add(b.abs(app), b.abs(aqq)), 1e-18)), () => {
            const theta = b.div(b.sub(aqq, app), b.mul(off, 2));
            const root = b.add(b.abs(theta), b.sqrt(b.add(b.mul(theta, theta), 1)));
            const t = b.div(b.select(b.ge(theta, 0), s.number(1), s.number(-1)), root);
            const c = b.div(s.number(1), b.sqrt(b.add(b.mul(t, t), 1)));
            const sine = b.mul(t, c);
            s.each(0, n, (k) => {
              const [x, y] = [w.get(k, p), w.get(k, q)];
              w.set(k, p, b.sub(b.mul(c, x), b.mul(sine, y)));
              w.set(k, q, b.add(b.mul(sine, x), b.mul(c, y)));
            });
            s.each(0, n, (k) => {
              const [x, y] = [w.get(p, k), w.get(q, k)];
              w.set(p, k, b.sub(b.mul(c, x), b.mul(sine, y)));
              w.set(q, k, b.add(b.mul(sine, x), b.mul(c, y)));
              const [u, v] = [vectors.get(k, p), vectors.get(k, q)];
              vectors.set(k, p, b.sub(b.mul(c, u), b.mul(sine, v)));
              vectors.set(k, q, b.add(b.mul(sine, u), b.mul(c, v)));
            });
          });
        }),
      ),
    );
    s.each(0, n, (i) => values.set(i, 0, w.get(i, i)));
    sortColumns(s, values, n, [[vectors, n]], false);
  },
});

/** Selection sort of `values` and of the columns of the grids with them. */
function sortColumns(
  s: Steps,
  values: Grid,
  count: number,
  grids: readonly (readonly [Grid, number])[],
  descending: boolean,
): void {
  const { b } = s;
  s.each(0, count, (i) => {
    const [, at] = b.for(i, count, 1, [values.get(i, 0), i], (j, best, place) => {
      const candidate = values.get(j, 0);
      const better = descending ? b.gt(candidate, best) : b.lt(candidate, best);
      return [b.select(better, candidate, best), b.select(better, j, place)];
    });
    s.swap(values, i, b.index(0), at, b.index(0));
    for (const [grid, rows] of grids) s.each(0, rows, (r) => s.swap(grid, r, i, r, at));
  });
}

/**
 * [m, n] with m >= n → singular values, descending (n), V (n·n), then U (m·m), by one-sided Jacobi rotations. Columns of U beyond the
 * rank are completed to an orthonormal basis.
 */
const singularValues = batchedOp({
  name: 'svd',
  size: ([[, m, n]]) => n + n * n + m * m,
  body: (s, [a], out, [[, m, n]]) => {
    const { b } = s;
    const values = out.part(0, 1);
    const v = out.part(n, n);
    const u = out.part(n + n * n, m);
    copy(s, a, u, m, n);
    identity(s, v, n, n);
    s.each(0, SWEEPS, () =>
      s.each(0, Math.max(0, n - 1), (p) =>
        s.each(b.add(p, 1), n, (q) => {
          const [alpha, beta, gamma] = b.for(0, m, 1, [s.number(0), s.number(0), s.number(0)], (i, x, y, z) => {
            const [up, uq] = [u.get(i, p), u.get(i, q)];
            return [b.add(x, b.mul(up, up)), b.add(y, b.mul(uq, uq)), b.add(z, b.mul(up, uq))];
          });
          b.if(b.gt(b.abs(gamma), b.mul(b.sqrt(b.mul(alpha, beta)), 1e-16)), () => {
            const zeta = b.div(b.sub(beta, alpha), b.mul(gamma, 2));
            const t = b.div(
              b.select(b.ge(zeta, 0), s.number(1), s.number(-1)),
              b.add(b.abs(zeta), b.sqrt(b.add(b.mul(zeta, zeta), 1))),
            );
            const c = b.div(s.number(1), b.sqrt(b.add(b.mul(t, t), 1)));
            const sine = b.mul(t, c);
            const rotate = (grid: Grid, rows: number): void =>
              s.each(0, rows, (i) => {
                const [x, y] = [grid.get(i, p), grid.get(i, q)];
                grid.set(i, p, b.sub(b.mul(c, x), b.mul(sine, y)));
                grid.set(i, q, b.add(b.mul(sine, x), b.mul(c, y)));
              });
            rotate(u, m);
            rotate(v, n);
          });
        }),
      ),
    );
    s.each(0, n, (j) => values.set(j, 0, b.sqrt(s.sum(0, m, (i) => b.mul(u.get(i, j), u.get(i, j))))));
    sortColumns(
      s,
      values,
      n,
      [
        [u, m],
        [v, n],
      ],
      true,
    );
    const largest = n === 0 ? s.number(0) : values.get(0, 0);
    const limit = b.mul(largest, 1e-15);
    s.each(0, m, (j) => {
      const isValue = n === m ? b.constant(true, 'bool') : b.lt(j, n);
      const size = n === 0 ? s.number(0) : values.get(b.min(j, Math.max(0, n - 1)), 0);
      b.if(
        b.and(b.and(isValue, b.gt(size, limit)), b.gt(size, 0)),
        () => s.each(0, m, (i) => u.set(i, j, b.div(u.get(i, j), size))),
        () => completeColumn(s, u, m, j),
      );
    });
  },
});

/** Makes column j a unit vector orthogonal to the columns before it: the coordinate vector that lies least in their span, projected twice. */
function completeColumn(s: Steps, u: Grid, m: number, j: Value): void {
  const { b } = s;
  const [, at] = b.for(0, m, 1, [s.number(-1), b.index(0)], (i, best, place) => {
    const rest = b.sub(
      s.number(1),
      s.sum(0, j, (c) => b.mul(u.get(i, c), u.get(i, c))),
    );
    const better = b.gt(rest, best);
    return [b.select(better, rest, best), b.select(better, i, place)];
  });
  s.each(0, m, (i) => u.set(i, j, b.select(b.eq(i, at), s.number(1), s.number(0))));
  s.each(0, 2, () =>
    s.each(0, j, (c) => {
      const projection = s.sum(0, m, (i) => b.mul(u.get(i, c), u.get(i, j)));
      s.each(0, m, (i) => u.set(i, j, b.sub(u.get(i, j), b.mul(projection, u.get(i, c)))));
    }),
  );
  const norm = b.sqrt(s.sum(0, m, (i) => b.mul(u.get(i, j), u.get(i, j))));
  s.each(0, m, (i) => u.set(i, j, b.div(u.get(i, j), norm)));
}

type Kernel = ReturnType<typeof batchedOp>;
/** The kernels that exist for real and for complex matrices. */
export interface Kernels {
  readonly lu: Kernel;
  readonly cholesky: Kernel;
  readonly lower: Kernel;
  readonly lowerUnit: Kernel;
  readonly upper: Kernel;
  readonly upperUnit: Kernel;
  readonly householder: Kernel;
  readonly reflectors: Kernel;
  readonly symmetricEigen: Kernel;
  readonly singularValues: Kernel;
}
export const REAL_KERNELS: Kernels = {
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
