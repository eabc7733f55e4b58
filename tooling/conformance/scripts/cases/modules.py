"""`nn/modules` and `nn/losses`: layers with unusual options, their state, outputs and gradients."""

import itertools

import torch
from torch import nn

from encoding import deviation, encode, fresh, map_tensors, tensors_at


class Layer:
    """A module among constructor arguments."""

    def __init__(self, cls, *args, **kwargs):
        self.cls, self.args, self.kwargs = cls, args, kwargs

    def build(self):
        unwrap = lambda x: x.build() if isinstance(x, Layer) else x
        return getattr(nn, self.cls)(*map(unwrap, self.args), **{k: unwrap(v) for k, v in self.kwargs.items()})

    def encoded(self):
        one = lambda x: {"$": "module", **x.encoded()} if isinstance(x, Layer) else encode(x)
        return {"cls": self.cls, "args": [one(x) for x in self.args], "kwargs": {k: one(v) for k, v in self.kwargs.items()}}


def rounded(*shape):
    return (torch.randn(shape, dtype=torch.float64) * 1e4).round().div(1e4).float()


def x(*shape):
    return rounded(*shape).requires_grad_()


def positive(*shape):
    return (rounded(*shape).abs() + 0.05).requires_grad_()


def ints(high, *shape):
    return torch.randint(0, high, shape)


def convolutions():
    for d in (1, 2, 3):
        size = (9, 7, 6)[:d] if d < 3 else (4, 5, 4)
        inputs = lambda c: [x(2, c, *size), x(c, *size)]
        for kwargs in (
            {"stride": 2},
            {"padding": 1},
            {"dilation": 2},
            {"groups": 2},
            {"bias": False},
            {"padding": "same"},
            {"padding": "valid"},
            {"padding": "same", "dilation": 2, "kernel_size": 2},
            {"stride": 2, "padding": 2, "dilation": 2, "groups": 4},
            {"padding": 1, "padding_mode": "reflect"},
            {"padding": 2, "padding_mode": "circular"},
            {"padding": 1, "padding_mode": "replicate"},
            {"padding": 1, "padding_mode": "zeros", "stride": tuple(range(1, d + 1))},
            {"padding": "same", "padding_mode": "reflect"},
        ):
            kwargs = dict(kwargs)
            kernel = kwargs.pop("kernel_size", 3)
            for sample in inputs(4):
                yield f"Conv{d}d", (4, 8, kernel), kwargs, [sample]
        for kwargs in (
            {"stride": 2},
            {"padding": 1},
            {"stride": 2, "output_padding": 1},
            {"dilation": 2},
            {"groups": 2},
            {"bias": False},
            {"stride": 3, "padding": 1, "output_padding": 2, "dilation": 2, "groups": 2},
        ):
            for sample in inputs(4):
                yield f"ConvTranspose{d}d", (4, 6, 2), kwargs, [sample]
        yield f"ConvTranspose{d}d", (4, 6, 3), {"stride": 2}, [x(2, 4, *(3,) * d), [7] * d]
    yield "Unfold", (2,), {"dilation": 2, "padding": 1, "stride": 2}, [x(2, 3, 6, 7)]
    yield "Unfold", ((2, 3),), {"stride": (1, 2)}, [x(3, 6, 7)]
    yield "Fold", ((6, 7), (2, 3)), {"stride": (1, 2), "padding": (0, 1)}, [x(2, 12, 20)]
    yield "Fold", ((4, 5), 2), {}, [x(8, 12)]


