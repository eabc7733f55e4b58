"""`autograd/programs`: derivatives of first to third order through many operations, forward mode, in-place writes through views, and kinks.

A program is built by calling: `Program` records each call as a step and runs it in PyTorch.
"""

import itertools

import torch

from encoding import deviation, encode, tensors_at, widened
from operations import resolve


def rounded(*shape):
    return (torch.randn(shape, dtype=torch.float64) * 1e4).round().div(1e4).float()


class Var:
    def __init__(self, program, name, value):
        self.program, self.name, self.value = program, name, value

    def __getattr__(self, name):
        return lambda *args, **kwargs: self.program.call(f"Tensor.{name}", self, *args, **kwargs)


PROPERTIES = ("grad", "is_leaf", "requires_grad", "shape", "dtype", "data", "_version")


class Program:
    def __init__(self, name, double=False, **inputs):
        self.name, self.inputs, self.steps, self.double = name, {}, [], double
        # The least precise numbers that occur: half, single or double.
        self.precision = "double"
        for value in inputs.values():
            self.note(value)
        self.vars = {}
        for key, value in inputs.items():
            self.inputs[key] = encode(value)
            value = widened(value) if double else value.detach().clone().requires_grad_(value.requires_grad)
            self.vars[key] = Var(self, key, value)

    def note(self, value):
        if isinstance(value, torch.Tensor):
            if value.dtype in (torch.float16, torch.bfloat16):
                self.precision = "half"
            elif value.dtype in (torch.float32, torch.complex64) and self.precision == "double":
                self.precision = "single"

    def describe(self, value):
        if isinstance(value, Var):
            return {"$": "var", "v": value.name}
        if isinstance(value, list):
            return [self.describe(x) for x in value]
        if isinstance(value, tuple):
            return {"$": "tuple", "v": [self.describe(x) for x in value]}
        return encode(value)

    def unwrap(self, value):
        if isinstance(value, Var):
            return value.value
        if isinstance(value, (list, tuple)):
            return type(value)(self.unwrap(x) for x in value)
        return widened(value) if self.double else value

    def call(self, name, *args, **kwargs):
        label = f"t{len(self.steps) + 1}"
        step = {"o": label, "call": name, "args": [self.describe(a) for a in args]}
        if kwargs:
            step["kwargs"] = {k: self.describe(v) for k, v in kwargs.items()}
        self.steps.append(step)
        values = [self.unwrap(a) for a in args]
        options = {k: self.unwrap(v) for k, v in kwargs.items()}
        if name == "item":
            result = values[0][values[1]]
        elif name == "list":
            result = list(values)
        elif name.startswith("Tensor.") and name[7:] in PROPERTIES:
            result = getattr(values[0], name[7:])
        else:
            result = resolve(name)(*values, **options)
        self.note(result)
        return Var(self, label, result)


def finished(build):
    """The record of a program: `build(double)` runs it in float32 or float64 and returns it with its results."""
    program, results = build(False)
    record = {"id": program.name, "family": "autograd", "inputs": program.inputs, "steps": program.steps, "ret": [v.name for v in results]}
    detached = lambda v: (
        v.detach()
        if isinstance(v, torch.Tensor)
        else type(v)(detached(x) for x in v) if isinstance(v, (list, tuple)) and not isinstance(v, torch.Size) else v
    )
    record["out"] = [encode(detached(v.value), False) for v in results]
    _, again = build(True)
    pairs = [(a, b) for x, y in zip(results, again) for (_, a), (_, b) in zip(tensors_at(x.value, ""), tensors_at(y.value, ""))]
    record["dev"] = max([deviation(a, b) for a, b in pairs] or [0.0])
    half = program.precision == "half"
    if half:
        record["dev"] = max(record["dev"], 2e-3)
    if program.precision == "double":
        record["tolerance"] = 1e-9
    if record["dev"] > (3e-2 if half else 1e-2):
        raise ValueError("float32 and float64 disagree")
    return record


