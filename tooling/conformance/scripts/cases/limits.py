"""Values at nan, the infinities, zero and the limits of integers; the inputs that extra.py shares."""

import itertools

import torch

nan, inf = float("nan"), float("inf")


def x(*shape):
    return (torch.randn(shape, dtype=torch.float64) * 1e4).round().div(1e4).float().requires_grad_()


def plain(*shape):
    return x(*shape).detach()


def ints(*shape, low=-9, high=9):
    return torch.randint(low, high, shape)


def special(dtype=torch.float32):
    return torch.tensor([0.0, -0.0, 1, -1, 0.5, -2.5, 1.5, 3, inf, -inf, nan, 1e-38, 3e38, -7.25], dtype=dtype)


def limits():
    unary = (
        "abs neg sign sgn sqrt rsqrt exp exp2 expm1 log log2 log10 log1p sin cos tan asin acos atan sinh cosh tanh "
        "asinh acosh atanh sigmoid floor ceil round trunc frac square reciprocal erf erfc erfinv lgamma digamma "
        "isnan isinf isfinite isposinf isneginf signbit logit nan_to_num sinc i0 relu logical_not deg2rad positive "
        "isreal"
    ).split()
    for name, dtype in itertools.product(unary, (torch.float32, torch.float64)):
        yield "torch." + name, [special(dtype)], {}
    for name in (
        "gelu silu mish softplus hardtanh hardswish hardsigmoid elu selu celu leaky_relu logsigmoid softsign "
        "tanhshrink softshrink hardshrink relu6"
    ).split():
        yield "torch.nn.functional." + name, [special()], {}
    for name in (
        "erfcx ndtr ndtri log_ndtr i0e i1 i1e entr expit psi gammaln bessel_j0 bessel_j1 bessel_y0 "
        "modified_bessel_i0 scaled_modified_bessel_k0 airy_ai spherical_bessel_j0"
    ).split():
        yield "torch.special." + name, [special()], {}
    grid_a = special().repeat_interleave(14)
    grid_b = special().repeat(14)
    for name in (
        "add sub mul div pow remainder fmod floor_divide atan2 maximum minimum fmax fmin hypot copysign xlogy "
        "logaddexp logaddexp2 heaviside nextafter eq ne lt le gt ge logical_and isclose"
    ).split():
        yield "torch." + name, [grid_a, grid_b], {}
    yield "torch.special.xlog1py", [grid_a, grid_b], {}
    for mode in ("floor", "trunc", None):
        yield "torch.div", [grid_a, grid_b], {"rounding_mode": mode}
        yield "torch.div", [torch.tensor([7, -7, 7, -7, 0]), torch.tensor([2, 2, -2, -2, 3])], {"rounding_mode": mode}
    a, b = torch.tensor([7, -7, 7, -7, 0, 5, 2**62, -(2**63)]), torch.tensor([2, 2, -2, -2, 3, 5, 3, 7])
    for name in (
        "remainder",
        "fmod",
        "floor_divide",
        "gcd",
        "lcm",
        "bitwise_and",
        "bitwise_or",
        "bitwise_xor",
        "add",
        "sub",
        "mul",
        "maximum",
        "eq",
        "lt",
        "div",
        "atan2",
    ):
        if name != "lcm":
            yield "torch." + name, [a, b], {}
    for dtype in (torch.uint8, torch.int8, torch.int16, torch.int32):
        top = torch.iinfo(dtype).max
        small = torch.tensor([0, 1, 2, 3, top, top - 1, 100], dtype=dtype)
        for name in ("add", "sub", "mul", "bitwise_and", "floor_divide", "remainder", "pow", "maximum"):
            other = (
                torch.tensor([1, 2, 3, 1, 1, 2, 100], dtype=dtype) if name != "pow" else torch.tensor([0, 1, 2, 3, 1, 2, 0], dtype=dtype)
            )
            yield "torch." + name, [small, other], {}
        for name in ("neg", "abs", "square", "bitwise_not", "sign", "sum", "prod", "cumsum", "cumprod", "float"):
            if name == "float":
                continue
            yield "torch." + name, [small, 0] if name.startswith("cum") else [small], {}
        yield "Tensor.to", [torch.tensor([300, -1, 70000, 2**31]), dtype], {}
    for k in (0, 1, 3, 62, 63):
        yield "torch.bitwise_left_shift", [torch.tensor([1, -1, 5]), k], {}
        yield "torch.bitwise_right_shift", [torch.tensor([1, -1, -5, 2**62]), k], {}
    for e in (0, 1, 2, 3, -1, 0.5, -0.5, 2.0):
        yield "torch.pow", [special(), e], {}
        yield "torch.pow", [e, special()], {}
        if e == int(e) and e >= 0:
            yield "torch.pow", [torch.tensor([0, 1, -2, 3]), int(e)], {}
    for decimals in (0, 1, 2, -1, -2):
        yield "torch.round", [torch.tensor([1.5, 2.5, -0.5, 123.456, -155.0, 0.05])], {"decimals": decimals}
    m = torch.tensor([[1.0, nan, 3], [inf, 2, -inf], [-0.0, 0, 5]])
    for name in (
        "sum prod mean max min amax amin argmax argmin nansum nanmean std var median nanmedian logsumexp all any "
        "count_nonzero norm cumsum cumprod cummax cummin logcumsumexp sort argsort softmax log_softmax mode "
        "aminmax"
    ).split():
        for dim in (None, 0, 1):
            if dim is None:
                if name in ("amax", "amin", "logsumexp", "cumsum", "cumprod", "cummax", "cummin", "logcumsumexp", "softmax", "log_softmax"):
                    continue
                yield "torch." + name, [m], {}
            else:
                yield "torch." + name, [m], {"dim": dim}
    for name in ("sum", "prod", "mean", "amax", "any", "all", "argmax", "cumsum", "std", "var", "median", "logsumexp"):
        for shape, dim in (((0, 3), 1), ((2, 0), 0), ((3, 1), 1), ((1,), 0)):
            yield "torch." + name, [torch.rand(*shape)], {"dim": dim}
    for correction in (0, 1, 2):
        yield "torch.var", [x(3, 4)], {"dim": 1, "correction": correction, "keepdim": True}
        yield "torch.std", [x(3, 4)], {"dim": (0, 1), "correction": correction}
        yield "torch.std_mean", [x(3, 4)], {"dim": 0, "unbiased": correction == 1}
    for q, how in itertools.product((0.0, 0.3, 1.0, [0.25, 0.5]), ("linear", "lower", "higher", "midpoint", "nearest")):
        q = torch.tensor(q) if isinstance(q, list) else q
        yield "torch.quantile", [x(3, 5), q], {"dim": 1, "interpolation": how}
        yield "torch.nanquantile", [torch.tensor([[1.0, nan, 3, 2], [nan, nan, nan, nan]]), q], {"dim": 1, "interpolation": how}
    for bins, rng in ((4, {}), (5, {"min": -1, "max": 1})):
        yield "torch.histc", [plain(20)], {"bins": bins, **rng}
    yield "torch.bincount", [torch.tensor([1, 1, 4]), torch.tensor([0.5, 1.5, 2.0])], {"minlength": 6}
    for o in ({}, {"return_inverse": True}, {"return_counts": True}, {"return_inverse": True, "return_counts": True, "dim": 0}):
        yield "torch.unique", [torch.tensor([[3, 1, 1], [2, 3, 3], [3, 1, 1]])], o
        yield "torch.unique_consecutive", [torch.tensor([[3, 1, 1], [3, 1, 1], [2, 3, 3]])], o
    for right in (False, True):
        yield "torch.searchsorted", [torch.tensor([1, 3, 5, 7, 9]), torch.tensor([[3, 6], [9, 0]])], {"right": right}
        yield "torch.bucketize", [torch.tensor([3.0, 6, 9, nan]), torch.tensor([1.0, 3, 5, 7])], {"right": right, "out_int32": True}
    yield "torch.searchsorted", [torch.tensor([5, 1, 3]), torch.tensor([2, 3])], {"sorter": torch.tensor([1, 2, 0]), "side": "right"}
    yield "torch.nan_to_num", [special(), 1.0, 2.0, -3.0], {}
    yield "torch.isin", [torch.tensor([1, 2, 3]), torch.tensor([2, 5])], {"invert": True}
    yield "torch.allclose", [torch.tensor([1.0, nan]), torch.tensor([1.0, nan])], {"equal_nan": True}
    yield "torch.lerp", [torch.tensor([1, 2.0]), torch.tensor([3, 5.0]), torch.tensor([0.25, 0.75])], {}
    yield "torch.float_power", [ints(3, low=1), 1.5], {}
    yield "torch.cross", [x(2, 3), x(2, 3)], {}
    yield "torch.tensordot", [x(2, 3, 4), x(4, 3, 5)], {"dims": ([1, 2], [1, 0])}
    yield "torch.tensordot", [x(2, 3), x(4)], {"dims": 0}
    for equation, shapes in (
        ("ij,jk->ik", [(2, 3), (3, 4)]),
        ("bij,bjk", [(2, 3, 4), (2, 4, 2)]),
        ("ii->i", [(3, 3)]),
        ("...ij->...ji", [(2, 3, 4)]),
        ("i,j->ij", [(2,), (3,)]),
        ("ij->", [(2, 3)]),
        ("bn,anm,bm->ba", [(2, 3), (4, 3, 5), (2, 5)]),
    ):
        yield "torch.einsum", [equation, *[x(*s) for s in shapes]], {}
