"""`ops/extra`: calls that the operator database leaves out, in-place methods, and indexing; limits.py has the ends of the ranges."""

import itertools

import torch

from encoding import deviation, encode, fresh, tensors_at, widened
from limits import inf, ints, limits, nan, plain, x
from operations import resolve


def functional():
    F = "torch.nn.functional."
    for kwargs in (
        {},
        {"stride": 2},
        {"padding": 1, "dilation": 2},
        {"groups": 2},
        {"padding": "same"},
        {"padding": (1, 0, 2), "stride": (1, 2, 1)},
    ):
        groups = kwargs.get("groups", 1)
        yield F + "conv3d", [x(2, 4, 5, 4, 5), x(4, 4 // groups, 2, 2, 2), x(4)], kwargs
    for kwargs in (
        {"output_size": (5, 6), "kernel_size": 2},
        {"output_size": (6, 7), "kernel_size": (2, 3), "stride": 2, "padding": 1},
        {"output_size": (5, 6), "kernel_size": 2, "dilation": 2},
    ):
        unfolded = torch.nn.functional.unfold(
            torch.zeros(1, 2, *kwargs["output_size"]), **{k: v for k, v in kwargs.items() if k != "output_size"}
        )
        yield F + "fold", [x(2, *unfolded.shape[1:])], kwargs
    for size, align in itertools.product(((2, 3, 4, 5), (2, 3, 1, 1)), (True, False)):
        yield F + "affine_grid", [x(2, 2, 3), list(size)], {"align_corners": align}
        yield F + "affine_grid", [x(2, 3, 4), [2, 3, 2, *size[2:]]], {"align_corners": align}
    for mode, padding, align in itertools.product(("bilinear", "nearest", "bicubic"), ("zeros", "border", "reflection"), (True, False)):
        yield F + "grid_sample", [x(2, 3, 4, 5), (plain(2, 3, 2, 2) * 0.8).requires_grad_()], {
            "mode": mode,
            "padding_mode": padding,
            "align_corners": align,
        }
        if mode != "bicubic":
            yield F + "grid_sample", [x(2, 2, 3, 4, 5), (plain(2, 2, 3, 2, 3) * 0.8).requires_grad_()], {
                "mode": mode,
                "padding_mode": padding,
                "align_corners": align,
            }
    for norm, kwargs in itertools.product((1.0, 2.0, 3), ({}, {"stride": 2}, {"ceil_mode": True})):
        yield F + "lp_pool1d", [plain(2, 3, 8).abs().requires_grad_(), norm, 3], kwargs
        yield F + "lp_pool2d", [plain(2, 3, 8, 7).abs().requires_grad_(), norm, (2, 3)], kwargs
    yield F + "channel_shuffle", [plain(2, 6, 2, 3), 3], {}
    yield "torch.channel_shuffle", [plain(2, 6, 2, 3), 2], {}
    for name in ("dropout", "dropout1d", "alpha_dropout", "feature_alpha_dropout"):
        yield F + name, [x(2, 3, 4), 0.4], {"training": False}
    yield F + "dropout", [x(2, 3), 0.0], {"training": True}
    for name in ("relu", "selu", "celu", "elu", "leaky_relu", "threshold", "hardtanh", "rrelu"):
        args = [plain(3, 4)] + ([0.1, 2.0] if name == "threshold" else [])
        yield F + name + "_", args, {}
        yield F + name, args, {"inplace": True}
    for name in ("relu6", "hardsigmoid", "hardswish", "silu", "mish"):
        yield F + name, [plain(3, 4)], {"inplace": True}
    for o in ({}, {"beta": 2.0}, {"beta": 2.0, "threshold": 1.0}):
        yield F + "softplus", [x(3, 4)], o
    for hard_dim in (0, 1):
        yield F + "softmax", [x(3, 4)], {"dim": hard_dim, "dtype": torch.float64}
        yield F + "log_softmax", [plain(3, 4)], {"dim": hard_dim, "dtype": torch.float64}
        yield F + "glu", [x(4, 6)], {"dim": hard_dim}
    for mode, o in itertools.product(("constant", "reflect", "replicate", "circular"), ((1, 2), (2, 1, 1, 0), (-1, 2, 0, -1))):
        if mode == "reflect" and min(o) < 0:
            continue
        yield F + "pad", [x(2, 3, 4) if len(o) == 2 else x(2, 3, 5, 4), list(o)], {"mode": mode}
    yield F + "pad", [x(3, 4), [1, 1, 2, -1]], {"value": 0.5}
    yield F + "pad", [ints(3, 4), [1, 1]], {"value": 7}
    yield F + "one_hot", [torch.tensor([[0, 2], [1, 3]])], {}
    yield F + "one_hot", [torch.tensor([0, 2, 1])], {"num_classes": 5}
    for o in ({}, {"p": 1.0}, {"p": 3.0, "dim": 0}, {"eps": 1.0}, {"p": inf, "dim": -1}):
        yield F + "normalize", [x(3, 4)], o
    for p in (0, 1, 2, 3.5, inf):
        yield "torch.pdist", [x(5, 3), float(p)], {}
        yield F + "pdist", [x(5, 3)], {"p": float(p)}
        yield "torch.cdist", [x(2, 4, 3), x(2, 5, 3)], {"p": float(p)}
    for o in ({}, {"p": 1.0}, {"p": 3.0, "eps": 1e-2, "keepdim": True}):
        yield "torch.pairwise_distance", [x(3, 4), x(3, 4)], o
        yield F + "pairwise_distance", [x(3, 4), x(4)], o
    for o in ({}, {"dim": 0}, {"dim": -1, "eps": 0.5}):
        yield "torch.cosine_similarity", [x(3, 4), x(3, 4)], o
    yield "torch.bilinear", [x(5, 4), x(5, 3), x(2, 4, 3), x(2)], {}
    yield "torch.prelu", [x(3, 4), x(4)], {}
    yield "torch.prelu", [x(3, 4), x(1)], {}
    yield "Tensor.prelu", [x(3, 4), x(1)], {}
    for name in ("torch.hardshrink", "Tensor.hardshrink"):
        yield name, [x(3, 4)], {"lambd": 0.3}
        yield name, [x(3, 4)], {}
    for name in ("celu", "selu", "relu", "rrelu"):
        yield "torch." + name, [x(3, 4)], {}
    yield "torch.dropout", [x(3, 4), 0.5, False], {}
    yield "torch.adaptive_avg_pool1d", [x(2, 3, 7), 3], {}
    yield "torch.avg_pool1d", [x(2, 3, 7), 3], {"stride": 2, "padding": 1, "ceil_mode": True, "count_include_pad": False}
    for d in (1, 2, 3):
        yield f"torch.max_pool{d}d", [x(2, 3, *(6, 5, 7)[:d]), 2], {"padding": 1, "ceil_mode": True}
        yield F + f"conv_transpose{d}d", [x(2, 4, *(4, 3, 3)[:d]), x(4, 2, *(3, 2, 2)[:d])], {
            "stride": 2,
            "output_padding": 1,
            "groups": 2,
            "bias": x(4),
        }
        yield F + f"conv{d}d", [x(4, *(6, 5, 4)[:d]), x(3, 4, *(2,) * d)], {"padding": "valid", "dilation": 2}
    yield "torch.pixel_shuffle", [x(2, 8, 2, 3), 2], {}
    yield "torch.pixel_unshuffle", [x(2, 2, 4, 6), 2], {}
    for training in (True, False):
        yield "torch.batch_norm", [x(4, 3, 5), x(3), x(3), torch.zeros(3), torch.ones(3), training, 0.1, 1e-5, False], {}
    yield F + "embedding", [torch.tensor([[1, 2], [0, 4]]), x(5, 3)], {"padding_idx": 2}
    yield F + "embedding", [torch.tensor([1, 1, 4]), x(5, 3)], {"scale_grad_by_freq": True}
    for mode in ("sum", "mean", "max"):
        yield F + "embedding_bag", [torch.tensor([1, 2, 4, 4, 3]), x(5, 3), torch.tensor([0, 2, 2])], {"mode": mode}
        yield F + "embedding_bag", [torch.tensor([[1, 2], [4, 3]]), x(5, 3)], {"mode": mode, "padding_idx": 4}
    logits, target = x(5, 4), torch.tensor([1, 0, 3, -100, 2])
    for reduction, smoothing in itertools.product(("mean", "sum", "none"), (0.0, 0.3)):
        yield F + "cross_entropy", [logits, target], {
            "reduction": reduction,
            "label_smoothing": smoothing,
            "weight": torch.tensor([0.1, 0.7, 0.3, 1.2]),
        }
        yield F + "nll_loss", [torch.log_softmax(plain(5, 4), 1).requires_grad_(), target], {
            "reduction": reduction,
            "weight": torch.tensor([0.1, 0.7, 0.3, 1.2]),
        }
        yield F + "kl_div", [torch.log_softmax(plain(5, 4), 1).requires_grad_(), torch.tensor([[0.0, 0.2, 0.3, 0.5]])], {
            "reduction": reduction
        }
    yield F + "cross_entropy", [x(3, 4), torch.tensor([-100, -100, -100])], {"reduction": "sum"}
    yield F + "cross_entropy", [plain(3, 4), torch.tensor([-100, -100, -100])], {}
    yield F + "kl_div", [x(5, 4), plain(5, 4).abs()], {"reduction": "batchmean"}
    yield F + "gumbel_softmax", [torch.tensor([[1e6, 0.0, 0.0]]), 1.0, True], {}
    for mode, o in (("nearest", {}), ("linear", {"align_corners": True}), ("area", {}), ("nearest-exact", {})):
        yield F + "interpolate", [x(2, 3, 7)], {"size": 4, "mode": mode, **o}
        yield F + "interpolate", [x(2, 3, 7)], {"scale_factor": 0.6, "mode": mode, "recompute_scale_factor": True, **o}
    for o in ({"antialias": True, "mode": "bilinear"}, {"antialias": True, "mode": "bicubic"}):
        yield F + "interpolate", [x(1, 2, 7, 8)], {"size": (3, 5), **o}
        yield F + "interpolate", [x(1, 2, 7, 8)], {"scale_factor": 0.5, **o}
    for name in ("max_unpool1d", "max_unpool2d"):
        d = 1 if "1" in name else 2
        pooled, where = getattr(torch.nn.functional, f"max_pool{d}d")(plain(2, 3, *(6,) * d), 2, return_indices=True)
        yield F + name, [pooled.requires_grad_(), where, 2], {}
        yield F + name, [pooled.detach().requires_grad_(), where, 2], {"output_size": [7] * d if d == 1 else [6, 6]}


def creation():
    for name in ("hann_window", "hamming_window", "blackman_window", "bartlett_window"):
        for args, kwargs in itertools.product(([0], [1], [2], [7], [8]), ({}, {"periodic": False}, {"dtype": torch.float64})):
            yield "torch." + name, args, kwargs
    yield "torch.hamming_window", [6, True, 0.5, 0.4], {}
    for args in ([5], [6, False], [7, True, 8.0], [1], [0]):
        yield "torch.kaiser_window", args, {}
    for args, kwargs in (
        ([5], {}),
        ([2, 9], {}),
        ([9, 2, -2], {}),
        ([0, 1, 0.25], {}),
        ([3.0], {}),
        ([1, 4], {"dtype": torch.float32}),
        ([0, 5, 2], {"dtype": torch.int16}),
        ([2.5, 5.0], {"dtype": torch.int64}),
        ([-3, 3], {"dtype": torch.float16}),
    ):
        yield "torch.arange", args, kwargs
    for args, kwargs in (
        ([0, 1, 5], {}),
        ([3, -3, 7], {"dtype": torch.float64}),
        ([0, 10, 4], {"dtype": torch.int64}),
        ([2, 3, 1], {}),
        ([2, 3, 0], {}),
        ([0.5, 2, 3], {"dtype": torch.complex64}),
    ):
        yield "torch.linspace", args, kwargs
        yield "torch.logspace", args, kwargs if kwargs.get("dtype") != torch.int64 else {"dtype": torch.float32}
    yield "torch.logspace", [0, 5, 6], {"base": 2.0}
    yield "torch.logspace", [0, 3, 4], {"dtype": torch.int64}
    for name in ("zeros", "ones"):
        for args, kwargs in (
            ([2, 3], {}),
            ([[2, 0]], {}),
            ([], {"size": [3]}),
            ([(2,)], {"dtype": torch.bool}),
            ([3], {"dtype": torch.complex64}),
            ([()], {}),
        ):
            yield "torch." + name, args, kwargs
        yield f"torch.{name}_like", [plain(2, 3)], {"dtype": torch.int32}
    for args, kwargs in (
        ([[2, 3], 7], {}),
        ([[2, 3], 7.5], {}),
        ([[2], True], {}),
        ([[2], 1 + 2j], {}),
        ([[], 3], {"dtype": torch.float64}),
        ([[2], 3], {"dtype": torch.int8}),
    ):
        yield "torch.full", args, kwargs
    yield "torch.full_like", [ints(2, 3), 4], {}
    yield "torch.full_like", [plain(2, 3), 4], {"dtype": torch.int64}
    yield "torch.full_like", [ints(2, 3), 4.0], {"dtype": torch.float32}
    for args, kwargs in (([3], {}), ([3, 4], {}), ([2, 5], {"dtype": torch.int64}), ([4, 0], {})):
        yield "torch.eye", args, kwargs
    for data, kwargs in (
        ([1, 2, 3], {}),
        ([1.5, 2], {}),
        ([True, False], {}),
        ([[1, 2], [3, 4]], {"dtype": torch.float64}),
        (3, {}),
        (2.5, {}),
        (True, {}),
        (1 + 2j, {}),
        ([1, 2.5], {}),
        ([True, 2], {}),
        ([], {}),
        ([[], []], {}),
        ([1 + 1j, 2], {}),
        ([nan, inf], {}),
        ([1.7, -2.7], {"dtype": torch.int32}),
        ([300, -1], {"dtype": torch.int16}),
        ([0, 2], {"dtype": torch.bool}),
    ):
        yield "torch.tensor", [data], kwargs
        yield "torch.as_tensor", [data], kwargs
        yield "torch.asarray", [data], kwargs
        if not isinstance(data, complex):
            yield "Tensor.new_tensor", [plain(2), data], kwargs
    yield "torch.scalar_tensor", [3], {}
    yield "torch.scalar_tensor", [2.5], {"dtype": torch.float64}
    yield "torch.vander", [x(4)], {}
    yield "torch.vander", [x(4)], {"N": 3, "increasing": True}
    yield "torch.vander", [ints(4)], {"N": 5}
    for n, d in ((7, 1.0), (8, 0.5), (1, 1.0)):
        yield "torch.fft.fftfreq", [n, d], {}
        yield "torch.fft.rfftfreq", [n, d], {}
    yield "torch.tril_indices", [3, 4], {"offset": 1}
    yield "torch.triu_indices", [4, 3], {"offset": -1}
    yield "torch.complex", [x(3), x(3)], {}
    yield "torch.polar", [x(3), x(3)], {}
    yield "torch.cartesian_prod", [torch.tensor([1, 2]), torch.tensor([3, 4, 5])], {}
    yield "torch.combinations", [torch.tensor([1, 2, 3, 4])], {"r": 3}
    yield "torch.combinations", [torch.tensor([1, 2, 3])], {"r": 2, "with_replacement": True}
    yield "torch.block_diag", [x(2, 3), x(1), x(2, 2)], {}


def methods():
    for name in (
        "dim",
        "ndimension",
        "numel",
        "nelement",
        "element_size",
        "is_complex",
        "is_floating_point",
        "is_signed",
        "is_contiguous",
        "is_conj",
        "is_neg",
        "tolist",
        "size",
        "stride",
        "storage_offset",
        "shape",
        "dtype",
        "ndim",
        "is_leaf",
        "requires_grad",
        "data",
    ):
        for value in (plain(2, 3), ints(4), torch.zeros(0, 2), torch.tensor(2.5), torch.tensor([True, False])):
            yield "Tensor." + name, [value], {}
    for value in (torch.tensor(2.5), torch.tensor(3), torch.tensor(True), torch.tensor([4]), torch.tensor([[1.5]])):
        yield "Tensor.item", [value], {}
        yield "Tensor.is_nonzero", [value], {}
        yield "torch.is_nonzero", [value], {}
        yield "Tensor.__bool__", [value], {}
    yield "Tensor.size", [plain(2, 3), 1], {}
    yield "Tensor.size", [plain(2, 3), -1], {}
    yield "Tensor.stride", [plain(2, 3), 0], {}
    for dtype in (torch.float64, torch.int64, torch.bool, torch.uint8, torch.float16, torch.complex64, torch.int8, torch.bfloat16):
        yield "Tensor.to", [torch.tensor([0.0, 1.9, -1.9, 100.7]) if dtype != torch.uint8 else torch.tensor([0.0, 1.9, 200.2]), dtype], {}
        yield "Tensor.to", [ints(2, 3, low=0), plain(1).to(dtype)], {}
        yield "Tensor.type_as", [ints(2, 3, low=0), torch.zeros(1, dtype=dtype)], {}
        yield "Tensor.type", [ints(2, 3, low=0), dtype], {}
        yield "Tensor.new_zeros", [plain(2), [2, 3]], {"dtype": dtype}
        yield "Tensor.new_full", [torch.zeros(1, dtype=dtype), [2], 1], {}
    for name in ("float", "double", "half", "bfloat16", "int", "long", "short", "char", "byte", "bool", "cfloat", "cdouble", "cpu"):
        yield "Tensor." + name, [torch.tensor([0.0, 1.5, 2.5, 100.25])], {}
        yield "Tensor." + name, [torch.tensor([0, 1, 255 if name != "char" else 100])], {}
    yield "Tensor.to", [x(3), "cpu", torch.float64], {}
    yield "torch.detach", [x(3)], {}
    yield "Tensor.detach", [x(3)], {}
    yield "Tensor.detach_", [plain(3)], {}
    yield "Tensor.softmax", [x(3, 4), 1], {}
    yield "Tensor.log_softmax", [x(3, 4), 0], {"dtype": torch.float64}
    yield "Tensor.relu", [x(3, 4)], {}
    yield "Tensor.relu_", [plain(3, 4)], {}
    yield "Tensor.slogdet", [x(3, 3)], {}
    yield "torch.slogdet", [x(2, 3, 3)], {}
    yield "torch.logdet", [(plain(3, 3) @ plain(3, 3).T + torch.eye(3)).requires_grad_()], {}
    yield "torch.numel", [plain(2, 3)], {}
    yield "torch.is_tensor", [plain(1)], {}
    yield "torch.is_tensor", [3], {}
    for name in ("is_floating_point", "is_complex", "is_signed", "is_conj", "is_neg"):
        for dtype in (torch.float32, torch.int64, torch.bool, torch.uint8, torch.complex64):
            if name in ("is_floating_point", "is_complex", "is_signed", "is_conj"):
                yield "torch." + name, [torch.zeros(1, dtype=dtype)], {}
    yield "Tensor.is_set_to", [plain(2), plain(2)], {}
    yield "Tensor.is_same_size", [plain(2, 3), plain(2, 3)], {}
    yield "torch.equal", [plain(2), plain(3)], {}


def inplace():
    unary = (
        "abs neg sign sqrt rsqrt exp exp2 expm1 log log2 log10 log1p sin cos tan asin acos atan sinh cosh tanh "
        "asinh atanh sigmoid floor ceil round trunc frac square reciprocal erf erfc erfinv lgamma digamma relu sgn "
        "positive logit i0 sinc deg2rad rad2deg nan_to_num zero conj_physical"
    ).split()
    for name in unary:
        if hasattr(torch.Tensor, name + "_"):
            yield f"Tensor.{name}_", [torch.rand(2, 3).mul(0.8).add(0.1)], {}
    binary = (
        "add sub mul div pow remainder fmod floor_divide atan2 copysign hypot nextafter logical_and logical_or "
        "logical_xor eq ne lt le gt ge true_divide subtract multiply divide greater less xlogy arctan2"
    ).split()
    for name in binary:
        yield f"Tensor.{name}_", [plain(2, 3).abs() + 0.1, plain(3).abs() + 0.2], {}
        if name not in ("atan2", "hypot", "nextafter", "logical_and", "logical_or", "logical_xor", "arctan2"):
            yield f"Tensor.{name}_", [plain(2, 3).abs() + 0.1, 1.5], {}
    for name in (
        "bitwise_and",
        "bitwise_or",
        "bitwise_xor",
        "bitwise_left_shift",
        "bitwise_right_shift",
        "gcd",
        "lcm",
        "add",
        "sub",
        "mul",
        "floor_divide",
        "remainder",
        "fmod",
        "pow",
        "__iand__",
        "__ior__",
        "__ixor__",
        "__ilshift__",
        "__irshift__",
    ):
        call = f"Tensor.{name}" if name.startswith("__") else f"Tensor.{name}_"
        yield call, [ints(2, 3, low=1), ints(3, low=1, high=4)], {}
    for name in ("__iadd__", "__isub__", "__imul__", "__itruediv__", "__ifloordiv__", "__imod__", "__ipow__"):
        yield "Tensor." + name, [plain(2, 3).abs() + 0.2, 1.5], {}
    yield "Tensor.div_", [plain(2, 3), 0.3], {"rounding_mode": "floor"}
    yield "Tensor.div_", [plain(2, 3), 0.3], {"rounding_mode": "trunc"}
    yield "Tensor.add_", [plain(2, 3), plain(3)], {"alpha": 2.5}
    yield "Tensor.sub_", [plain(2, 3), 2], {"alpha": 3}
    yield "Tensor.lerp_", [plain(2, 3), plain(2, 3), 0.3], {}
    yield "Tensor.lerp_", [plain(2, 3), plain(2, 3), plain(2, 3)], {}
    yield "Tensor.addcmul_", [plain(2, 3), plain(2, 3), plain(3)], {"value": 0.5}
    yield "Tensor.addcdiv_", [plain(2, 3), plain(2, 3), plain(3).abs() + 1], {"value": 0.5}
    yield "Tensor.addmm_", [plain(2, 3), plain(2, 4), plain(4, 3)], {"beta": 0.5, "alpha": 2.0}
    yield "Tensor.addmv_", [plain(2), plain(2, 4), plain(4)], {"beta": 0.5}
    yield "Tensor.addr_", [plain(2, 3), plain(2), plain(3)], {"alpha": 2.0}
    yield "Tensor.baddbmm_", [plain(2, 3, 3), plain(2, 3, 4), plain(2, 4, 3)], {}
    yield "Tensor.addbmm_", [plain(3, 3), plain(2, 3, 4), plain(2, 4, 3)], {}
    yield "Tensor.clamp_", [plain(2, 3)], {"min": -0.3, "max": 0.4}
    yield "Tensor.clip_", [plain(2, 3), None, 0.1], {}
    yield "Tensor.clamp_min_", [plain(2, 3), 0.1], {}
    yield "Tensor.clamp_max_", [plain(2, 3), 0.1], {}
    yield "Tensor.fill_", [plain(2, 3), 2.5], {}
    yield "Tensor.fill_", [ints(2, 3), torch.tensor(3)], {}
    yield "Tensor.zero_", [plain(2, 3)], {}
    yield "Tensor.copy_", [plain(2, 3), plain(3)], {}
    yield "Tensor.copy_", [ints(2, 3), torch.tensor([1.9, -1.9, 0.5])], {}
    for wrap in (False, True):
        yield "Tensor.fill_diagonal_", [plain(7, 3), 9.0], {"wrap": wrap}
    yield "Tensor.put_", [plain(2, 3), torch.tensor([0, 4, 4]), plain(3)], {"accumulate": True}
    yield "Tensor.put_", [plain(2, 3), torch.tensor([0, -1]), plain(2)], {}
    yield "Tensor.masked_fill_", [plain(2, 3), torch.tensor([True, False, True]), 5.0], {}
    yield "Tensor.masked_scatter_", [plain(2, 3), torch.tensor([True, False, True]), plain(6)], {}
    yield "Tensor.index_fill_", [plain(3, 4), 1, torch.tensor([0, 2]), 7.0], {}
    yield "Tensor.index_copy_", [plain(3, 4), 0, torch.tensor([2, 0]), plain(2, 4)], {}
    yield "Tensor.index_add_", [plain(3, 4), 0, torch.tensor([2, 0, 2]), plain(3, 4)], {"alpha": 0.5}
    for reduce in ("prod", "mean", "amax", "amin"):
        for include in (True, False):
            yield "Tensor.index_reduce_", [plain(3, 4), 0, torch.tensor([2, 0, 2]), plain(3, 4), reduce], {"include_self": include}
            yield "Tensor.scatter_reduce_", [plain(3, 4), 0, torch.tensor([[2, 0, 2, 1], [0, 0, 1, 2]]), plain(2, 4), reduce], {
                "include_self": include
            }
    yield "Tensor.index_put_", [plain(3, 4), (torch.tensor([0, 2]), torch.tensor([1, 1])), torch.tensor([5.0, 6.0])], {}
    yield "Tensor.index_put_", [plain(3, 4), (torch.tensor([0, 0]), torch.tensor([1, 1])), torch.tensor([5.0, 6.0])], {"accumulate": True}
    yield "Tensor.index_put_", [plain(3, 4), (torch.tensor([True, False, True]),), torch.tensor(2.0)], {}
    yield "Tensor.scatter_", [plain(3, 4), 1, torch.tensor([[0, 2], [1, 3]]), plain(2, 2)], {}
    yield "Tensor.scatter_", [plain(3, 4), 1, torch.tensor([[0, 2], [1, 3]]), 3.5], {}
    yield "Tensor.scatter_", [plain(3, 4), 1, torch.tensor([[0, 2], [1, 3]]), plain(2, 2)], {"reduce": "multiply"}
    yield "Tensor.scatter_", [plain(3, 4), 1, torch.tensor([[0, 2], [1, 3]]), 3.5], {"reduce": "add"}
    yield "Tensor.scatter_add_", [plain(3, 4), 0, torch.tensor([[2, 0, 2, 1]]), plain(1, 4)], {}
    yield "Tensor.tril_", [plain(3, 4)], {"diagonal": 1}
    yield "Tensor.triu_", [plain(3, 4), -1], {}
    yield "Tensor.cumsum_", [plain(3, 4), 1], {}
    yield "Tensor.cumprod_", [plain(3, 4), 0], {}
    yield "Tensor.t_", [plain(3, 4)], {}
    yield "Tensor.transpose_", [plain(3, 4, 2), 0, 2], {}
    yield "Tensor.swapaxes_", [plain(3, 4, 2), 0, 2], {}
    yield "Tensor.squeeze_", [plain(3, 1, 2)], {}
    yield "Tensor.squeeze_", [plain(3, 1, 2), 1], {}
    yield "Tensor.unsqueeze_", [plain(3, 2), -1], {}
    yield "Tensor.resize_", [plain(2, 3), [2, 2]], {}
    yield "Tensor.renorm_", [plain(3, 4), 2, 0, 0.5], {}
    yield "Tensor.polygamma_", [torch.rand(3) + 0.5, 1], {}
    yield "Tensor.mvlgamma_", [torch.rand(3) + 2, 2], {}
    yield "Tensor.igamma_", [torch.rand(3) + 1, torch.rand(3)], {}
    yield "Tensor.ldexp_", [plain(3), torch.tensor([1, 2, -1])], {}
    yield "Tensor.float_power_", [plain(3).abs().double(), 1.5], {}
    yield "Tensor.heaviside_", [torch.tensor([-1.0, 0, 2]), torch.tensor(0.5)], {}
    yield "Tensor.logical_not_", [torch.tensor([True, False])], {}
    yield "Tensor.bitwise_not_", [ints(3)], {}
    yield "Tensor.set_", [plain(3), plain(2)], {}
    yield "Tensor.requires_grad_", [plain(3)], {}


def indexing():
    a = lambda: x(4, 5, 3)
    keys = [
        (0,),
        (-1,),
        (slice(1, 3),),
        (slice(None, None, 2), 1),
        (Ellipsis, 0),
        (None,),
        (0, None, 1),
        (slice(None), slice(-2, None)),
        (torch.tensor([0, 2, -1]),),
        (torch.tensor([0, 2]), torch.tensor([1, 4])),
        (slice(None), torch.tensor([[0, 1], [2, 2]])),
        (torch.tensor([0, 2]), slice(None), torch.tensor([1, 2])),
        (torch.tensor([True, False, True, False]),),
        (slice(None), torch.tensor([True, False, True, False, True])),
        (torch.tensor(2),),
        (Ellipsis, torch.tensor([0, 2])),
        (torch.tensor([[0], [1]]), torch.tensor([[1, 2]])),
        (slice(4, 1),),
        (slice(0, 100),),
        (1, Ellipsis, None),
        (None, Ellipsis, None),
        (torch.tensor([], dtype=torch.int64),),
        (torch.tensor([0, 1]), 2),
        (2, torch.tensor([0, 1])),
        (slice(None), 2, torch.tensor([0, 1])),
        (torch.tensor([0, 1]), None, torch.tensor([3, 4])),
        (slice(1, 3), torch.tensor([3, 4]), 0),
        (True,),
        (False,),
        (torch.tensor([1, 0, 1], dtype=torch.int64), Ellipsis, torch.tensor([0, 1, 2])),
    ]
    for key in keys:
        yield "Tensor.__getitem__", [a(), key if len(key) > 1 else key[0]], {}
    yield "Tensor.__getitem__", [a(), (torch.rand(4, 5) > 0.5,)], {}
    yield "Tensor.__getitem__", [a(), [0, 2]], {}
    yield "Tensor.__getitem__", [ints(4, 5), (torch.tensor([3, 0]), slice(1, 4))], {}
    yield "torch.take", [x(3, 4), torch.tensor([[0, 5], [-1, 11]])], {}
    yield "torch.gather", [x(3, 4), 1, torch.tensor([[0, 1, 1], [3, 2, 0]])], {}
    yield "torch.take_along_dim", [x(3, 4), torch.tensor([[0, 1], [3, 2], [1, 1]]), 1], {}
    yield "torch.index_select", [x(3, 4), -1, torch.tensor([3, 0, 0])], {}
    yield "torch.masked_select", [x(3, 4), torch.tensor([True, False, True, True])], {}
    yield "torch.nonzero", [torch.tensor([[1, 0], [0, 3]])], {}
    yield "torch.nonzero", [torch.tensor([[1.0, 0], [nan, 3]])], {"as_tuple": True}
    yield "torch.argwhere", [torch.tensor([[1, 0], [0, 3]])], {}
    yield "torch.where", [torch.tensor([True, False, True]), x(3), x(1)], {}
    yield "torch.where", [torch.tensor([True, False, True])], {}
    yield "torch.where", [torch.tensor([True, False]), 2.5, plain(2)], {}
    yield "torch.where", [torch.tensor([True, False]), ints(2), plain(2)], {}


GROUPS = (functional, creation, methods, inplace, indexing, limits)


def extra_records(log=print):
    counts = {}
    for call, args, kwargs in itertools.chain.from_iterable(g() for g in GROUPS):
        name = call if call.startswith("Tensor.") else call[6:]
        counts[call] = counts.get(call, -1) + 1
        try:
            function = resolve(call)
            record = {
                "id": f"{name}#x{counts[call]}",
                "op": name,
                "variant": "",
                "call": call,
                "dtype": "float32",
                "cmp": "close",
                "args": encode(args),
                "kwargs": encode(kwargs),
            }
            values, options = fresh(args), fresh(kwargs)
            leaves = [p for p in tensors_at(values, "args") + tensors_at(options, "kwargs") if p[1].requires_grad]
            if name.endswith("_") and not name.endswith("__") or "inplace" in kwargs:
                leaves, values = [], fresh(args)
            out = function(*values, **options)
            record["out"] = encode(out, False)
            outputs = [p for p in tensors_at(out, "out") if p[1].requires_grad]
            dev = dev_grad = 0.0
            wide_args, wide_kwargs, wide = widened(args), widened(kwargs), {}
            try:
                wide = dict(tensors_at(function(*wide_args, **wide_kwargs), "out"))
                dev = max([deviation(t, wide[p]) for p, t in tensors_at(out, "out")] or [0.0])
            except Exception:
                pass
            if dev > 1e-2:
                raise ValueError(f"float32 and float64 disagree by {dev}")
            if leaves and outputs:
                cotangents = [torch.randn(t.shape).to(t.dtype) for _, t in outputs]
                gradients = torch.autograd.grad([t for _, t in outputs], [t for _, t in leaves], cotangents, allow_unused=True)
                record["cot"] = {p: encode(c, False) for (p, _), c in zip(outputs, cotangents)}
                record["grad"] = {p: None if g is None else encode(g, False) for (p, _), g in zip(leaves, gradients)}
                if wide:
                    targets = [wide[p] for p, _ in outputs]
                    again = torch.autograd.grad(
                        targets,
                        [t for _, t in tensors_at(wide_args, "a") + tensors_at(wide_kwargs, "k") if t.requires_grad],
                        [c.to(t.dtype) for c, t in zip(cotangents, targets)],
                        allow_unused=True,
                    )
                    dev_grad = max([deviation(a, b) for a, b in zip(gradients, again) if a is not None and b is not None] or [0.0])
            record["dev"] = [dev, dev_grad]
            yield record
        except Exception as error:
            log(f"{call} {kwargs}: {error!r}"[:200])
