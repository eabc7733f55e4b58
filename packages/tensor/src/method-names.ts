/** Names of the Tensor methods, for their types. A test holds the lists against the op table. */

/** Operations that are methods under the name of their function. */
export type MethodName =
  | 'exp' | 'exp2' | 'expm1' | 'log' | 'log2' | 'log10' | 'log1p' | 'sqrt' | 'rsqrt' | 'reciprocal' | 'square' | 'sin' | 'cos' | 'tan' | 'asin' | 'acos'
  | 'atan' | 'sinh' | 'cosh' | 'tanh' | 'asinh' | 'acosh' | 'atanh' | 'erf' | 'erfc' | 'erfinv' | 'lgamma' | 'digamma' | 'sigmoid' | 'neg' | 'abs' | 'sign'
  | 'relu' | 'floor' | 'ceil' | 'trunc' | 'frac' | 'positive' | 'round' | 'add' | 'sub' | 'rsub' | 'mul' | 'div' | 'floorDivide' | 'remainder' | 'fmod'
  | 'maximum' | 'minimum' | 'pow' | 'floatPower' | 'atan2' | 'eq' | 'ne' | 'lt' | 'le' | 'gt' | 'ge' | 'logicalAnd' | 'logicalOr' | 'logicalXor' | 'logicalNot'
  | 'bitwiseAnd' | 'bitwiseOr' | 'bitwiseXor' | 'bitwiseLeftShift' | 'bitwiseRightShift' | 'bitwiseNot' | 'clamp' | 'isnan' | 'isfinite' | 'isinf' | 'reshape'
  | 'view' | 'viewAs' | 'reshapeAs' | 'permute' | 'transpose' | 't' | 'expand' | 'expandAs' | 'broadcastTo' | 'unsqueeze' | 'squeeze' | 'flatten' | 'ravel'
  | 'unflatten' | 'narrow' | 'select' | 'flip' | 'slice' | 'clone' | 'contiguous' | 'sum' | 'prod' | 'mean' | 'amax' | 'amin' | 'any' | 'all' | 'std' | 'matmul'
  | 'mm' | 'mv' | 'dot' | 'bmm' | 'addcmul' | 'addcdiv' | 'lerp' | 'hypot' | 'logaddexp' | 'logaddexp2' | 'xlogy' | 'heaviside' | 'signbit' | 'copysign'
  | 'nextafter' | 'frexp' | 'ldexp' | 'nanToNum' | 'clampMin' | 'clampMax' | 'fmax' | 'fmin' | 'isclose' | 'allclose' | 'isposinf' | 'isneginf' | 'isreal'
  | 'angle' | 'deg2rad' | 'rad2deg' | 'logit' | 'sinc' | 'gcd' | 'lcm' | 'float' | 'double' | 'half' | 'bfloat16' | 'long' | 'int' | 'short' | 'char' | 'byte'
  | 'bool' | 'to' | 'typeAs' | 'type' | 'cpu' | 'fill' | 'zero_' | 'copy_' | 'fillDiagonal_' | 'newZeros' | 'newOnes' | 'newEmpty' | 'newFull' | 'newTensor'
  | 'newEmptyStrided' | 'squeeze_' | 'unsqueeze_' | 't_' | 'transpose_' | 'resize_' | 'resizeAs_' | 'isFloatingPoint' | 'isComplex' | 'isSigned' | 'isNonzero'
  | 'nelement' | 'ndimension' | 'stride' | 'storageOffset' | 'isContiguous' | 'isSetTo' | 'real' | 'conj' | 'conjPhysical' | 'isConj' | 'isNeg' | 'resolveConj'
  | 'resolveNeg' | 'cumsum' | 'cumprod' | 'cummax' | 'cummin' | 'logcumsumexp' | 'diff' | 'sumToSize' | 'argwhere' | 'maskedSelect' | 'unique'
  | 'uniqueConsecutive' | 'bincount' | 'equal' | 'diagonal' | 'diagEmbed' | 'diag' | 'diagflat' | 'trace' | 'diagonalScatter' | 'selectScatter' | 'sliceScatter'
  | 'tril' | 'triu' | 'unfold' | 'asStrided' | 'asStridedScatter' | 'outer' | 'inner' | 'vdot' | 'kron' | 'cross' | 'addmm' | 'addmv' | 'addr' | 'addbmm'
  | 'baddbmm' | 'index' | 'setIndex' | 'indexPut' | 'indexPut_' | 'split' | 'splitWithSizes' | 'chunk' | 'tensorSplit' | 'hsplit' | 'vsplit' | 'dsplit'
  | 'unbind' | 'repeat' | 'tile' | 'repeatInterleave' | 'roll' | 'movedim' | 'adjoint' | 'fliplr' | 'flipud' | 'rot90' | 'narrowCopy' | 'constantPadNd'
  | 'argmax' | 'argmin' | 'aminmax' | 'sort' | 'argsort' | 'msort' | 'topk' | 'kthvalue' | 'mode' | 'quantile' | 'nanquantile' | 'bernoulli' | 'multinomial'
  | 'uniform_' | 'normal_' | 'bernoulli_' | 'exponential_' | 'geometric_' | 'cauchy_' | 'logNormal_' | 'random_' | 'gather' | 'takeAlongDim' | 'take'
  | 'indexSelect' | 'scatter' | 'scatterAdd' | 'scatterReduce' | 'indexAdd' | 'indexCopy' | 'indexFill' | 'indexReduce' | 'put' | 'maskedFill' | 'maskedScatter'
  | 'stft' | 'istft' | 'logsumexp' | 'softmax' | 'logSoftmax' | 'nansum' | 'nanmean' | 'countNonzero' | 'norm' | 'dist' | 'cov' | 'corrcoef' | 'renorm'
  | 'histc' | 'histogram' | 'i0' | 'igamma' | 'igammac' | 'mvlgamma' | 'det' | 'inverse' | 'slogdet' | 'logdet' | 'matrixPower' | 'matrixExp' | 'pinverse'
  | 'orgqr' | 'geqrf' | 'ormqr' | 'choleskyInverse' | 'choleskySolve' | 'luSolve';

