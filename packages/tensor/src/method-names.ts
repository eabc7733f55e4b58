/** Names of the Tensor methods, for their types. A test holds the lists against the op table. */

/** Operations that are methods under the name of their function. */
export type MethodName =
  // elementwise
  | 'exp' | 'exp2' | 'expm1' | 'log' | 'log2' | 'log10' | 'log1p' | 'sqrt' | 'rsqrt' | 'reciprocal' | 'square'
  | 'sin' | 'cos' | 'tan' | 'asin' | 'acos' | 'atan' | 'sinh' | 'cosh' | 'tanh' | 'asinh' | 'acosh' | 'atanh'
  | 'erf' | 'erfc' | 'erfinv' | 'lgamma' | 'digamma' | 'sigmoid' | 'neg' | 'abs' | 'sign' | 'relu' | 'floor' | 'ceil' | 'trunc' | 'frac' | 'positive' | 'round'
  | 'add' | 'sub' | 'rsub' | 'mul' | 'div' | 'floorDivide' | 'remainder' | 'fmod' | 'maximum' | 'minimum' | 'pow' | 'floatPower' | 'atan2'
  | 'eq' | 'ne' | 'lt' | 'le' | 'gt' | 'ge' | 'logicalAnd' | 'logicalOr' | 'logicalXor' | 'logicalNot'
  | 'bitwiseAnd' | 'bitwiseOr' | 'bitwiseXor' | 'bitwiseLeftShift' | 'bitwiseRightShift' | 'bitwiseNot' | 'clamp' | 'isnan' | 'isfinite' | 'isinf'
  // views
  | 'reshape' | 'view' | 'viewAs' | 'reshapeAs' | 'permute' | 'transpose' | 't' | 'expand' | 'expandAs' | 'broadcastTo' | 'unsqueeze' | 'squeeze' | 'flatten' | 'ravel'
  | 'unflatten' | 'narrow' | 'select' | 'flip' | 'slice' | 'clone' | 'contiguous'
  // reductions
  | 'sum' | 'prod' | 'mean' | 'amax' | 'amin' | 'any' | 'all' | 'std'
  // products
  | 'matmul' | 'mm' | 'mv' | 'dot' | 'bmm';

/** Operations that also exist with a trailing underscore, which write their result into the tensor. */
export type InPlaceMethodName =
  | 'exp' | 'exp2' | 'expm1' | 'log' | 'log2' | 'log10' | 'log1p' | 'sqrt' | 'rsqrt' | 'reciprocal' | 'square'
  | 'sin' | 'cos' | 'tan' | 'asin' | 'acos' | 'atan' | 'sinh' | 'cosh' | 'tanh' | 'asinh' | 'acosh' | 'atanh'
  | 'erf' | 'erfc' | 'erfinv' | 'lgamma' | 'digamma' | 'sigmoid' | 'neg' | 'abs' | 'sign' | 'relu' | 'floor' | 'ceil' | 'trunc' | 'frac' | 'round'
  | 'add' | 'sub' | 'mul' | 'div' | 'floorDivide' | 'remainder' | 'fmod' | 'pow' | 'floatPower' | 'atan2'
  | 'eq' | 'ne' | 'lt' | 'le' | 'gt' | 'ge' | 'logicalAnd' | 'logicalOr' | 'logicalXor' | 'logicalNot'
  | 'bitwiseAnd' | 'bitwiseOr' | 'bitwiseXor' | 'bitwiseLeftShift' | 'bitwiseRightShift' | 'bitwiseNot' | 'clamp';