def pools():
    for d in (1, 2, 3):
        size = (9, 8, 7)[:d]
        for batch in ((2, 3), (3,)):
            shape = (*batch, *size)
            for kwargs in (
                {},
                {"stride": 1},
                {"padding": 1},
                {"ceil_mode": True},
                {"dilation": 2},
                {"stride": 2, "padding": 1, "dilation": 2, "ceil_mode": True},
                {"return_indices": True},
                {"return_indices": True, "ceil_mode": True, "padding": 1},
            ):
                yield f"MaxPool{d}d", (3,), kwargs, [x(*shape)]
            for kwargs in (
                {},
                {"stride": 2},
                {"padding": 1},
                {"ceil_mode": True},
                {"padding": 1, "count_include_pad": False},
                {"ceil_mode": True, "stride": 2, "padding": 1, "count_include_pad": False},
            ) + (({"divisor_override": 3},) if d > 1 else ()):
                yield f"AvgPool{d}d", (3,), kwargs, [x(*shape)]
            for target in ([1, 3, 5] if d == 1 else [2, (3, None, 2)[:d], (1, 4, 3)[:d]]):
                yield f"AdaptiveAvgPool{d}d", (target,), {}, [x(*shape)]
                yield f"AdaptiveMaxPool{d}d", (target,), {}, [x(*shape)]
            yield f"AdaptiveMaxPool{d}d", (2,), {"return_indices": True}, [x(*shape)]
            if d < 3:
                for norm, kwargs in itertools.product((1, 2, 3.5), ({}, {"stride": 2}, {"ceil_mode": True})):
                    yield f"LPPool{d}d", (norm, 3), kwargs, [positive(*shape)]
    for name, c, sizes in (("PixelShuffle", 8, (2, 3)), ("PixelUnshuffle", 2, (4, 6))):
        yield name, (2,), {}, [x(3, c, *sizes)]
        yield name, (2,), {}, [x(c, *sizes)]
    yield "ChannelShuffle", (2,), {}, [rounded(1, 4, 2, 3)]


def norms():
    for d in (1, 2, 3):
        shape = (4, 3, 5, 4, 3)[: d + 2]
        for kwargs in ({}, {"affine": False}, {"momentum": 0.3}, {"momentum": None}, {"track_running_stats": False}, {"eps": 0.1}):
            for training in (True, False):
                yield f"BatchNorm{d}d", (3,), kwargs, [x(*shape)], training
                yield f"InstanceNorm{d}d", (3,), {**kwargs, "track_running_stats": kwargs.get("track_running_stats", d == 1)}, [
                    x(*shape)
                ], training
        yield f"InstanceNorm{d}d", (3,), {"affine": True}, [x(*shape[1:])]
    yield "BatchNorm1d", (3,), {}, [x(4, 3)], True
    for groups, kwargs in itertools.product((1, 2, 6), ({}, {"affine": False}, {"eps": 0.05})):
        yield "GroupNorm", (groups, 6), kwargs, [x(2, 6, 3, 2)]
    yield "GroupNorm", (3, 6), {}, [x(4, 6)]
    for shape, kwargs in itertools.product((5, [4, 5], (2, 4, 5)), ({}, {"elementwise_affine": False}, {"eps": 0.1})):
        yield "LayerNorm", (shape,), kwargs, [x(3, 2, 4, 5)]
    for kwargs in ({}, {"alpha": 0.1, "beta": 0.5, "k": 2.0}):
        yield "LocalResponseNorm", (3,), kwargs, [x(2, 5, 4)]
        yield "LocalResponseNorm", (2,), kwargs, [x(2, 5, 4, 3)]
    yield "CrossMapLRN2d", (3,), {}, [x(2, 5, 4, 3)]


def recurrents():
    for cls in ("RNN", "LSTM", "GRU"):
        gates = {"bias": [True, False], "batch_first": [False, True], "bidirectional": [False, True], "num_layers": [1, 2]}
        for values in itertools.product(*gates.values()):
            kwargs = {k: v for k, v in zip(gates, values)}
            yield cls, (3, 4), kwargs, [x(5, 2, 3)]
        for extra in (
            ({"nonlinearity": "relu"},)
            if cls == "RNN"
            else ({"proj_size": 2, "num_layers": 2, "bidirectional": True},) if cls == "LSTM" else ({"dropout": 0.0, "num_layers": 3},)
        ):
            yield cls, (3, 4), extra, [x(5, 2, 3)]
        yield cls, (3, 4), {}, [x(5, 3)]
        h = lambda *s: (x(*s), x(*s)) if cls == "LSTM" else x(*s)
        yield cls, (3, 4), {"num_layers": 2}, [x(5, 2, 3), h(2, 2, 4)]
        yield cls, (3, 4), {"bidirectional": True, "batch_first": True}, [x(2, 5, 3), h(2, 2, 4)]
        yield cls, (3, 4), {}, [x(5, 3), h(1, 4)]
        for kwargs in ({}, {"bias": False}):
            yield cls + "Cell", (3, 4), kwargs, [x(2, 3)]
            yield cls + "Cell", (3, 4), kwargs, [x(2, 3), h(2, 4)]
            yield cls + "Cell", (3, 4), kwargs, [x(3)]
    yield "RNNCell", (3, 4), {"nonlinearity": "relu"}, [x(2, 3), x(2, 4)]


