/** Second names that torch has for operations. */
export {
  abs as absolute,
  acos as arccos,
  acosh as arccosh,
  asin as arcsin,
  asinh as arcsinh,
  atan as arctan,
  atan2 as arctan2,
  atanh as arctanh,
  clamp as clip,
  div as divide,
  ge as greaterEqual,
  gt as greater,
  le as lessEqual,
  lt as less,
  mul as multiply,
  ne as notEqual,
  neg as negative,
  sub as subtract,
  trunc as fix,
} from './elementwise.ts';
export { cat as concat, cat as concatenate, vstack as rowStack } from './joining.ts';
export { movedim as moveaxis } from './layout.ts';
export { outer as ger } from './einsum.ts';
export { transpose as swapaxes, transpose as swapdims } from './views.ts';
export { trapezoid as trapz } from './cumulative.ts';
