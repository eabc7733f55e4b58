"""`nn/training`: small nets made by chance, trained for a few steps by an optimizer with options made by chance.

A record has the modules with their state, the forward pass as steps (a step may call a module), the batches, the loss's name, the optimizer with its
groups and scheduler, and what must come out: the losses, the gradients of the last round, the state after, and an output in evaluation mode.
"""

import random

import torch
from torch import nn

from encoding import Unencodable, deviation, encode, widened
from modules import Layer, rounded
from operations import resolve
from optimizers import OPTIONS

F = "torch.nn.functional."
ACTIVATIONS = [
    ("ELU", {"alpha": 0.7}), ("CELU", {"alpha": 0.4}), ("SELU", {}), ("GELU", {}), ("GELU", {"approximate": "tanh"}), ("Hardshrink", {"lambd": 0.1}),
    ("Hardsigmoid", {}), ("Hardswish", {}), ("Hardtanh", {"min_val": -0.4, "max_val": 0.8}), ("LeakyReLU", {"negative_slope": 0.2}),
    ("LogSigmoid", {}), ("Mish", {}), ("ReLU", {}), ("ReLU6", {}), ("SiLU", {}), ("Sigmoid", {}), ("Softplus", {"beta": 2}),
    ("Softshrink", {"lambd": 0.1}), ("Softsign", {}), ("Tanh", {}), ("Tanhshrink", {}), ("Threshold", {"threshold": 0.1, "value": 0.3}),
    ("PReLU", {}), ("Softmax", {"dim": -1}), ("LogSoftmax", {"dim": 1}), ("Softmin", {"dim": -1}), ("Dropout", {"p": 0.0}), ("Identity", {}),
    ("RReLU", {"lower": 0.25, "upper": 0.25}), ("ReLU", {"inplace": True}), ("SiLU", {"inplace": True}), ("Hardswish", {"inplace": True}),
]  # fmt: skip
TRAINED = [name for name in OPTIONS if name != "SparseAdam"]


class Ref(str):
    """The name of a value."""


