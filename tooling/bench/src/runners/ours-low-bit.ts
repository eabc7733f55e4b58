/** Our engine for models of a few bits a weight, on one of our devices. */
import { ProjError } from '@proj/kernel';
import type { Device } from '@proj/kernel';
import type { CaseSpec } from '../cases.ts';
import type { Prepared } from '../serve.ts';

/** Prepares a case of the `decode`, `prompt` and `matvec` suites. */
export function prepareLowBit(
  spec: CaseSpec & { kind: 'decode' | 'prompt' | 'matvec' },
  device: Device,
  _threads: number,
): Prepared {
  throw new ProjError('not-implemented', `'${spec.kind}' is not measured on ${device.name}`, { op: 'bench' });
}
