/* oxlint-disable import/namespace -- rows are made by name */
/** Rows of the op table for discrete Fourier transforms. */
import { type OpRow, row } from '../ops/table.ts';
import * as fft from './index.ts';

const ONE = 'input, n=None, dim=-1, norm=None';
const TWO = 'input, s=None, dim=(-2, -1), norm=None';
const MANY = 'input, s=None, dim=None, norm=None';
const SHIFT = 'input, dim=None';
const SIGNATURES: Record<keyof typeof fft, string> = {
  fft: ONE,
  ifft: ONE,
  rfft: ONE,
  irfft: ONE,
  hfft: ONE,
  ihfft: ONE,
  fft2: TWO,
  ifft2: TWO,
  rfft2: TWO,
  irfft2: TWO,
  hfft2: TWO,
  ihfft2: TWO,
  fftn: MANY,
  ifftn: MANY,
  rfftn: MANY,
  irfftn: MANY,
  hfftn: MANY,
  ihfftn: MANY,
  fftfreq: 'n, d=1.0, *, dtype=None',
  rfftfreq: 'n, d=1.0, *, dtype=None',
  fftshift: SHIFT,
  ifftshift: SHIFT,
};

export const FFT: readonly OpRow[] = Object.entries(SIGNATURES).map(([name, signature]) =>
  row(`fft.${name}`, fft[name as keyof typeof fft] as never, signature, {
    method: false,
    differentiable: !name.endsWith('freq'),
    torch: [`torch.fft.${name}`],
  }),
);