class Net:
    """Layers and steps, made while they run on the first batch."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        torch.manual_seed(seed)
        self.modules, self.layers, self.steps, self.values = {}, {}, [], {}
        # The input whose gradient is part of the loss.
        self.input = None
        self.batches = [{}, {}]

    # --- recording ---

    def given(self, name, make):
        for batch in self.batches:
            batch[name] = make()
        self.values[name] = self.batches[0][name]
        return Ref(name)

    def call(self, name, *args, **kwargs):
        label = f"t{len(self.steps) + 1}"
        self.steps.append((label, name, args, kwargs))
        self.values[label] = run_step(name, args, kwargs, self.modules, self.values)
        return Ref(label)

    def layer(self, cls, *args, after=(), more=None, **kwargs):
        name = f"m{len(self.modules)}"
        layer = Layer(cls, *args, **kwargs)
        module = layer.build()
        with torch.no_grad():
            for p in module.parameters():
                p.copy_((p * 1e4).round() / 1e4 if p.numel() < 3000 else p)
        self.layers[name], self.modules[name] = layer, module
        out = self.call("module:" + name, *after, **(more or {}))
        # The same weights once more.
        if len(after) == 1 and self.random.random() < 0.12 and isinstance(self.values[out], torch.Tensor) and self.shape(out) == self.shape(after[0]):
            out = self.call("module:" + name, self.call("torch.mul", out, 0.75))
        return out

    def shape(self, v):
        return list(self.values[v].shape)

    # --- layers for each form ---

    def activation(self, v):
        name, kwargs = self.random.choice(ACTIVATIONS)
        if kwargs.get("inplace"):
            v = self.call("torch.mul", v, 1.5)
        return self.layer(name, **kwargs, after=[v])

    def residual(self, v, w):
        return self.call("torch.add", w, v) if self.shape(v) == self.shape(w) and self.random.random() < 0.5 else w

    def vector(self, v):
        r, n = self.random, self.shape(v)[-1]
        kind = r.choice(["linear", "linear", "activation", "activation", "norm", "bilinear", "cell", "glu", "group", "batch", "weird"])
        if kind == "linear":
            return self.residual(v, self.layer("Linear", n, r.choice([3, 4, 6, n]), bias=r.random() < 0.7, after=[v]))
        if kind == "norm":
            return self.layer("LayerNorm", n, elementwise_affine=r.random() < 0.7, eps=r.choice([1e-5, 0.1]), after=[v])
        if kind == "bilinear":
            return self.layer("Bilinear", n, n, r.choice([3, 4]), bias=r.random() < 0.7, after=[v, v])
        if kind == "cell" and len(self.shape(v)) == 2:
            cls = r.choice(["RNNCell", "LSTMCell", "GRUCell"])
            w = self.layer(cls, n, 4, bias=r.random() < 0.7, after=[v])
            return self.call("item", w, 0) if cls == "LSTMCell" else w
        if kind == "glu" and n % 2 == 0:
            return self.layer("GLU", dim=-1, after=[v])
        if kind == "group" and len(self.shape(v)) == 2 and n > 1:
            return self.layer("GroupNorm", r.choice([g for g in (1, 2, 3, n) if n % g == 0 and n // g > 1] or [1]), n, after=[v])
        if kind == "batch" and len(self.shape(v)) == 2:
            return self.batch_norm(v, 1)
        if kind == "weird":
            return self.call(F + "normalize", v, p=r.choice([2.0, 1.0]), dim=-1)
        return self.activation(v)

    def batch_norm(self, v, d):
        r = self.random
        c = self.shape(v)[1]
        kwargs = {"affine": r.random() < 0.7, "momentum": r.choice([0.1, 0.3, None]), "eps": r.choice([1e-5, 0.1])}
        return self.layer(f"BatchNorm{d}d", c, track_running_stats=r.random() < 0.8, **kwargs, after=[v])

    def image(self, v):
        r, shape = self.random, self.shape(v)
        d, c, sizes = len(shape) - 2, shape[1], shape[2:]
        least = min(sizes)
        per = lambda choices: r.choice([r.choice(choices), tuple(r.choice(choices) for _ in range(d))])
        kind = r.choice("conv conv conv transposed max avg adaptive norm batch instance group pad up activation activation lp local shuffle unfold".split())
        if kind == "conv":
            groups = r.choice([g for g in (1, 1, 2, 3, c) if c % g == 0])
            out = groups * r.choice([1, 2]) if groups > 1 else r.choice([2, 3, 4])
            kernel, dilation = per([1, 2, 3]), per([1, 1, 2])
            mode = r.choice(["zeros", "zeros", "reflect", "replicate", "circular"])
            padding = r.choice(["same", "valid", per([0, 1]), per([0, 1, 2])])
            stride = 1 if padding == "same" else per([1, 1, 2, 3])
            options = {"groups": groups, "dilation": dilation, "padding": padding, "stride": stride, "padding_mode": mode, "bias": r.random() < 0.7}
            return self.residual(v, self.layer(f"Conv{d}d", c, out, kernel, **options, after=[v]))
        if kind == "transposed":
            groups = r.choice([g for g in (1, 2, c) if c % g == 0])
            stride = per([1, 2])
            both = stride if isinstance(stride, tuple) else (stride,) * d
            dilation = per([1, 1, 2])
            wide = dilation if isinstance(dilation, tuple) else (dilation,) * d
            extra = tuple(r.randrange(max(a, b)) for a, b in zip(both, wide))
            options = {"stride": stride, "padding": per([0, 1]), "output_padding": extra, "groups": groups, "dilation": dilation}
            return self.layer(f"ConvTranspose{d}d", c, groups * r.choice([1, 2]), per([2, 3]), bias=r.random() < 0.7, **options, after=[v])
        if kind == "max":
            options = {"stride": r.choice([None, 1, 2]), "padding": r.choice([0, 1]), "dilation": r.choice([1, 1, 2]), "ceil_mode": r.random() < 0.5}
            # PyTorch 1.13 reads and writes beyond its memory where a dilated window lies outside.
            options["ceil_mode"] = options["ceil_mode"] and options["dilation"] == 1
            options["dilation"] = options["dilation"] if least > 2 else 1
            return self.layer(f"MaxPool{d}d", per([2, 3]), **options, after=[v])
        if kind == "avg":
            options = {"stride": r.choice([None, 1, 2]), "padding": r.choice([0, 1]), "ceil_mode": r.random() < 0.5, "count_include_pad": r.random() < 0.5}
            if d > 1 and r.random() < 0.3:
                options["divisor_override"] = 3
            return self.layer(f"AvgPool{d}d", per([2, 3]), **options, after=[v])
        if kind == "adaptive":
            target = r.randint(1, 4) if r.random() < 0.5 else tuple(r.choice([1, 2, 3, 5]) for _ in range(d))
            return self.layer(r.choice([f"AdaptiveAvgPool{d}d", f"AdaptiveMaxPool{d}d"]), target, after=[v])
        if kind in ("batch", "norm"):
            return self.batch_norm(v, d)
        if kind == "instance" and torch.Size(sizes).numel() > 1:
            return self.layer(f"InstanceNorm{d}d", c, affine=r.random() < 0.5, track_running_stats=r.random() < 0.5, after=[v])
        if kind == "group":
            return self.layer("GroupNorm", r.choice([g for g in (1, 2, 3, c) if c % g == 0]), c, affine=r.random() < 0.7, after=[v])
        if kind == "pad":
            name = r.choice(["ConstantPad", "ReflectionPad", "ReplicationPad"])
            pads = tuple(r.choice([0, 1]) for _ in range(2 * d))
            return self.layer(f"{name}{d}d", pads, *([0.3] if name == "ConstantPad" else []), after=[v])
        if kind == "up" and torch.Size(sizes).numel() < 60:
            mode = r.choice(["nearest", "nearest-exact", "area", ["linear", "bilinear", "trilinear"][d - 1]] + (["bicubic"] if d == 2 else []))
            options = {"align_corners": r.random() < 0.5} if "linear" in mode or mode == "bicubic" else {}
            if mode != "area" and r.random() < 0.5:
                return self.layer("Upsample", scale_factor=r.choice([2.0, 1.5]), mode=mode, **options, after=[v])
            return self.layer("Upsample", size=tuple(n + r.choice([0, 1, 2]) for n in sizes), mode=mode, **options, after=[v])
        if kind == "lp" and d < 3 and least > 2:
            positive = self.call("torch.add", self.call("torch.square", v), 0.1)
            return self.layer(f"LPPool{d}d", r.choice([1, 2, 3.0]), 2, ceil_mode=r.random() < 0.5, after=[positive])
        if kind == "local":
            return self.layer("LocalResponseNorm", r.choice([2, 3]), alpha=0.1, k=1.5, after=[v])
        if kind == "shuffle" and d == 2:
            if c % 4 == 0:
                return self.layer("PixelShuffle", 2, after=[v])
            return self.layer("PixelUnshuffle", 2, after=[v]) if all(n % 2 == 0 for n in sizes) else self.activation(v)
        if kind == "unfold" and d == 2:
            return self.layer("Unfold", r.choice([1, 2, (1, 2)]), padding=r.choice([0, 1]), stride=r.choice([1, 2]), after=[v])
        return self.activation(v)

    def sequence(self, v):
        """[batch, time, features]"""
        r = self.random
        b, t, n = self.shape(v)
        kind = r.choice("recurrent recurrent recurrent attention attention encoder decoder linear norm activation turned stack".split())
        first = r.random() < 0.5
        turned = lambda w: w if first else self.call("torch.transpose", w, 0, 1)
        if kind == "recurrent":
            cls = r.choice(["RNN", "LSTM", "GRU"])
            options = {"num_layers": r.choice([1, 1, 2]), "bidirectional": r.random() < 0.4, "bias": r.random() < 0.8, "batch_first": first}
            if cls == "RNN":
                options["nonlinearity"] = r.choice(["tanh", "relu"])
            if cls == "LSTM" and r.random() < 0.4:
                options["proj_size"] = 2
            h = r.choice([3, 4])
            given = []
            if r.random() < 0.3:
                k = options["num_layers"] * (2 if options["bidirectional"] else 1)
                state = self.call("torch.mul", rounded(k, b, options.get("proj_size", h)), 0.5)
                given = [(state, self.call("torch.mul", rounded(k, b, h), 0.5))] if cls == "LSTM" else [state]
            both = self.layer(cls, n, h, **options, after=[turned(v), *given])
            if r.random() < 0.3:
                state = self.call("item", both, 1)
                if cls == "LSTM":
                    state = self.call("item", state, r.choice([0, 1]))
                return self.call("torch.transpose", state, 0, 1)
            return turned(self.call("item", both, 0))
        heads = r.choice([g for g in (1, 2, 3, 4) if n % g == 0])
        if kind == "attention":
            options = {"bias": r.random() < 0.7, "add_bias_kv": r.random() < 0.3, "add_zero_attn": r.random() < 0.3, "batch_first": first}
            more = {"need_weights": r.random() < 0.5, "average_attn_weights": r.random() < 0.5}
            mask = r.choice([None, None, "causal", "padding", "float"])
            if mask == "causal":
                more["attn_mask"] = torch.triu(torch.ones(t, t), 1).bool()
            if mask == "float":
                more["attn_mask"] = rounded(t, t)
            if mask == "padding":
                more["key_padding_mask"] = torch.tensor([[i > 0 and r.random() < 0.4 for i in range(t)] for _ in range(b)])
            w = turned(v)
            both = self.layer("MultiheadAttention", n, heads, **options, after=[w, w, w], more=more)
            return self.residual(v, turned(self.call("item", both, 0)))
        if kind in ("encoder", "decoder", "stack"):
            options = {"dim_feedforward": 5, "dropout": 0.0, "norm_first": r.random() < 0.5, "activation": r.choice(["relu", "gelu"]), "batch_first": first}
            w = turned(v)
            more = {"src_mask": torch.triu(torch.full((t, t), float("-inf")), 1)} if r.random() < 0.4 else {}
            if kind == "encoder":
                return turned(self.layer("TransformerEncoderLayer", n, heads, **options, after=[w], more=more))
            if kind == "stack":
                inner = Layer("TransformerEncoderLayer", n, heads, **options)
                norm = {"norm": Layer("LayerNorm", n)} if r.random() < 0.5 else {}
                return turned(self.layer("TransformerEncoder", inner, 2, **norm, after=[w]))
            return turned(self.layer("TransformerDecoderLayer", n, heads, **options, after=[w, self.call("torch.tanh", w)]))
        if kind == "linear":
            return self.layer("Linear", n, r.choice([3, 4, 6]), after=[v])
        if kind == "norm":
            shape = r.choice([n, (t, n)])
            return self.layer("LayerNorm", shape, elementwise_affine=r.random() < 0.7, after=[v])
        if kind == "turned" and t > 2:
            return self.call("torch.transpose", self.image(self.call("torch.transpose", v, 1, 2)), 1, 2)
        return self.activation(v)

    def tokens(self):
        r = self.random
        b, t, count, n = r.choice([2, 3]), r.choice([3, 5]), r.choice([6, 9]), r.choice([3, 4])
        ids = self.given("ids", lambda: torch.randint(0, count, (b, t)))
        if r.random() < 0.3:
            options = {"mode": r.choice(["sum", "mean", "max"])}
            if r.random() < 0.4:
                options["padding_idx"] = 1
            if r.random() < 0.5:
                return self.layer("EmbeddingBag", count, n, **options, after=[ids])
            flat = self.call("torch.reshape", ids, [-1])
            offsets = torch.tensor([0, 2, 2, b * t - 1])
            return self.layer("EmbeddingBag", count, n, **options, after=[flat, offsets])
        options = {}
        if r.random() < 0.4:
            options["padding_idx"] = r.choice([0, 2, -1])
        if r.random() < 0.2:
            options["scale_grad_by_freq"] = True
        if r.random() < 0.2:
            options.update(max_norm=r.choice([0.5, 1.0]), norm_type=r.choice([2.0, 1.0]))
        return self.layer("Embedding", count, n, **options, after=[ids])

    def body(self):
        r = self.random
        kind = r.choice(["vector", "image1", "image2", "image2", "image3", "sequence", "sequence", "tokens"])
        b = r.choice([2, 3, 4])
        if kind == "tokens":
            v = self.tokens()
        else:
            shape = {
                "vector": [b, r.choice([3, 4, 6])],
                "image1": [b, r.choice([2, 3, 4]), r.choice([6, 9])],
                "image2": [b, r.choice([1, 2, 3, 4]), r.choice([5, 6]), r.choice([4, 7])],
                "image3": [2, r.choice([1, 2]), 4, r.choice([3, 4]), 4],
                "sequence": [b, r.choice([3, 4, 5]), r.choice([3, 4, 6])],
            }[kind]
            v = self.given("x", lambda: rounded(*shape))
            if r.random() < 0.25:
                v = self.call("Tensor.requires_grad_", self.call("torch.mul", v, 1.0))
                self.input = v
        image = kind.startswith("image")
        for _ in range(r.randint(1, 4)):
            rank = len(self.shape(v))
            if image and rank > 2 and r.random() < 0.85:
                v = self.image(v)
            elif rank == 2:
                v = self.vector(v)
            elif rank == 3 and not image:
                v = self.sequence(v)
            else:
                v = self.layer("Flatten", r.choice([1, 1, 2]) if rank > 2 else 1, after=[v])
            if self.values[v].numel() > 3000:
                raise ValueError("too large")
        if not any(p.requires_grad for m in self.modules.values() for p in m.parameters()):
            n = self.shape(v)[-1]
            v = self.layer("Linear", n, 3, after=[v])
        return v

    def penalised(self, loss, v):
        """The loss with the square of the output's gradient by the input."""
        first = self.call("torch.autograd.grad", self.call("torch.sum", self.call("torch.sin", v)), [self.input], create_graph=True)
        square = self.call("torch.mean", self.call("torch.square", self.call("item", first, 0)))
        return self.call("torch.add", loss, square)

    def loss(self, v):
        r = self.random
        shape = self.shape(v)
        like = lambda: rounded(*shape)
        reduction = r.choice(["mean", "mean", "sum", "none"])
        kind = r.choice("mse l1 smooth huber kl bce bce_logits poisson gaussian soft hinge cross cross cross nll multi_margin multi_soft cosine ranking triplet ctc multilabel".split())
        flat = [shape[0], torch.Size(shape[1:]).numel()]

        def made(cls, *after, **kwargs):
            w = self.layer(cls, reduction=reduction, **kwargs, after=after)
            return self.call("torch.mean", w) if reduction == "none" else w

        if kind == "mse":
            return made("MSELoss", v, self.given("y", like))
        if kind == "l1":
            return made("L1Loss", v, self.given("y", like))
        if kind == "smooth":
            return made("SmoothL1Loss", v, self.given("y", like), beta=r.choice([1.0, 0.3]))
        if kind == "huber":
            return made("HuberLoss", v, self.given("y", like), delta=r.choice([1.0, 0.3]))
        if kind == "kl":
            reduction = r.choice(["mean", "sum", "batchmean"])
            log = r.random() < 0.5
            target = lambda: (like().log_softmax(-1) if log else like().softmax(-1))
            return made("KLDivLoss", self.call("torch.log_softmax", v, -1), self.given("y", target), log_target=log)
        chance = lambda: torch.rand(shape)
        if kind == "bce":
            weight = {"weight": torch.rand(shape[-1])} if r.random() < 0.5 else {}
            return made("BCELoss", self.call("torch.sigmoid", v), self.given("y", chance), **weight)
        if kind == "bce_logits":
            weight = {"weight": torch.rand(shape[-1])} if r.random() < 0.5 else {}
            if r.random() < 0.5:
                weight["pos_weight"] = torch.rand(shape[-1]) + 0.5
            return made("BCEWithLogitsLoss", v, self.given("y", chance), **weight)
        if kind == "poisson":
            small = self.call("torch.tanh", v)
            return made("PoissonNLLLoss", small, self.given("y", lambda: torch.randint(0, 4, shape).float()), full=r.random() < 0.5)
        if kind == "gaussian":
            spread = self.call("torch.add", self.call("torch.square", v), 0.3)
            return made("GaussianNLLLoss", v, self.given("y", like), spread, full=r.random() < 0.5)
        signs = lambda: torch.where(torch.rand(shape) < 0.5, -1.0, 1.0)
        if kind == "soft":
            return made("SoftMarginLoss", v, self.given("y", signs))
        if kind == "hinge":
            return made("HingeEmbeddingLoss", v, self.given("y", signs), margin=r.choice([1.0, 0.4]))
        if kind in ("cross", "nll", "multi_margin", "multi_soft", "multilabel") and len(shape) > 1 and shape[1] > 1:
            c = shape[1]
            classes = lambda: torch.randint(0, c, [shape[0], *shape[2:]])
            weight = {"weight": (torch.rand(c) + 0.2)} if r.random() < 0.5 else {}
            ignore = {"ignore_index": r.randrange(c)} if r.random() < 0.4 and shape[0] * torch.Size(shape[2:]).numel() > 4 else {}
            if kind == "cross":
                if r.random() < 0.3:
                    target = lambda: rounded(*shape).softmax(1)
                    return made("CrossEntropyLoss", v, self.given("y", target), **weight, label_smoothing=r.choice([0.0, 0.2]))
                return made("CrossEntropyLoss", v, self.given("y", classes), **weight, **ignore, label_smoothing=r.choice([0.0, 0.0, 0.2]))
            if kind == "nll":
                return made("NLLLoss", self.call("torch.log_softmax", v, 1), self.given("y", classes), **weight, **ignore)
            v = self.call("torch.reshape", v, flat)
            c = flat[1]
            weight = {"weight": (torch.rand(c) + 0.2)} if weight else {}
            if kind == "multi_margin":
                return made("MultiMarginLoss", v, self.given("y", lambda: torch.randint(0, c, flat[:1])), p=r.choice([1, 2]), margin=r.choice([1.0, 0.5]), **weight)
            if kind == "multi_soft":
                return made("MultiLabelSoftMarginLoss", v, self.given("y", lambda: (torch.rand(flat) < 0.5).float()), **weight)
            return made("MultiLabelMarginLoss", v, self.given("y", lambda: torch.where(torch.arange(c) > c // 2, -1, torch.stack([torch.randperm(c) for _ in range(flat[0])]))))
        if kind in ("cosine", "ranking", "triplet") and len(shape) > 1:
            v = self.call("torch.reshape", v, flat)
            w = self.call("torch.roll", v, 1, 0)
            one = lambda: torch.where(torch.rand(flat[:1]) < 0.5, -1.0, 1.0)
            if kind == "cosine":
                return made("CosineEmbeddingLoss", v, self.call("torch.tanh", w), self.given("y", one), margin=0.2)
            if kind == "ranking":
                return made("MarginRankingLoss", v, w, self.given("y", lambda: torch.where(torch.rand(flat) < 0.5, -1.0, 1.0)), margin=0.3)
            return made("TripletMarginLoss", v, self.given("p", lambda: rounded(*flat)), self.given("n", lambda: rounded(*flat)), margin=2.0, p=r.choice([2.0, 3.0]), swap=r.random() < 0.5)
        if kind == "ctc" and len(shape) == 3 and shape[2] > 2 and shape[1] > 3:
            reduction = r.choice(["mean", "sum"])
            t, b, c = shape[1], shape[0], shape[2]
            logs = self.call("torch.log_softmax", self.call("torch.transpose", v, 0, 1), -1)
            target = self.given("y", lambda: torch.randint(1, c, (b, 2)))
            return made("CTCLoss", logs, target, torch.full((b,), t), torch.tensor([1 + i % 2 for i in range(b)]), zero_infinity=r.random() < 0.5)
        return made("MSELoss", v, self.given("y", like))


def run_step(name, args, kwargs, modules, values):
    def real(value):
        if isinstance(value, Ref):
            return values[value]
        return type(value)(real(x) for x in value) if isinstance(value, (list, tuple)) else value

    args, kwargs = [real(x) for x in args], {k: real(v) for k, v in kwargs.items()}
    if name == "item":
        return args[0][args[1]]
    if name.startswith("module:"):
        return modules[name[7:]](*args, **kwargs)
    return resolve(name)(*args, **kwargs)


def described(value):
    if isinstance(value, Ref):
        return {"$": "var", "v": str(value)}
    if isinstance(value, list):
        return [described(x) for x in value]
    if isinstance(value, tuple):
        return {"$": "tuple", "v": [described(x) for x in value]}
    return encode(value, False)


def schedule(r, optimizer):
    """A scheduler and its options, or None."""
    momentum = optimizer == "SGD"
    return r.choice([
        None, None, None,
        ("StepLR", {"step_size": r.choice([1, 2]), "gamma": 0.5}),
        ("MultiStepLR", {"milestones": [1, 3], "gamma": 0.3}),
        ("ExponentialLR", {"gamma": 0.8}),
        ("CosineAnnealingLR", {"T_max": r.choice([3, 7]), "eta_min": 0.001}),
        ("CosineAnnealingWarmRestarts", {"T_0": 2, "T_mult": r.choice([1, 2])}),
        ("LinearLR", {"start_factor": 0.3, "total_iters": 3}),
        ("ConstantLR", {"factor": 0.5, "total_iters": 2}),
        ("PolynomialLR", {"total_iters": 4, "power": 2.0}),
        ("OneCycleLR", {"max_lr": 0.05, "total_steps": 12, "cycle_momentum": False}),
        ("CyclicLR", {"base_lr": 0.001, "max_lr": 0.02, "step_size_up": 2, "cycle_momentum": False}) if momentum else None,
    ])  # fmt: skip


class Plan:
    """What is done with a net, the same for every run of it."""

    def __init__(self, r, net):
        self.optimizer = r.choice(TRAINED) if r.random() < 0.9 else "SGD"
        options = r.choice(OPTIONS[self.optimizer])
        self.options = {k: v for k, v in options.items() if v is not None}
        if self.optimizer in ("NAdam", "RAdam"):
            # With foreach, PyTorch 1.13 computes another mu_product or leaves eps out.
            self.options.pop("foreach", None)
        if "lr" in self.options:
            self.options["lr"] = r.choice([self.options["lr"], 0.01])
        self.rounds = r.randint(3, 6)
        self.schedule = schedule(r, self.optimizer) if self.optimizer != "LBFGS" else None
        self.training = [True] * self.rounds
        if r.random() < 0.3:
            switch = r.randint(1, self.rounds - 1)
            self.training[switch:] = [False] * (self.rounds - switch)
        self.reload = r.randint(1, self.rounds - 1) if r.random() < 0.35 else None
        self.clip = r.choice([None, None, {"norm": 0.3, "norm_type": r.choice([2.0, 1.0, float("inf")])}, {"value": 0.05}]) if self.optimizer != "LBFGS" else None
        self.backwards = r.choice([1, 1, 1, 2]) if self.optimizer != "LBFGS" else 1
        self.set_to_none = r.random() < 0.5
        names = [f"{m}.{name}" for m, module in net.modules.items() for name, _ in module.named_parameters()]
        self.frozen = [name for name in names if r.random() < 0.4] if r.random() < 0.2 else []
        names = [name for name in names if name not in self.frozen]
        self.groups = [{"params": names}]
        if len(names) > 1 and r.random() < 0.4 and self.optimizer != "LBFGS":
            cut = r.randint(1, len(names) - 1)
            self.groups = [{"params": names[:cut]}, {"params": names[cut:], "lr": 0.02}]
            if "weight_decay" in self.options and r.random() < 0.5:
                self.groups[0]["weight_decay"] = 0.05
        self.names = names


def train(net, plan, state, double):
    """Runs a plan from a state; gives losses, gradients, the state after and an output in evaluation mode."""
    made = lambda: {name: (layer.build().double() if double else layer.build()) for name, layer in net.layers.items()}
    wide = widened if double else lambda x: x
    batches = [{name: wide(t.clone()) for name, t in batch.items()} for batch in net.batches]
    steps = [(o, name, wide_all(args, wide), wide_all(kwargs, wide)) for o, name, args, kwargs in net.steps]

    def optimizer_of(modules):
        named = {f"{m}.{n}": p for m, module in modules.items() for n, p in module.named_parameters()}
        for name in plan.frozen:
            named.pop(name).requires_grad_(False)
        groups = [{**g, "params": [named[n] for n in g["params"]]} for g in plan.groups]
        optimizer = getattr(torch.optim, plan.optimizer)(groups, **plan.options)
        if plan.schedule is None:
            return named, optimizer, None
        name, options = plan.schedule
        return named, optimizer, getattr(torch.optim.lr_scheduler, name)(optimizer, **options)

    def forward(modules, batch):
        values = dict(batch)
        for o, name, args, kwargs in steps:
            values[o] = run_step(name, args, kwargs, modules, values)
        return values

    modules = made()
    for name, module in modules.items():
        module.load_state_dict({k: wide(v.clone()) for k, v in state[name].items()})
    named, optimizer, scheduler = optimizer_of(modules)
    losses, gradients = [], {}
    for i in range(plan.rounds):
        if i == plan.reload:
            saved = ({n: m.state_dict() for n, m in modules.items()}, optimizer.state_dict(), scheduler and scheduler.state_dict())
            modules = made()
            for name, module in modules.items():
                module.load_state_dict(saved[0][name])
            named, optimizer, scheduler = optimizer_of(modules)
            optimizer.load_state_dict(saved[1])
            if scheduler:
                scheduler.load_state_dict(saved[2])
        for module in modules.values():
            module.train(plan.training[i])
        batch = batches[i % 2]

        def closure():
            optimizer.zero_grad(set_to_none=plan.set_to_none)
            for _ in range(plan.backwards):
                loss = forward(modules, batch)[net.loss_name]
                loss.backward()
            return loss

        if plan.optimizer == "LBFGS":
            losses.append(float(optimizer.step(closure)))
        else:
            losses.append(float(closure()))
            if plan.clip and "norm" in plan.clip:
                nn.utils.clip_grad_norm_(list(named.values()), plan.clip["norm"], plan.clip["norm_type"])
            elif plan.clip:
                nn.utils.clip_grad_value_(list(named.values()), plan.clip["value"])
            # Steps with foreach write to the gradients.
            gradients = {name: None if p.grad is None else p.grad.clone() for name, p in named.items()}
            optimizer.step()
        if scheduler:
            scheduler.step()
    after = {f"{m}.{n}": v.clone() for m, module in modules.items() for n, v in module.state_dict().items()}
    for module in modules.values():
        module.eval()
    out = forward(modules, batches[0])[net.out_name].detach()
    rates = [g["lr"] for g in optimizer.param_groups]
    return losses, gradients, after, out, rates


def wide_all(value, wide):
    if isinstance(value, Ref):
        return value
    if isinstance(value, torch.Tensor):
        return wide(value)
    if isinstance(value, dict):
        return {k: wide_all(v, wide) for k, v in value.items()}
    return type(value)(wide_all(x, wide) for x in value) if isinstance(value, (list, tuple)) else value


def record_of(number):
    net = Net(number)
    net.out_name = net.body()
    net.loss_name = net.loss(net.out_name)
    if net.input is not None:
        net.loss_name = net.penalised(net.loss_name, net.out_name)
    if not net.values[net.loss_name].requires_grad:
        raise ValueError("nothing is trained")
    # Building ran the layers once: their buffers begin anew.
    fresh = {name: layer.build().state_dict() for name, layer in net.layers.items()}
    parameters = {name: {n for n, _ in module.named_parameters()} for name, module in net.modules.items()}
    state = {
        name: {k: (v.detach().clone() if k in parameters[name] else fresh[name][k]) for k, v in module.state_dict().items()}
        for name, module in net.modules.items()
    }
    plan = Plan(net.random, net)
    if not plan.names:
        raise ValueError("nothing is trained")
    one, two = train(net, plan, state, False), train(net, plan, state, True)
    tensors = lambda run: [*(g for g in run[1].values() if g is not None), *run[2].values(), run[3], torch.tensor(run[0], dtype=torch.float64)]
    for t in tensors(one):
        if not torch.isfinite(t).all() or t.abs().max() > 1e4:
            raise ValueError("numbers grow large")
    dev = max(deviation(a, b) for a, b in zip(tensors(one), tensors(two)))
    if dev > (1e-6 if plan.optimizer == "LBFGS" else 1e-4):
        raise ValueError("float32 and float64 disagree")
    losses, gradients, after, out, rates = one
    if plan.optimizer == "Rprop" and any(g is not None and g.abs().min() < 1e-5 for g in gradients.values()):
        raise ValueError("a sign is left to chance")
    return {
        "id": f"training/{number}",
        "modules": {name: layer.encoded() for name, layer in net.layers.items()},
        "state": {name: encode(dict(entries), False) for name, entries in state.items()},
        "batches": [encode(batch, False) for batch in net.batches],
        "steps": [
            {"o": o, "call": name, "args": [described(a) for a in args], "kwargs": {k: described(v) for k, v in kwargs.items()}}
            for o, name, args, kwargs in net.steps
        ],
        "loss": str(net.loss_name),
        "output": str(net.out_name),
        "optimizer": plan.optimizer,
        "kwargs": encode(plan.options),
        "groups": [{k: (v if k == "params" else encode(v)) for k, v in g.items()} for g in plan.groups],
        "scheduler": plan.schedule and {"class": plan.schedule[0], "kwargs": encode(plan.schedule[1])},
        "frozen": plan.frozen,
        "training": plan.training,
        "reload": plan.reload,
        "clip": encode(plan.clip),
        "backwards": plan.backwards,
        "set_to_none": plan.set_to_none,
        # LBFGS and CTCLoss read values.
        "captured": plan.optimizer != "LBFGS" and all(layer.cls != "CTCLoss" for layer in net.layers.values()),
        "losses": [encode(x) for x in losses],
        "gradients": {name: None if g is None else encode(g, False) for name, g in gradients.items()},
        "after": {name: encode(v, False) for name, v in after.items()},
        "out": encode(out.detach(), False),
        "rates": [encode(float(x)) for x in rates],
        "dev": dev,
    }


def training_records(count, seed, log=print):
    made, number = 0, 1_000_000 * seed
    while made < count:
        number += 1
        try:
            record = record_of(number)
        except (RuntimeError, ValueError, IndexError, TypeError, AssertionError, NotImplementedError, Unencodable) as error:
            log(f"training/{number}: {error!r}"[:200])
            continue
        made += 1
        yield record