def attention():
    bools = lambda *rows: torch.tensor(rows, dtype=torch.bool)
    for kwargs in (
        {},
        {"bias": False},
        {"add_bias_kv": True},
        {"add_zero_attn": True},
        {"kdim": 6, "vdim": 5},
        {"batch_first": True},
        {"add_bias_kv": True, "add_zero_attn": True},
    ):
        key, value = kwargs.get("kdim", 8), kwargs.get("vdim", 8)
        order = (lambda t: t.detach().transpose(0, 1).contiguous().requires_grad_()) if kwargs.get("batch_first") else (lambda t: t)
        q, k, v = order(x(4, 2, 8)), order(x(5, 2, key)), order(x(5, 2, value))
        pad = bools([False, False, True, False, True], [False, False, False, False, True])
        yield "MultiheadAttention", (8, 2), kwargs, [q, k, v]
        yield "MultiheadAttention", (8, 2), kwargs, [q, k, v], False, {"key_padding_mask": pad}
        yield "MultiheadAttention", (8, 2), kwargs, [q, k, v], False, {"attn_mask": torch.triu(torch.ones(4, 5), 2).bool()}
        yield "MultiheadAttention", (8, 2), kwargs, [q, k, v], False, {"attn_mask": rounded(4, 5), "need_weights": False}
        yield "MultiheadAttention", (8, 2), kwargs, [q, k, v], False, {"attn_mask": rounded(4, 4, 5), "average_attn_weights": False}
        yield "MultiheadAttention", (8, 2), kwargs, [q, k, v], True, {"need_weights": True}
    yield "MultiheadAttention", (8, 4), {}, [x(4, 8), x(5, 8), x(5, 8)]
    for kwargs in (
        {},
        {"norm_first": True},
        {"activation": "gelu"},
        {"batch_first": True, "layer_norm_eps": 0.01},
        {"norm_first": True, "batch_first": True, "activation": "gelu"},
    ):
        base = {"dim_feedforward": 12, "dropout": 0.0, **kwargs}
        mask = torch.triu(torch.full((4, 4), float("-inf")), 1)
        for training in (False, True):
            yield "TransformerEncoderLayer", (8, 2), base, [x(4, 4, 8)], training
            yield "TransformerEncoderLayer", (8, 2), base, [x(4, 4, 8)], training, {"src_mask": mask}
            yield "TransformerEncoderLayer", (8, 2), base, [x(4, 4, 8)], training, {
                "src_key_padding_mask": bools(*[[False, False, i > 1, i > 0] for i in range(4)])
            }
            yield "TransformerDecoderLayer", (8, 2), base, (
                [x(4, 3, 8), x(4, 3, 8)] if kwargs.get("batch_first") else [x(4, 3, 8), x(5, 3, 8)]
            ), training
            yield "TransformerDecoderLayer", (8, 2), base, [x(4, 4, 8), x(4, 4, 8)], training, {"tgt_mask": mask}
        yield "TransformerEncoder", (Layer("TransformerEncoderLayer", 8, 2, **base), 2), {}, [x(4, 4, 8)], False, {"mask": mask}
        yield "TransformerEncoder", (Layer("TransformerEncoderLayer", 8, 2, **base), 2), {"norm": Layer("LayerNorm", 8)}, [x(4, 4, 8)], True
        yield "TransformerDecoder", (Layer("TransformerDecoderLayer", 8, 2, **base), 2), {"norm": Layer("LayerNorm", 8)}, [
            x(4, 4, 8),
            x(4, 4, 8),
        ], False, {"tgt_mask": mask}
        yield "Transformer", (), {"d_model": 8, "nhead": 2, "num_encoder_layers": 1, "num_decoder_layers": 2, **base}, [
            x(4, 4, 8),
            x(4, 4, 8),
        ], False, {"tgt_mask": mask}


