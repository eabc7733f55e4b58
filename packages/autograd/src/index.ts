/** Gradients of any order as a graph transform over lazy tensors, with the names of torch.autograd. Importing this package gives tensors their `backward`. */
import * as forwardAd from './forward-ad.ts';
import * as functional from './functional.ts';

export { backward, grad, type GradOptions, type Gradients, type TensorOrList } from './backward.ts';
export {
  type FunctionalOptions,
  hessian,
  hvp,
  jacobian,
  type JacobianOptions,
  jvp,
  type NestedTensors,
  type TensorFunction,
  vhp,
  vjp,
} from './functional.ts';
export { dualLevel, enterDualLevel, exitDualLevel, makeDual, type UnpackedDual, unpackDual } from './forward-ad.ts';
export { checkpoint, customGradient, Function, FunctionContext, type ValueAndGradient } from './function.ts';
export { detectAnomaly, enableGrad, inferenceMode, isGradEnabled, noGrad, setGradEnabled } from './modes.ts';
export { gradcheck, type GradcheckOptions, gradgradcheck } from './gradcheck.ts';
export {
  type KeyAverage,
  type KeyOrder,
  profile,
  Profile,
  type ProfileEvent,
  recordFunction,
  type TableOptions,
} from './profiler.ts';
export { setAnomalyDetection as setDetectAnomaly } from './engine.ts';
/** Forward-mode derivatives: `forwardAd.dualLevel(() => …)`. */
export { forwardAd, functional };
