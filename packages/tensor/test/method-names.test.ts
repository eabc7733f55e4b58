/** The types of the methods of Tensor are lists of names; the methods come from the op table. */
import { readFileSync } from 'node:fs';
import { opTable, Tensor } from '@proj/tensor';
import { expect, it } from 'vitest';

/** Methods whose types are written out. */
const WRITTEN_OUT = ['max', 'min', 'median', 'nanmedian', 'nonzero', 'where', 'var', 'polygamma'];
/** Names that PyTorch keeps for old programs: ported code finds them, new code is not shown them. */
const OLD = ['trueDivide', 'swapaxes_', 'swapdims_', 'cholesky', 'lu', 'qr', 'svd', 'symeig', 'triangularSolve'];
const OTHERS = new Set([...WRITTEN_OUT, ...OLD]);
const text = readFileSync(new URL('../src/method-names.ts', import.meta.url), 'utf8');
const [inPlace, methods] = text
  .split('export type')
  .slice(1)
  .map((list) => [...list.matchAll(/'(\w+)'/g)].map(([, name]) => name));

it('the lists of methods are those of the op table', () => {
  const rows = opTable.filter(
    ({ name, method }) => method && !OTHERS.has(name) && !Object.hasOwn(Tensor.prototype, name),
  );
  expect(new Set([...inPlace, ...methods])).toEqual(new Set(rows.map(({ name }) => name)));
  expect(new Set(inPlace)).toEqual(new Set(rows.filter((row) => row.inPlace).map(({ name }) => name)));
});

it('no name is listed twice', () => {
  const names = [...inPlace, ...methods];
  expect(names).toHaveLength(new Set(names).size);
});