def embeddings():
    for kwargs in (
        {},
        {"padding_idx": 2},
        {"padding_idx": -1},
        {"scale_grad_by_freq": True},
        {"max_norm": 0.5},
        {"max_norm": 0.8, "norm_type": 1.0},
        {"sparse": True},
    ):
        for shape in ((4,), (2, 3), ()):
            yield "Embedding", (8, 3), kwargs, [ints(8, *shape)]
    for mode in ("sum", "mean", "max"):
        extras = [{}, {"padding_idx": 1}, {"include_last_offset": True}] + (
            [{"scale_grad_by_freq": True}, {"max_norm": 0.5}] if mode != "max" else []
        )
        for kwargs in extras:
            options = {"mode": mode, **kwargs}
            offsets = torch.tensor([0, 2, 2, 5] if not kwargs.get("include_last_offset") else [0, 2, 5, 7])
            yield "EmbeddingBag", (8, 3), options, [ints(8, 7), offsets]
            yield "EmbeddingBag", (8, 3), options, [ints(8, 3, 4)] if not kwargs.get("include_last_offset") else [ints(8, 7), offsets]
        if mode == "sum":
            yield "EmbeddingBag", (8, 3), {"mode": mode}, [ints(8, 7), torch.tensor([0, 3])], False, {"per_sample_weights": x(7)}
    for kwargs in ({}, {"bias": False}):
        yield "Linear", (4, 3), kwargs, [x(2, 5, 4)]
        yield "Linear", (4, 3), kwargs, [x(4)]
        yield "Bilinear", (4, 3, 2), kwargs, [x(5, 4), x(5, 3)]
        yield "Bilinear", (4, 3, 2), kwargs, [x(2, 5, 4), x(2, 5, 3)]
    yield "Identity", (3,), {"unused": True}, [x(2, 3)]
    yield "Flatten", (), {}, [x(2, 3, 4)]
    yield "Flatten", (0, 1), {}, [x(2, 3, 4)]
    yield "Unflatten", (1, (2, 3)), {}, [x(4, 6)]
    yield "Unflatten", (-1, (2, -1)), {}, [x(4, 6)]
    yield "CosineSimilarity", (), {"dim": -1, "eps": 0.1}, [x(3, 4), x(3, 4)]
    yield "PairwiseDistance", (), {"p": 1.0, "keepdim": True}, [x(3, 4), x(3, 4)]
    yield "PairwiseDistance", (3.0,), {"eps": 0.01}, [x(3, 4), x(3, 4)]


def activations():
    shapes = ((3, 4), (2, 3, 4), ())
    table = {
        "ELU": [{}, {"alpha": 0.3}],
        "CELU": [{}, {"alpha": 0.3}],
        "SELU": [{}],
        "GELU": [{}, {"approximate": "tanh"}],
        "GLU": [{}, {"dim": 0}],
        "Hardshrink": [{}, {"lambd": 0.2}],
        "Hardsigmoid": [{}],
        "Hardswish": [{}],
        "Hardtanh": [{}, {"min_val": -0.3, "max_val": 0.6}],
        "LeakyReLU": [{}, {"negative_slope": 0.3}],
        "LogSigmoid": [{}],
        "Mish": [{}],
        "ReLU": [{}, {"inplace": False}],
        "ReLU6": [{}],
        "RReLU": [{}, {"lower": 0.2, "upper": 0.4}],
        "SiLU": [{}],
        "Sigmoid": [{}],
        "Softplus": [{}, {"beta": 2}, {"beta": 0.5, "threshold": 1}],
        "Softshrink": [{}, {"lambd": 0.2}],
        "Softsign": [{}],
        "Tanh": [{}],
        "Tanhshrink": [{}],
        "Threshold": [{"threshold": 0.1, "value": 2.5}],
        "Softmax": [{"dim": 0}, {"dim": -1}],
        "LogSoftmax": [{"dim": 0}, {"dim": -1}],
        "Softmin": [{"dim": 0}, {"dim": -1}],
    }
    for name, choices in table.items():
        for kwargs, shape in itertools.product(choices, shapes):
            if name == "GLU":
                shape = (4, 6)
            yield name, (), kwargs, [x(*shape)]
    yield "Softmax2d", (), {}, [x(2, 3, 4, 2)]
    yield "Softmax2d", (), {}, [x(3, 4, 2)]
    for args, shape in itertools.product(((), (3,), (3, 0.4), (1, 0.1)), ((2, 3, 4), (2, 3))):
        yield "PReLU", args, {}, [x(*shape)]
    for name in ("Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout"):
        shape = (2, 3, 4, 5, 2) if "3" in name else (2, 3, 4, 5) if "2" in name else (2, 3, 4)
        yield name, (0.3,), {}, [x(*shape)], False
        yield name, (0.0,), {}, [x(*shape)], True
        if name not in ("AlphaDropout", "FeatureAlphaDropout"):
            yield name, (1.0,), {}, [x(*shape)], True


