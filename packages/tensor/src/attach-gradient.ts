/** Values computed one way whose gradient is given by a formula: the value passes through an operation that copies it and carries the formula. */
import { buildKernel, DTYPES } from '@proj/kernel';
import { defineOp } from './define-op.ts';
import { elementCount, isComplexType, isGradEnabled } from './graph/node.ts';
import type { Tensor } from './tensor.ts';

/** Gradients of the inputs from that of the value. */
export type Formula = (gradient: Tensor, inputs: readonly Tensor[], value: Tensor) => readonly (Tensor | null)[];

const withGradient = defineOp<{ readonly formula: Formula }>({
  name: 'withGradient',
  outputs: ([value]) => [value],
  key: () => '',
  launches: (inputs) => {
    const [{ shape, dtype }] = inputs;
    const kernel = buildKernel('withGradient', (b) => {
      const sources = inputs.map((input, i) => b.buffer(`in${i}`, DTYPES[input.dtype].scalar));
      const out = b.buffer('out', DTYPES[dtype].scalar, 'write');
      b.for(b.begin, b.end, 1, [], (i) => b.store(out, i, b.load(sources[0], i)));
    });
    const end = elementCount(shape) * (isComplexType(dtype) ? 2 : 1);
    return { launches: [{ kernel, begin: 0, end, grain: 16384, align: 1 }], workspaceBytes: 0 };
  },
  vjp: ([gradient], [, ...inputs], [value], { formula }) => [
    null,
    ...(gradient === null ? inputs.map(() => null) : formula(gradient, inputs, value)),
  ],
});

/** `value` (whose own history is dropped) as a function of `inputs` with the gradient that `formula` gives. */
export function attachGradient(value: Tensor, inputs: readonly Tensor[], formula: Formula): Tensor {
  if (!isGradEnabled() || value.numel() === 0 || !inputs.some((input) => input.requiresGrad)) return value.detach();
  return withGradient([value.detach(), ...inputs], { formula })[0];
}