F = "torch.nn.functional."
SMOOTH = {
    **{
        n: lambda p, x, n=n: p.call("torch." + n, x)
        for n in (
            "exp expm1 exp2 sin cos tan asin acos atan sinh cosh tanh asinh atanh sigmoid " "erf erfc erfinv square i0 sinc logit"
        ).split()
    },
    **{n: lambda p, x, n=n: p.call(F + n, x) for n in "gelu silu mish softplus elu selu celu logsigmoid softsign tanhshrink".split()},
    **{n: lambda p, x, n=n: p.call("torch.special." + n, x) for n in "erfcx ndtr log_ndtr i0e i1 i1e entr expit psi gammaln".split()},
    "log": lambda p, x: p.call("torch.log", p.call("torch.add", p.call("torch.square", x), 1)),
    "sqrt": lambda p, x: p.call("torch.sqrt", p.call("torch.add", p.call("torch.square", x), 1)),
    "rsqrt": lambda p, x: p.call("torch.rsqrt", p.call("torch.add", p.call("torch.square", x), 1)),
    "log1p": lambda p, x: p.call("torch.log1p", p.call("torch.square", x)),
    "lgamma": lambda p, x: p.call("torch.lgamma", p.call("torch.add", p.call("torch.square", x), 1)),
    "digamma": lambda p, x: p.call("torch.digamma", p.call("torch.add", p.call("torch.square", x), 1)),
    "polygamma": lambda p, x: p.call("torch.polygamma", 1, p.call("torch.add", p.call("torch.square", x), 1)),
    "pow3": lambda p, x: p.call("torch.pow", x, 3),
    "pow_half": lambda p, x: p.call("torch.pow", p.call("torch.add", p.call("torch.square", x), 1), 0.5),
    "pow_scalar_base": lambda p, x: p.call("torch.pow", 2.0, x),
    "gelu_tanh": lambda p, x: p.call(F + "gelu", x, approximate="tanh"),
    "prod": lambda p, x: p.call("torch.prod", x),
    "prod_dim": lambda p, x: p.call("torch.prod", x, 0),
    "cumsum": lambda p, x: p.call("torch.square", p.call("torch.cumsum", x, 0)),
    "cumprod": lambda p, x: p.call("torch.cumprod", x, 0),
    "logcumsumexp": lambda p, x: p.call("torch.logcumsumexp", x, 0),
    "softmax": lambda p, x: p.call("torch.softmax", x, 0),
    "log_softmax": lambda p, x: p.call("torch.log_softmax", x, 0),
    "logsumexp": lambda p, x: p.call("torch.logsumexp", x, 0),
    "var": lambda p, x: p.call("torch.var", x),
    "std": lambda p, x: p.call("torch.std", x),
    "var_dim": lambda p, x: p.call("torch.var", x, 0, unbiased=False),
    "norm": lambda p, x: p.call("torch.norm", x),
    "norm_p": lambda p, x: p.call("torch.norm", x, 3.0),
    "vector_norm": lambda p, x: p.call("torch.linalg.vector_norm", x, 4.0),
    "atan2": lambda p, x: p.call("torch.atan2", x, p.call("torch.cos", x)),
    "hypot": lambda p, x: p.call("torch.hypot", x, p.call("torch.cos", x)),
    "logaddexp": lambda p, x: p.call("torch.logaddexp", x, p.call("torch.cos", x)),
    "logaddexp2": lambda p, x: p.call("torch.logaddexp2", x, p.call("torch.cos", x)),
    "xlogy": lambda p, x: p.call("torch.xlogy", x, p.call("torch.exp", x)),
    "lerp": lambda p, x: p.call("torch.lerp", x, p.call("torch.square", x), p.call("torch.sin", x)),
    "addcdiv": lambda p, x: p.call("torch.addcdiv", x, p.call("torch.sin", x), p.call("torch.exp", x), value=0.5),
    "addcmul": lambda p, x: p.call("torch.addcmul", x, x, x, value=0.5),
    "div": lambda p, x: p.call("torch.div", p.call("torch.sin", x), p.call("torch.exp", x)),
    "reciprocal": lambda p, x: p.call("torch.reciprocal", p.call("torch.exp", x)),
    "glu": lambda p, x: p.call(F + "glu", x, 0),
    "normalize": lambda p, x: p.call(F + "normalize", x, dim=0),
    "flip": lambda p, x: p.call("torch.mul", p.call("torch.flip", x, [0]), p.call("torch.exp", x)),
    "roll": lambda p, x: p.call("torch.mul", p.call("torch.roll", x, 1, 0), p.call("torch.exp", x)),
    "diff": lambda p, x: p.call("torch.square", p.call("torch.diff", x)),
}
WITH_WEIGHTS = {
    "matmul": ((3, 4), (4, 2), lambda p, x, y: p.call("torch.matmul", x, y)),
    "bmm": ((2, 3, 4), (2, 4, 2), lambda p, x, y: p.call("torch.bmm", x, y)),
    "mv": ((3, 4), (4,), lambda p, x, y: p.call("torch.mv", x, y)),
    "dot": ((4,), (4,), lambda p, x, y: p.call("torch.dot", x, y)),
    "outer": ((3,), (4,), lambda p, x, y: p.call("torch.outer", x, y)),
    "linear": ((3, 4), (2, 4), lambda p, x, y: p.call(F + "linear", x, y)),
    "conv1d": ((2, 3, 6), (4, 3, 2), lambda p, x, y: p.call(F + "conv1d", x, y, None, 2, 1)),
    "conv2d": ((2, 2, 5, 4), (3, 2, 2, 2), lambda p, x, y: p.call(F + "conv2d", x, y, None, 1, 1, 2)),
    "conv3d": ((1, 2, 3, 4, 3), (2, 2, 2, 2, 2), lambda p, x, y: p.call(F + "conv3d", x, y)),
    "conv2d_groups": ((2, 4, 4, 4), (4, 2, 2, 2), lambda p, x, y: p.call(F + "conv2d", x, y, None, 1, 0, 1, 2)),
    "conv_transpose1d": ((2, 3, 4), (3, 2, 3), lambda p, x, y: p.call(F + "conv_transpose1d", x, y, None, 2)),
    "conv_transpose2d": ((2, 3, 3, 4), (3, 2, 2, 2), lambda p, x, y: p.call(F + "conv_transpose2d", x, y, None, 2, 1)),
    "bilinear_form": ((3, 3), (3, 3), lambda p, x, y: p.call("torch.linalg.multi_dot", [x, y, x])),
    "einsum": ((2, 3, 4), (4, 3), lambda p, x, y: p.call("torch.einsum", "bij,ji->b", x, y)),
    "solve": ((3, 3), (3, 2), lambda p, x, y: p.call("torch.linalg.solve", p.call("torch.add", x, torch.eye(3) * 4), y)),
    "inv": (
        (3, 3),
        (3, 3),
        lambda p, x, y: p.call("torch.matmul", p.call("torch.linalg.inv", p.call("torch.add", x, torch.eye(3) * 4)), y),
    ),
    "det": ((3, 3), (3, 3), lambda p, x, y: p.call("torch.linalg.det", p.call("torch.matmul", x, y))),
    "slogdet": (
        (3, 3),
        (3, 3),
        lambda p, x, y: p.call("item", p.call("torch.linalg.slogdet", p.call("torch.add", p.call("torch.mul", x, y), torch.eye(3) * 5)), 1),
    ),
    "cholesky": (
        (3, 3),
        (3, 3),
        lambda p, x, y: p.call(
            "torch.mul",
            p.call("torch.linalg.cholesky", p.call("torch.add", p.call("torch.matmul", x, p.call("torch.t", x)), torch.eye(3) * 3)),
            y,
        ),
    ),
    "matrix_exp": ((3, 3), (3, 3), lambda p, x, y: p.call("torch.mul", p.call("torch.matrix_exp", x), y)),
    "kron": ((2, 2), (2, 3), lambda p, x, y: p.call("torch.kron", x, y)),
    "cross": ((2, 3), (2, 3), lambda p, x, y: p.call("torch.cross", x, y, 1)),
    "layer_norm": ((3, 4), (4,), lambda p, x, y: p.call(F + "layer_norm", x, [4], y)),
    "group_norm": ((2, 4, 3), (4,), lambda p, x, y: p.call(F + "group_norm", x, 2, y)),
    "instance_norm": ((2, 3, 5), (3,), lambda p, x, y: p.call(F + "instance_norm", x, None, None, y)),
    "batch_norm": ((5, 3), (3,), lambda p, x, y: p.call(F + "batch_norm", x, None, None, y, None, True)),
    "prelu": ((3, 4), (4,), lambda p, x, y: p.call("torch.square", p.call(F + "prelu", x, y))),
    "cosine_similarity": ((3, 4), (3, 4), lambda p, x, y: p.call(F + "cosine_similarity", x, y)),
    "cdist": ((3, 4), (2, 4), lambda p, x, y: p.call("torch.cdist", x, y)),
    "pairwise_distance": ((3, 4), (3, 4), lambda p, x, y: p.call(F + "pairwise_distance", x, y)),
    "mse_loss": ((3, 4), (3, 4), lambda p, x, y: p.call(F + "mse_loss", x, y)),
    "smooth_l1": ((3, 4), (3, 4), lambda p, x, y: p.call(F + "smooth_l1_loss", x, y)),
    "huber": ((3, 4), (3, 4), lambda p, x, y: p.call(F + "huber_loss", x, y, delta=0.7)),
    "bce_logits": ((3, 4), (3, 4), lambda p, x, y: p.call(F + "binary_cross_entropy_with_logits", x, p.call("torch.sigmoid", y))),
    "kl_div": (
        (3, 4),
        (3, 4),
        lambda p, x, y: p.call(F + "kl_div", p.call("torch.log_softmax", x, 1), p.call("torch.softmax", y, 1), reduction="sum"),
    ),
    "cross_entropy_soft": ((3, 4), (3, 4), lambda p, x, y: p.call(F + "cross_entropy", x, p.call("torch.softmax", y, 1))),
    "poisson_nll": ((3, 4), (3, 4), lambda p, x, y: p.call(F + "poisson_nll_loss", x, y)),
    "gaussian_nll": ((3, 4), (3, 4), lambda p, x, y: p.call(F + "gaussian_nll_loss", x, torch.zeros(3, 4), p.call("torch.exp", y))),
    "soft_margin": ((3, 4), (3, 4), lambda p, x, y: p.call(F + "soft_margin_loss", p.call("torch.mul", x, y), torch.ones(3, 4))),
    "triplet": ((3, 4), (3, 4), lambda p, x, y: p.call(F + "triplet_margin_loss", x, y, p.call("torch.neg", x), margin=5.0)),
    "grid_sample": (
        (1, 2, 4, 4),
        (1, 3, 3, 2),
        lambda p, x, y: p.call(F + "grid_sample", x, p.call("torch.mul", p.call("torch.tanh", y), 0.7), align_corners=True),
    ),
    "interpolate": (
        (1, 2, 3, 4),
        (1, 2, 5, 5),
        lambda p, x, y: p.call("torch.mul", p.call(F + "interpolate", x, size=(5, 5), mode="bicubic"), y),
    ),
    "avg_pool": (
        (1, 2, 4, 4),
        (1, 2, 2, 2),
        lambda p, x, y: p.call("torch.mul", p.call("torch.square", p.call(F + "avg_pool2d", x, 2)), y),
    ),
    "max_pool": (
        (1, 2, 4, 4),
        (1, 2, 2, 2),
        lambda p, x, y: p.call("torch.mul", p.call("torch.square", p.call(F + "max_pool2d", x, 2)), y),
    ),
    "adaptive_max_pool": (
        (1, 2, 5),
        (1, 2, 2),
        lambda p, x, y: p.call("torch.mul", p.call("torch.square", p.call(F + "adaptive_max_pool1d", x, 2)), y),
    ),
    "lp_pool": ((1, 2, 6), (1, 2, 3), lambda p, x, y: p.call("torch.mul", p.call(F + "lp_pool1d", p.call("torch.exp", x), 3.0, 2), y)),
    "fold": ((1, 8, 4), (1, 2, 3, 3), lambda p, x, y: p.call("torch.mul", p.call("torch.square", p.call(F + "fold", x, (3, 3), 2)), y)),
    "unfold": ((1, 2, 3, 3), (1, 8, 4), lambda p, x, y: p.call("torch.mul", p.call("torch.square", p.call(F + "unfold", x, 2)), y)),
    "pad": (
        (2, 3, 4),
        (2, 3, 7),
        lambda p, x, y: p.call("torch.mul", p.call("torch.square", p.call(F + "pad", x, [1, 2], mode="reflect")), y),
    ),
    "attention": (
        (2, 3, 4),
        (2, 3, 4),
        lambda p, x, y: p.call(
            "torch.matmul", p.call("torch.softmax", p.call("torch.matmul", x, p.call("torch.transpose", y, 1, 2)), -1), y
        ),
    ),
    "gather": (
        (3, 4),
        (3, 2),
        lambda p, x, y: p.call(
            "torch.mul", p.call("torch.square", p.call("torch.gather", x, 1, torch.tensor([[0, 1], [3, 3], [2, 0]]))), y
        ),
    ),
    "scatter_add": (
        (3, 4),
        (3, 2),
        lambda p, x, y: p.call("torch.square", p.call("torch.scatter_add", x, 1, torch.tensor([[0, 1], [3, 3], [2, 0]]), y)),
    ),
    "index_add": ((3, 4), (2, 4), lambda p, x, y: p.call("torch.square", p.call("torch.index_add", x, 0, torch.tensor([2, 2]), y))),
    "index_select": (
        (3, 4),
        (2, 4),
        lambda p, x, y: p.call("torch.mul", p.call("torch.square", p.call("torch.index_select", x, 0, torch.tensor([2, 2]))), y),
    ),
    "where": (
        (3, 4),
        (3, 4),
        lambda p, x, y: p.call("torch.where", p.call("torch.gt", x, 0), p.call("torch.square", x), p.call("torch.mul", x, y)),
    ),
    "stack": ((3,), (3,), lambda p, x, y: p.call("torch.prod", p.call("torch.stack", [x, y, x]), 0)),
    "cat": ((3,), (4,), lambda p, x, y: p.call("torch.cumprod", p.call("torch.cat", [x, y, x]), 0)),
    "tril": ((3, 3), (3, 3), lambda p, x, y: p.call("torch.matmul", p.call("torch.tril", x), y)),
    "renorm": ((3, 4), (3, 4), lambda p, x, y: p.call("torch.mul", p.call("torch.renorm", x, 2, 0, 0.7), y)),
    "masked_fill": (
        (3, 4),
        (3, 4),
        lambda p, x, y: p.call(
            "torch.mul", p.call("torch.square", p.call("torch.masked_fill", x, torch.tensor([True, False, True, False]), 0.5)), y
        ),
    ),
    "sort": ((5,), (5,), lambda p, x, y: p.call("torch.mul", p.call("torch.square", p.call("item", p.call("torch.sort", x), 0)), y)),
    "topk": ((5,), (2,), lambda p, x, y: p.call("torch.mul", p.call("torch.square", p.call("item", p.call("torch.topk", x, 2), 0)), y)),
    "amax": ((3, 4), (3,), lambda p, x, y: p.call("torch.mul", p.call("torch.square", p.call("torch.amax", x, 1)), y)),
    "fft": ((6,), (4,), lambda p, x, y: p.call("torch.mul", p.call("torch.square", p.call("torch.abs", p.call("torch.fft.rfft", x))), y)),
    "irfft": ((4,), (6,), lambda p, x, y: p.call("torch.mul", p.call("torch.square", p.call("torch.fft.irfft", x)), y)),
    "eigh": (
        (3, 3),
        (3,),
        lambda p, x, y: p.call("torch.mul", p.call("torch.linalg.eigvalsh", p.call("torch.add", x, p.call("torch.t", x))), y),
    ),
    "svdvals": ((3, 2), (2,), lambda p, x, y: p.call("torch.mul", p.call("torch.linalg.svdvals", x), y)),
    "pinv": ((3, 2), (2, 3), lambda p, x, y: p.call("torch.mul", p.call("torch.linalg.pinv", x), y)),
    "embedding": (
        (5, 3),
        (3, 3),
        lambda p, x, y: p.call("torch.mul", p.call("torch.square", p.call(F + "embedding", torch.tensor([1, 1, 4]), x)), y),
    ),
    "trapezoid": ((5,), (5,), lambda p, x, y: p.call("torch.square", p.call("torch.trapezoid", x, y))),
    "quantile": ((5,), (1,), lambda p, x, y: p.call("torch.mul", p.call("torch.square", p.call("torch.quantile", x, 0.4)), y)),
    "logdet": (
        (3, 3),
        (1,),
        lambda p, x, y: p.call(
            "torch.mul", p.call("torch.logdet", p.call("torch.add", p.call("torch.matmul", x, p.call("torch.t", x)), torch.eye(3))), y
        ),
    ),
    "triangular": (
        (3, 3),
        (3, 2),
        lambda p, x, y: p.call("torch.linalg.solve_triangular", p.call("torch.add", x, torch.eye(3) * 3), y, upper=True),
    ),
}


