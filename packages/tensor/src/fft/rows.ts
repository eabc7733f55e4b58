/** Rows of the op table for discrete Fourier transforms. */
import { type OpRow, row } from '../ops/table.ts';
import {
  fft,
  fft2,
  fftfreq,
  fftn,
  fftshift,
  hfft,
  hfft2,
  hfftn,
  ifft,
  ifft2,
  ifftn,
  ifftshift,
  ihfft,
  ihfft2,
  ihfftn,
  irfft,
  irfft2,
  irfftn,
  rfft,
  rfft2,
  rfftfreq,
  rfftn,
} from './index.ts';

const rows = (functions: Readonly<Record<string, unknown>>, signature: string): OpRow[] =>
  Object.entries(functions).map(([name, fn]) =>
    row(`fft.${name}`, fn as never, signature, {
      method: false,
      differentiable: signature.startsWith('input'),
      torch: () => [`torch.fft.${name}`],
    }),
  );

export const FFT: readonly OpRow[] = [
  ...rows({ fft, ifft, rfft, irfft, hfft, ihfft }, 'input, n=None, dim=-1, norm=None'),
  ...rows({ fft2, ifft2, rfft2, irfft2, hfft2, ihfft2 }, 'input, s=None, dim=(-2, -1), norm=None'),
  ...rows({ fftn, ifftn, rfftn, irfftn, hfftn, ihfftn }, 'input, s=None, dim=None, norm=None'),
  ...rows({ fftfreq, rfftfreq }, 'n, d=1.0, *, dtype=None'),
  ...rows({ fftshift, ifftshift }, 'input, dim=None'),
];