/** Operations that also exist with a trailing underscore, which write their result into the tensor. */
export type InPlaceMethodName =
  | 'exp' | 'exp2' | 'expm1' | 'log' | 'log2' | 'log10' | 'log1p' | 'sqrt' | 'rsqrt' | 'reciprocal' | 'square' | 'sin' | 'cos' | 'tan' | 'asin' | 'acos'
  | 'atan' | 'sinh' | 'cosh' | 'tanh' | 'asinh' | 'acosh' | 'atanh' | 'erf' | 'erfc' | 'erfinv' | 'lgamma' | 'digamma' | 'sigmoid' | 'neg' | 'abs' | 'sign'
  | 'relu' | 'floor' | 'ceil' | 'trunc' | 'frac' | 'round' | 'add' | 'sub' | 'mul' | 'div' | 'floorDivide' | 'remainder' | 'fmod' | 'pow' | 'floatPower'
  | 'atan2' | 'eq' | 'ne' | 'lt' | 'le' | 'gt' | 'ge' | 'logicalAnd' | 'logicalOr' | 'logicalXor' | 'logicalNot' | 'bitwiseAnd' | 'bitwiseOr' | 'bitwiseXor'
  | 'bitwiseLeftShift' | 'bitwiseRightShift' | 'bitwiseNot' | 'clamp' | 'addcmul' | 'addcdiv' | 'lerp' | 'hypot' | 'xlogy' | 'heaviside' | 'copysign'
  | 'nextafter' | 'ldexp' | 'nanToNum' | 'clampMin' | 'clampMax' | 'deg2rad' | 'rad2deg' | 'logit' | 'sinc' | 'gcd' | 'lcm' | 'fill' | 'conjPhysical' | 'cumsum'
  | 'cumprod' | 'tril' | 'triu' | 'addmm' | 'addmv' | 'addr' | 'addbmm' | 'baddbmm' | 'scatter' | 'scatterAdd' | 'scatterReduce' | 'indexAdd' | 'indexCopy'
  | 'indexFill' | 'indexReduce' | 'put' | 'maskedFill' | 'maskedScatter' | 'renorm' | 'i0' | 'igamma' | 'igammac' | 'mvlgamma';