def third_order(name, fn):
    def build(double):
        x = (rounded(4) * 0.6).clamp(-0.85, 0.85)
        if name in ("logit", "entr", "psi", "gammaln"):
            x = x.abs() * 0.5 + 0.2
        build.x = getattr(build, "x", x)
        p = Program(f"third_order/{name}", double, x=build.x.requires_grad_())
        y = fn(p, p.vars["x"])
        results = [y]
        for _ in range(3 if name not in THIN else 2):
            scalar = p.call("torch.sum", y)
            y = p.call("item", p.call("torch.autograd.grad", scalar, p.vars["x"], create_graph=True), 0)
            results.append(y)
        return p, results

    return build


THIN = {"var", "norm", "std"}


def double_backward(name, shapes, fn):
    def build(double):
        if not hasattr(build, "data"):
            build.data = [
                rounded(*shapes[0]).requires_grad_(),
                rounded(*shapes[1]).requires_grad_(),
                rounded(*shapes[0]),
                rounded(*shapes[1]),
            ]
        x, y, v, w = build.data
        p = Program(f"double_backward/{name}", double, x=x, y=y, v=v, w=w)
        X, Y = p.vars["x"], p.vars["y"]
        out = fn(p, X, Y)
        total = p.call("torch.sum", p.call("torch.pow", out, 3))
        first = p.call("torch.autograd.grad", total, [X, Y], create_graph=True)
        gx, gy = p.call("item", first, 0), p.call("item", first, 1)
        second = p.call(
            "torch.add",
            p.call("torch.sum", p.call("torch.mul", gx, p.vars["v"])),
            p.call("torch.sum", p.call("torch.mul", gy, p.vars["w"])),
        )
        last = p.call("torch.autograd.grad", second, [X, Y], allow_unused=True, retain_graph=True)
        return p, [total, gx, gy, last]

    return build


