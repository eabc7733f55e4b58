/** The parameters of a model as one vector, and back. */
import { noGrad } from '@proj/autograd';
import { cat, type Tensor } from '@proj/tensor';

/** All parameters as one vector. */
export function parametersToVector(parameters: Iterable<Tensor>): Tensor {
  return cat(
    [...parameters].map((parameter) => parameter.reshape([-1])),
    0,
  );
}
/** Copies a vector back into the parameters. */
export function vectorToParameters(vec: Tensor, parameters: Iterable<Tensor>): void {
  let offset = 0;
  noGrad(() => {
    for (const parameter of parameters) {
      const count = parameter.numel();
      parameter.assign(
        vec
          .detach()
          .narrow(0, offset, count)
          .reshape([...parameter.shape]).node,
        'copy_',
      );
      offset += count;
    }
  });
}
