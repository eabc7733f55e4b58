/** Tensors that a module trains. */
import { Tensor } from '@proj/tensor';

/** A leaf that requires a gradient and that modules recognise as theirs. Its value is copied from `data`. */
export class Parameter extends Tensor {
  constructor(data: Tensor, { requiresGrad = true }: { requiresGrad?: boolean } = {}) {
    super(data.detach().node);
    if (requiresGrad) this.requiresGrad_();
  }
}