def forward_mode(name, shapes, fn):
    def build(double):
        if not hasattr(build, "data"):
            build.data = [rounded(*s) for s in (*shapes, *shapes)]
        x, y, v, w = build.data
        p = Program(f"forward_ad/{name}", double, x=x, y=y, v=v, w=w)
        p.call("torch.autograd.forward_ad.enter_dual_level")
        try:
            a = p.call("torch.autograd.forward_ad.make_dual", p.vars["x"], p.vars["v"])
            b = p.call("torch.autograd.forward_ad.make_dual", p.vars["y"], p.vars["w"])
            both = p.call("torch.autograd.forward_ad.unpack_dual", fn(p, a, b))
            results = [p.call("Tensor.clone", p.call("item", both, i)) for i in (0, 1)]
        finally:
            p.call("torch.autograd.forward_ad.exit_dual_level")
        return p, results

    return build


IN_PLACE = {
    "select_mul": lambda p, t: p.call("Tensor.mul_", p.call("torch.select", t, 0, 1), 3.0),
    "narrow_exp": lambda p, t: p.call("Tensor.exp_", p.call("torch.narrow", t, 1, 1, 2)),
    "transpose_select": lambda p, t: p.call("Tensor.sin_", p.call("torch.select", p.call("Tensor.t", t), 0, 2)),
    "diagonal": lambda p, t: p.call("Tensor.add_", p.call("torch.diagonal", t), 5.0),
    "unsqueeze": lambda p, t: p.call("Tensor.tanh_", p.call("torch.unsqueeze", t, 0)),
    "view": lambda p, t: p.call("Tensor.sigmoid_", p.call("Tensor.view", t, -1)),
    "chunk": lambda p, t: p.call("Tensor.zero_", p.call("item", p.call("torch.chunk", t, 2, 1), 0)),
    "flatten_narrow": lambda p, t: p.call("Tensor.square_", p.call("torch.narrow", p.call("torch.flatten", t), 0, 2, 5)),
    "permute": lambda p, t: p.call("Tensor.mul_", p.call("Tensor.permute", t, [1, 0]), 2.0),
    "getitem": lambda p, t: p.call("Tensor.mul_", p.call("Tensor.__getitem__", t, (slice(None), slice(1, None, 2))), 4.0),
    "setitem": lambda p, t: p.call("Tensor.__setitem__", t, (slice(0, 2), 1), 0.5),
    "setitem_tensor": lambda p, t: p.call("Tensor.__setitem__", t, 0, p.call("torch.square", p.vars["y"])),
    "setitem_index": lambda p, t: p.call("Tensor.__setitem__", t, (torch.tensor([0, 2]),), 1.5),
    "setitem_mask": lambda p, t: p.call("Tensor.__setitem__", t, (torch.tensor([[True, False, True, False]] * 3),), 1.5),
    "copy": lambda p, t: p.call("Tensor.copy_", p.call("torch.select", t, 1, 0), torch.tensor([1.0, 2.0, 3.0])),
    "masked_fill": lambda p, t: p.call("Tensor.masked_fill_", t, torch.tensor([True, False, True, False]), 2.0),
    "index_add": lambda p, t: p.call("Tensor.index_add_", t, 0, torch.tensor([1]), p.call("torch.unsqueeze", p.vars["y"], 0)),
    "addcmul": lambda p, t: p.call("Tensor.addcmul_", t, p.vars["y"], p.vars["y"]),
    "clamp": lambda p, t: p.call("Tensor.clamp_", t, min=-0.5, max=0.5),
    "relu": lambda p, t: p.call("torch.relu_", t),
    "cumsum": lambda p, t: p.call("Tensor.cumsum_", t, 1),
    "fill": lambda p, t: p.call("Tensor.fill_", p.call("torch.select", t, 0, 0), 3.0),
    "triu": lambda p, t: p.call("Tensor.triu_", t),
    "split": lambda p, t: p.call("Tensor.exp_", p.call("item", p.call("torch.split", t, 2, 0), 0)),
    "unbind": lambda p, t: p.call("torch.mul", p.call("item", p.call("torch.unbind", t, 1), 3), 2.0),
    "div": lambda p, t: p.call("Tensor.div_", t, p.vars["y"]),
    "pow": lambda p, t: p.call("Tensor.pow_", t, 2),
    "scatter": lambda p, t: p.call("Tensor.scatter_", t, 1, torch.tensor([[0], [1], [2]]), 1.5),
    "lerp": lambda p, t: p.call("Tensor.lerp_", t, p.vars["y"], 0.3),
    "squeeze": lambda p, t: p.call("Tensor.mul_", p.call("torch.squeeze", p.call("torch.narrow", t, 0, 0, 1)), p.vars["y"]),
}


