"""`tensor/promotion`: dtypes of results, over pairs of dtypes, dimensions and Python numbers."""

import itertools

import torch

from encoding import DTYPE_NAMES

NAMES = "bool uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64 complex64 complex128".split()
SCALARS = {"bool": True, "int": 2, "float": 2.5, "complex": 1 + 2j}
BINARY = ("add sub mul div pow eq lt maximum atan2 remainder fmod floor_divide bitwise_and logical_and true_divide").split()
UNARY = (
    "abs neg sign sqrt exp log sin floor ceil round square reciprocal sigmoid tanh relu sum prod mean std var "
    "max min argmax any all median norm logical_not bitwise_not "
    "erf rsqrt trunc frac isnan cumsum cumprod softmax sort argsort log_softmax logsumexp amax sgn exp2 lgamma "
    "nansum count_nonzero isfinite signbit positive sinc"
).split()


def ones(name, dim):
    return torch.ones([2] * dim, dtype=getattr(torch, name))


def outcome(fn):
    try:
        result = fn()
    except Exception:
        return "error"
    result = result[0] if isinstance(result, tuple) else result
    return (
        DTYPE_NAMES[result.dtype]
        if isinstance(result, torch.Tensor)
        else DTYPE_NAMES[result] if isinstance(result, torch.dtype) else result
    )


def promotion_records():
    for a, b in itertools.product(NAMES, NAMES):
        for fn in ("promote_types", "can_cast"):
            yield {"fn": fn, "a": a, "b": b, "out": outcome(lambda: getattr(torch, fn)(getattr(torch, a), getattr(torch, b)))}
        for op, (da, db) in itertools.product(BINARY, ((1, 1), (1, 0), (0, 1), (0, 0))):
            yield {
                "fn": "tensor_op",
                "op": op,
                "a": a,
                "a_dim": da,
                "b": b,
                "b_dim": db,
                "out": outcome(lambda: getattr(torch, op)(ones(a, da), ones(b, db))),
            }
    for a in NAMES:
        for (scalar, value), op in itertools.product(SCALARS.items(), BINARY):
            yield {"fn": "scalar_op", "op": op, "a": a, "scalar": scalar, "out": outcome(lambda: getattr(torch, op)(ones(a, 1), value))}
        for op in UNARY:
            axis = (0,) if op in ("softmax", "log_softmax", "cumsum", "cumprod", "logsumexp", "sort", "argsort") else ()
            yield {"fn": "unary_op", "op": op, "a": a, "out": outcome(lambda: getattr(torch, op)(ones(a, 1), *axis))}