def shapes():
    pads = {1: (1, 2), 2: (2, 1, 0, 3), 3: (1, 1, 2, 0, 1, 2)}
    for d in (1, 2, 3):
        size = (5, 6, 4)[:d]
        for batch in ((2, 3), (3,)):
            for name, args in (("ConstantPad", (0.7,)), ("ReflectionPad", ()), ("ReplicationPad", ())) + (
                (("ZeroPad", ()),) if d == 2 else ()
            ):
                yield f"{name}{d}d", (pads[d], *args), {}, [x(*batch, *size)]
                yield f"{name}{d}d", (1, *args), {}, [x(*batch, *size)]
            yield f"ConstantPad{d}d", ((-1, 1) * d, 0.2), {}, [x(*batch, *size)]
    modes = {
        3: ("nearest", "linear", "nearest-exact", "area"),
        4: ("nearest", "bilinear", "bicubic", "nearest-exact", "area"),
        5: ("nearest", "trilinear", "nearest-exact", "area"),
    }
    for ndim, names in modes.items():
        shape = (2, 3, 4, 3, 2)[:ndim]
        for mode, target in itertools.product(
            names,
            (
                {"size": 5},
                {"size": (3, 7, 4)[: ndim - 2]},
                {"scale_factor": 2},
                {"scale_factor": 1.7},
                {"scale_factor": (1.5, 2.0, 0.6)[: ndim - 2]},
                {"scale_factor": 1.7, "recompute_scale_factor": True},
            ),
        ):
            aligned = ({}, {"align_corners": True}) if "linear" in mode or mode == "bicubic" else ({},)
            for extra in aligned:
                yield "Upsample", (), {**target, "mode": mode, **extra}, [x(*shape)]
    yield "UpsamplingNearest2d", (), {"scale_factor": 2}, [x(2, 3, 4, 3)]
    yield "UpsamplingBilinear2d", (), {"size": (5, 6)}, [x(2, 3, 4, 3)]