def in_place(name, write):
    def build(double):
        if not hasattr(build, "data"):
            build.data = [rounded(3, 4).requires_grad_(), (rounded(4).abs() + 0.3).requires_grad_()]
        p = Program(f"inplace/{name}", double, x=build.data[0], y=build.data[1])
        t = p.call("torch.mul", p.vars["x"], 2)
        write(p, t)
        loss = p.call("torch.sum", p.call("torch.mul", p.call("torch.square", t), p.vars["y"]))
        p.call("Tensor.backward", loss)
        return p, [t, p.call("Tensor.grad", p.vars["x"]), p.call("Tensor.grad", p.vars["y"])]

    return build


KINKS = (
    "relu abs sign sgn relu6 hardtanh hardswish hardsigmoid leaky_relu elu selu celu softshrink hardshrink "
    "threshold clamp_min clamp_max clip0 maximum minimum fmax fmin max min amax amin norm sqrt pow2 pow1 pow0 "
    "pow_half dist1 dist2 std var prod cumprod median cummax cummin logcumsumexp xlogy hypot atan2 asin acos "
    "sinc logit erfinv logsigmoid max_pool l1 smooth_l1 huber hinge normalize cdist renorm trunc round floor "
    "fmod remainder frac deg2rad copysign kthvalue mode aminmax sort msort logaddexp nan_to_num"
).split()


