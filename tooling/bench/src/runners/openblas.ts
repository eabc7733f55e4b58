/** Debian's OpenBLAS through koffi: `openblas.ts THREADS` (and OPENBLAS_NUM_THREADS, which the library reads when it is loaded). */
import koffi from 'koffi';
import { uniform } from '../inputs.ts';
import { openblasFolder } from '../registry.ts';
import { serve } from '../serve.ts';

const ROW_MAJOR = 101;
const NO_TRANSPOSE = 111;
const TRANSPOSE = 112;

await serve(() => {
  const folder = openblasFolder('pthread') ?? openblasFolder('openmp');
  const path =
    process.env['PROJ_OPENBLAS'] ?? (folder === undefined ? 'libopenblas.so.0' : `${folder}/libopenblas.so.0`);
  const library = koffi.load(path);
  const sgemm = library.func(
    'void cblas_sgemm(int, int, int, int, int, int, float, const float *, int, const float *, int, float, _Out_ float *, int)',
  );
  const sgemv = library.func(
    'void cblas_sgemv(int, int, int, int, float, const float *, int, const float *, int, float, _Out_ float *, int)',
  );
  const config = library.func('const char *openblas_get_config()')() as string;
  const core = library.func('const char *openblas_get_corename()')() as string;
  return {
    version: /OpenBLAS\s+([\d.]+)/.exec(config)?.[1] ?? config,
    detail: { core, library: path.includes('openmp') ? 'openmp' : 'pthread' },
    prepare(spec) {
      if (spec.kind !== 'matmul') throw new RangeError(`OpenBLAS has no '${spec.kind}'`);
      const { m, k, n } = spec;
      const a = uniform(m * k, 1);
      const b = uniform(k * n, 2);
      const c = new Float32Array(m * n);
      return {
        // A single row is a matrix-vector product, for which BLAS has its own routine.
        run:
          m === 1
            ? () => sgemv(ROW_MAJOR, TRANSPOSE, k, n, 1, b, n, a, 1, 0, c, 1)
            : () => sgemm(ROW_MAJOR, NO_TRANSPOSE, NO_TRANSPOSE, m, n, k, 1, a, k, b, n, 0, c, n),
        output: () => c,
      };
    },
  };
});