def losses():
    probabilities = lambda *s: torch.rand(*s).mul(0.9).add(0.05).requires_grad_()
    logs = lambda *s: torch.log_softmax(rounded(*s), 1).detach().requires_grad_()
    weight = torch.tensor([0.3, 1.2, 0.7, 0.5])
    signs = lambda *s: torch.randint(0, 2, s).float() * 2 - 1
    for reduction in ("mean", "sum", "none"):
        r = {"reduction": reduction}
        for name, options in (
            ("L1Loss", [{}]),
            ("MSELoss", [{}]),
            ("SmoothL1Loss", [{}, {"beta": 0.3}, {"beta": 0.0}]),
            ("HuberLoss", [{}, {"delta": 0.4}]),
        ):
            for o, shape in itertools.product(options, ((3, 4), (2, 3, 4), ())):
                yield name, (), {**r, **o}, [x(*shape), x(*shape) if name != "HuberLoss" else rounded(*shape)]
        for o in ({}, {"weight": weight}):
            yield "BCELoss", (), {**r, **o}, [probabilities(3, 4), torch.rand(3, 4)]
        for o in ({}, {"weight": weight}, {"pos_weight": weight}, {"weight": torch.rand(3, 1), "pos_weight": weight}):
            yield "BCEWithLogitsLoss", (), {**r, **o}, [x(3, 4), torch.rand(3, 4)]
        for o, shape in itertools.product(
            ({}, {"weight": weight}, {"ignore_index": 1}, {"weight": weight, "ignore_index": 2}),
            ((5, 4), (2, 4, 3), (2, 4, 3, 2), (2, 4, 2, 3, 2), (4,)),
        ):
            target = ints(4, shape[0], *shape[2:]) if len(shape) > 1 else ints(4)
            if len(shape) == 1 and "ignore_index" in o:
                continue
            inputs = logs(*shape) if len(shape) > 1 else torch.log_softmax(rounded(4), 0).requires_grad_()
            if len(shape) < 5:
                yield "NLLLoss", (), {**r, **o}, [inputs, target]
            for smoothing in ({}, {"label_smoothing": 0.2}):
                yield "CrossEntropyLoss", (), {**r, **o, **smoothing}, [x(*shape), target]
                if "ignore_index" not in o:
                    yield "CrossEntropyLoss", (), {**r, **o, **smoothing}, [
                        x(*shape),
                        torch.softmax(rounded(*shape), 1 if len(shape) > 1 else 0),
                    ]
        yield "NLLLoss2d", (), r, [logs(2, 4, 3, 2), ints(4, 2, 3, 2)]
        for log_target in (False, True):
            target = torch.softmax(rounded(3, 4), 1)
            yield "KLDivLoss", (), {**r, "log_target": log_target}, [logs(3, 4), target.log() if log_target else target]
        for o in ({}, {"log_input": False}, {"full": True}, {"log_input": False, "full": True, "eps": 1e-3}):
            yield "PoissonNLLLoss", (), {**r, **o}, [positive(3, 4), ints(6, 3, 4).float()]
        for o in ({}, {"full": True}, {"eps": 0.5}):
            yield "GaussianNLLLoss", (), {**r, **o}, [x(3, 4), rounded(3, 4), positive(3, 4)]
            yield "GaussianNLLLoss", (), {**r, **o}, [x(3, 4), rounded(3, 4), positive(3, 1)]
            yield "GaussianNLLLoss", (), {**r, **o}, [x(3, 4), rounded(3, 4), positive(3)]
        for margin in ({}, {"margin": 0.4}):
            yield "HingeEmbeddingLoss", (), {**r, **margin}, [x(3, 4), signs(3, 4)]
            yield "MarginRankingLoss", (), {**r, **margin}, [x(5), x(5), signs(5)]
            yield "CosineEmbeddingLoss", (), {**r, **margin}, [x(4, 5), x(4, 5), signs(4)]
            yield "CosineEmbeddingLoss", (), {**r, **margin}, [x(5), x(5), torch.tensor(-1.0)]
        yield "SoftMarginLoss", (), r, [x(3, 4), signs(3, 4)]
        for o in ({}, {"weight": weight}):
            yield "MultiLabelSoftMarginLoss", (), {**r, **o}, [x(3, 4), ints(2, 3, 4).float()]
            yield "MultiLabelSoftMarginLoss", (), {**r, **o}, [x(4), ints(2, 4).float()]
        for o in ({}, {"p": 2}, {"margin": 0.4}, {"weight": weight}, {"p": 2, "margin": 0.3, "weight": weight}):
            yield "MultiMarginLoss", (), {**r, **o}, [x(5, 4), ints(4, 5)]
            yield "MultiMarginLoss", (), {**r, **o}, [x(4), ints(4)]
        yield "MultiLabelMarginLoss", (), r, [x(2, 4), torch.tensor([[3, 0, -1, 1], [1, -1, 2, 0]])]
        yield "MultiLabelMarginLoss", (), r, [x(4), torch.tensor([3, 0, -1, 1])]
        for o in ({}, {"margin": 0.5}, {"p": 1.0}, {"swap": True}, {"eps": 0.1, "p": 3.0}):
            yield "TripletMarginLoss", (), {**r, **o}, [x(4, 5), x(4, 5), x(4, 5)]
        yield "TripletMarginLoss", (), r, [x(5), x(5), x(5)]
        for o in ({}, {"margin": 0.5}, {"swap": True}):
            yield "TripletMarginWithDistanceLoss", (), {**r, **o}, [x(4, 5), x(4, 5), x(4, 5)]
        for o in ({}, {"blank": 2}, {"zero_infinity": True}):
            scores = torch.log_softmax(rounded(8, 3, 5), 2).detach().requires_grad_()
            symbols = torch.tensor([0, 1, 3, 4]) if o.get("blank") == 2 else torch.tensor([1, 2, 3, 4])
            target = symbols[ints(4, 3, 3)]
            yield "CTCLoss", (), {**r, **o}, [scores, target, torch.tensor([8, 7, 6]), torch.tensor([3, 2, 1])]
            yield "CTCLoss", (), {**r, **o}, [scores, target.reshape(-1)[:6], torch.tensor([8, 7, 6]), torch.tensor([3, 2, 1])]
            yield "CTCLoss", (), {**r, **o}, [
                torch.log_softmax(rounded(8, 5), 1).requires_grad_(),
                target[0],
                torch.tensor(8),
                torch.tensor(3),
            ]
    yield "AdaptiveLogSoftmaxWithLoss", (6, 10, [3, 6]), {}, [x(4, 6), torch.tensor([0, 4, 9, 5])]
    yield "AdaptiveLogSoftmaxWithLoss", (6, 10, [2, 5]), {"div_value": 2.0, "head_bias": True}, [x(4, 6), torch.tensor([0, 4, 9, 1])]