def kink(name):
    values = {"asin": [1.0, -1, 0, 0.5], "acos": [1.0, -1, 0, 0.5], "logit": [0.0, 1, 0.5, 0.2], "erfinv": [1.0, -1, 0, 0.5]}.get(
        name, [0.0, 1, 0, -1, 6, -0.5, 3, -3, 1, 0.5]
    )

    def evaluate(p, x):
        T = torch.tensor(values)
        ops = {
            "relu6": (F + "relu6",),
            "threshold": (F + "threshold", 0.0, 2.0),
            "clamp_min": ("torch.clamp_min", 0.0),
            "clamp_max": ("torch.clamp_max", 1.0),
            "clip0": ("torch.clip", -1.0, 1.0),
            "maximum": ("torch.maximum", T * 1),
            "minimum": ("torch.minimum", T.flip(0)),
            "fmax": ("torch.fmax", T * 1),
            "fmin": ("torch.fmin", T * 1),
            "pow2": ("torch.pow", 2),
            "pow1": ("torch.pow", 1),
            "pow0": ("torch.pow", 0),
            "pow_half": ("torch.pow", 0.5),
            "dist1": ("torch.dist", T * 1, 1.0),
            "dist2": ("torch.dist", T * 1, 2.0),
            "cumprod": ("torch.cumprod", 0),
            "cummax": ("torch.cummax", 0),
            "cummin": ("torch.cummin", 0),
            "logcumsumexp": ("torch.logcumsumexp", 0),
            "xlogy": ("torch.xlogy", T.abs()),
            "hypot": ("torch.hypot", T * 1),
            "atan2": ("torch.atan2", T * 1),
            "l1": (F + "l1_loss", T * 1),
            "smooth_l1": (F + "smooth_l1_loss", T - 1),
            "huber": (F + "huber_loss", T + 1),
            "hinge": (F + "hinge_embedding_loss", torch.where(T > 0, 1.0, -1.0)),
            "fmod": ("torch.fmod", 1.0),
            "remainder": ("torch.remainder", 1.0),
            "copysign": ("torch.copysign", -T),
            "kthvalue": ("torch.kthvalue", 2),
            "sort": ("torch.sort",),
            "aminmax": ("torch.aminmax",),
            "logaddexp": ("torch.logaddexp", T * 1),
        }
        if name == "normalize":
            return p.call(F + "normalize", p.call("torch.mul", x, 0.0), dim=0)
        if name == "max_pool":
            return p.call(F + "max_pool1d", p.call("torch.reshape", x, [1, 1, -1]), 2)
        if name == "cdist":
            return p.call("torch.cdist", p.call("torch.reshape", x, [-1, 1]), p.call("torch.reshape", x, [-1, 1]))
        if name == "renorm":
            return p.call("torch.renorm", p.call("torch.reshape", x, [-1, 1]), 2, 0, 1.0)
        call, *args = ops.get(name, (("torch." if hasattr(torch, name) else F) + name,))
        return p.call(call, x, *args)

    def build(double):
        p = Program(f"kink/{name}", double, x=torch.tensor(values, requires_grad=True))
        y = evaluate(p, p.vars["x"])
        if isinstance(y.value, tuple):
            y = p.call("item", y, 0)
        p.call("Tensor.backward", p.call("torch.sum", y))
        return p, [y, p.call("Tensor.grad", p.vars["x"])]

    return build


def program_records(log=print):
    builds = [third_order(n, fn) for n, fn in SMOOTH.items()]
    builds += [double_backward(n, (a, b), fn) for n, (a, b, fn) in WITH_WEIGHTS.items()]
    builds += [forward_mode(n, (a, b), fn) for n, (a, b, fn) in WITH_WEIGHTS.items()]
    builds += [in_place(n, w) for n, w in IN_PLACE.items()] + [kink(n) for n in KINKS]
    for build in builds:
        try:
            yield finished(build)
        except Exception as error:
            log(
                f"{build.__closure__ and [c.cell_contents for c in build.__closure__ if isinstance(c.cell_contents, str)]}: {error!r}"[:200]
            )
            while torch.autograd.forward_ad._current_level >= 0:
                torch.autograd.forward_ad.exit_dual_level()