GENERATORS = (convolutions, pools, norms, recurrents, attention, embeddings, activations, shapes)


def record_of(name, args, kwargs, inputs, training=False, options=None):
    options = options or {}
    layer = Layer(name, *args, **kwargs)
    module = layer.build().train(training)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(rounded(*parameter.shape) * 0.5)
        for key, buffer in module.named_buffers():
            if buffer.is_floating_point() and key.startswith("running"):
                buffer.copy_(rounded(*buffer.shape).abs() + 0.1)
    encoded = layer.encoded()
    record = {
        "class": name,
        "ctor": {"args": encoded["args"], "kwargs": encoded["kwargs"]},
        "training": training,
        "state_dict": {k: encode(v, False) for k, v in module.state_dict().items()},
        "args": encode(inputs),
        "kwargs": encode(options),
    }
    wide = layer.build().double().train(training)
    wide.load_state_dict({k: v.double() if v.is_floating_point() else v for k, v in module.state_dict().items()})
    for buffer in ("weight", "pos_weight"):
        value = getattr(wide, buffer, None)
        if isinstance(value, torch.Tensor) and not isinstance(value, nn.Parameter) and value.is_floating_point():
            setattr(wide, buffer, value.double())

    def evaluate(target, double):
        cast = (
            lambda t: t.detach().clone().to(torch.float64 if double and t.is_floating_point() else t.dtype).requires_grad_(t.requires_grad)
        )
        a, k = map_tensors(cast, inputs), map_tensors(cast, options)
        out = target(*a, **k)
        leaves = [(p, t) for p, t in tensors_at(a, "args") + tensors_at(k, "kwargs") if t.requires_grad]
        return out, [(p, t) for p, t in tensors_at(out, "out") if t.requires_grad], leaves

    out, outputs, leaves = evaluate(module, False)
    out64, outputs64, leaves64 = evaluate(wide, True)
    record["out"] = encode(out, False)
    dev = max([deviation(a, b) for (_, a), (_, b) in zip(tensors_at(out, "out"), tensors_at(out64, "out"))] or [0.0])
    parameters, dev_grad = list(module.named_parameters()), 0.0
    record["cot"], record["grad"], record["param_grad"] = {}, {}, {}
    if outputs and (leaves or parameters):
        cotangents = [rounded(*t.shape) for _, t in outputs]
        targets = [t for _, t in leaves + parameters]
        gradients = torch.autograd.grad([t for _, t in outputs], targets, cotangents, allow_unused=True)
        again = torch.autograd.grad(
            [t for _, t in outputs64],
            [t for _, t in leaves64] + list(wide.parameters()),
            [c.double() for c in cotangents],
            allow_unused=True,
        )
        dense = lambda g: g.to_dense() if g is not None and g.layout != torch.strided else g
        gradients, again = [dense(g) for g in gradients], [dense(g) for g in again]
        dev_grad = max([deviation(a, b) for a, b in zip(gradients, again) if a is not None] or [0.0])
        named = lambda pairs, values: {p: None if g is None else encode(g, False) for (p, _), g in zip(pairs, values)}
        record["cot"] = {p: encode(c, False) for (p, _), c in zip(outputs, cotangents)}
        record["grad"] = named(leaves, gradients[: len(leaves)])
        record["param_grad"] = named(parameters, gradients[len(leaves) :])
    if training and list(module.buffers()):
        record["state_after"] = {k: encode(v, False) for k, v in module.state_dict().items() if k in dict(module.named_buffers())}
    record.update(dev=[dev, dev_grad], named_parameters=[p for p, _ in parameters], repr=repr(module))
    if max(dev, dev_grad) > 1e-2:
        raise ValueError("float32 and float64 disagree")
    return record


def module_records(generators, log=print):
    counts = {}
    for name, args, kwargs, inputs, *rest in itertools.chain.from_iterable(g() for g in generators):
        counts[name] = counts.get(name, -1) + 1
        try:
            yield {"id": f"{name}#{counts[name]}", **record_of(name, args, kwargs, inputs, *rest)}
        except Exception as error:
            log(f"{name} {args} {kwargs}: {error!r}"[:220])
