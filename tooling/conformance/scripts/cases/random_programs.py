"""`autograd/programs` made by chance: chains of operations, views, writes into them and gradients, as no hand would write them.

What a program does follows from its number alone, so that it can be made again. Programs whose float32 and float64 answers differ, or whose
numbers grow large, are left out.
"""

import random

import torch

from encoding import Unencodable
from programs import F, Program, finished, rounded

MOST_ELEMENTS = 3000
SIZES = [1, 1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 20, 33]

UNARY = (
    "sin cos tanh sigmoid exp abs neg square sign floor round frac erf atan asinh expm1 relu trunc sgn positive "
    "deg2rad rad2deg sinc"
).split()
NON_NEGATIVE = "sqrt log1p rsqrt reciprocal log log2 digamma lgamma".split()
FUNCTIONAL = "gelu silu softplus elu leaky_relu hardtanh hardswish logsigmoid mish softsign tanhshrink selu relu6".split()
BINARY = "add sub mul maximum minimum atan2 hypot fmax logaddexp".split()
COMPARE = "gt lt ge le ne eq".split()
REDUCE = "sum mean amax amin logsumexp".split()
PER_ROW = "cumsum softmax log_softmax".split()


class Maker:
    """Draws the steps of one program. Choices depend on shapes and dtypes, never on values."""

    def __init__(self, seed, double):
        self.random = random.Random(seed)
        r = self.random
        torch.manual_seed(seed)
        inputs = {}
        for i in range(r.choice([2, 3])):
            inputs[f"x{i}"] = rounded(*self.shape(200)).requires_grad_()
        self.p = Program(f"random/{seed}", double, **inputs)
        self.leaves = [self.p.vars[name] for name in inputs]
        self.pool = list(self.leaves)
        if r.random() < 0.4:
            self.large()

    def shape(self, most):
        r = self.random
        while True:
            shape = [r.choice(SIZES) for _ in range(r.choice([1, 2, 2, 3, 3, 4]))]
            if torch.Size(shape).numel() <= most:
                return shape

    def call(self, name, *args, **kwargs):
        return self.p.call(name, *args, **kwargs)

    def large(self):
        """A tensor of many elements that takes no room in the file."""
        shape = self.shape(20 * MOST_ELEMENTS)
        n = torch.Size(shape).numel()
        t = self.call("torch.sin", self.call("torch.mul", self.call("torch.arange", 0.0, float(n)), 0.37))
        self.pool.append(self.call("torch.reshape", t, shape))

    def pick(self, rank=0):
        fitting = [v for v in self.pool if v.value.dim() >= rank]
        # What was made lately is more likely.
        return fitting[-1 - min(len(fitting) - 1, int(self.random.expovariate(0.4)))] if fitting else None

    def dim(self, v):
        d = self.random.randrange(v.value.dim())
        return d - v.value.dim() if self.random.random() < 0.3 else d

    def partner(self, v):
        """Something that broadcasts with `v`."""
        fitting = []
        for w in self.pool:
            try:
                shape = torch.broadcast_shapes(v.value.shape, w.value.shape)
            except RuntimeError:
                continue
            if shape.numel() <= 20 * MOST_ELEMENTS:
                fitting.append(w)
        return self.random.choice(fitting)

    def places(self, v, d):
        """A permutation along a dimension that is the same everywhere, equal numbers or not."""
        return self.call("item", self.call("torch.sort", v, stable=True, dim=d), 1)

    # Each of these makes one new value, or None where the shapes do not allow it.

    def unary(self):
        name = self.random.choice(UNARY)
        v = self.pick()
        return self.call("torch." + name, self.call("torch.clamp", v, -4, 4) if name in ("exp", "expm1") else v)

    def non_negative(self):
        v = self.call("torch.add", self.call("torch.square", self.pick()), self.random.choice([0.5, 1.0, 1]))
        return self.call("torch." + self.random.choice(NON_NEGATIVE), v)

    def functional(self):
        return self.call(F + self.random.choice(FUNCTIONAL), self.pick())

    def binary(self):
        v = self.pick()
        return self.call("torch." + self.random.choice(BINARY), v, self.partner(v))

    def scalar(self):
        r = self.random
        name = r.choice(["add", "sub", "mul", "div", "rsub", "clamp_min", "clamp_max", "pow"])
        value = 2 if name == "pow" else r.choice([2, -1, 0.5, 3.0, 1.25])
        return self.call("torch." + name, self.pick(), value)

    def divide(self):
        v = self.pick()
        w = self.partner(v)
        return self.call("torch.div", v, self.call("torch.add", self.call("torch.square", w), 1))

    def choose(self):
        v = self.pick()
        w = self.partner(v)
        return self.call("torch.where", self.call("torch." + self.random.choice(COMPARE), v, w), v, w)

    def mask(self):
        v = self.pick()
        condition = self.call("torch.gt", self.call("torch.sin", self.partner(v)), 0.2)
        if torch.broadcast_shapes(v.value.shape, condition.value.shape) != v.value.shape:
            return None
        return self.call("torch.masked_fill", v, condition, 0.75)

    def as_numbers(self):
        v = self.pick()
        truth = self.call("torch." + self.random.choice(COMPARE), v, self.partner(v))
        kind = self.random.choice(["float", "int", "long"])
        number = self.call("Tensor." + kind, truth)
        return number if kind == "float" else self.call("torch.mul", number, self.random.choice([1.5, 0.25]))

    def reduce(self):
        v = self.pick(1)
        if v is None:
            return None
        r = self.random
        dims = sorted(r.sample(range(v.value.dim()), r.randint(1, v.value.dim())))
        name = r.choice(REDUCE)
        return self.call("torch." + name, v, dims, keepdim=r.random() < 0.5)

    def spread(self):
        v = self.pick(1)
        if v is None:
            return None
        d = self.dim(v)
        if v.value.shape[d] < 2:
            return None
        return self.call(
            "torch." + self.random.choice(["var", "std"]), v, [d], unbiased=self.random.random() < 0.5, keepdim=True
        )

    def product(self):
        v = self.pick(1)
        return None if v is None else self.call("torch.prod", self.call("torch.tanh", v), self.dim(v))

    def per_row(self):
        v = self.pick(1)
        return None if v is None else self.call("torch." + self.random.choice(PER_ROW), v, self.dim(v))

    def extreme(self):
        v = self.pick(1)
        if v is None:
            return None
        pair = self.call("torch." + self.random.choice(["max", "min", "cummax", "sort", "median"]), v, self.dim(v))
        return self.call("item", pair, 0)

    def order(self):
        v = self.pick(1)
        if v is None:
            return None
        r, d = self.random, self.dim(v)
        return self.call("item", self.call("torch.topk", v, r.randint(1, v.value.shape[d]), d), 0)

    def gathered(self):
        v = self.pick(1)
        if v is None:
            return None
        d = self.dim(v)
        return self.call("torch.gather", v, d, self.places(v, d))

    def view(self):
        v = self.pick(1)
        if v is None:
            return None
        r, d, n = self.random, self.dim(v), v.value.dim()
        size = v.value.shape[d]
        kind = r.choice("transpose permute narrow slice select unsqueeze squeeze flatten reshape expand diagonal unfold flip chunk movedim unflatten".split())
        if kind == "transpose":
            return self.call("torch.transpose", v, d, self.dim(v))
        if kind == "permute":
            return self.call("torch.permute", v, r.sample(range(n), n))
        if kind == "narrow":
            start = r.randrange(size)
            return self.call("torch.narrow", v, d, start, r.randint(1, size - start))
        if kind == "slice":
            step = r.choice([1, 2, 3])
            return self.call("Tensor.__getitem__", v, (Ellipsis, slice(r.randrange(v.value.shape[-1]), None, step)))
        if kind == "select":
            return self.call("torch.select", v, d, r.randrange(size)) if n > 1 else None
        if kind == "unsqueeze":
            return self.call("torch.unsqueeze", v, r.randint(0, n)) if n < 4 else None
        if kind == "squeeze":
            return self.call("torch.squeeze", v)
        if kind == "flatten":
            start = r.randrange(n)
            return self.call("torch.flatten", v, start, r.randint(start, n - 1))
        if kind == "reshape":
            return self.call("torch.reshape", v, r.choice([[-1], [1, -1], [-1, 1], list(reversed(v.value.shape))]))
        if kind == "expand":
            w = self.call("torch.unsqueeze", v, 0)
            count = r.choice([2, 3])
            return self.call("Tensor.expand", w, [count] + [-1] * n) if n < 4 and count * v.value.numel() <= MOST_ELEMENTS else None
        if kind == "diagonal":
            return self.call("torch.diagonal", v, r.choice([0, 1, -1]), 0, 1) if n > 1 and min(v.value.shape[:2]) > 1 else None
        if kind == "unfold":
            width = r.randint(1, size)
            return self.call("Tensor.unfold", v, d, width, r.choice([1, 2])) if n < 4 and width * v.value.numel() <= MOST_ELEMENTS else None
        if kind == "flip":
            return self.call("torch.flip", v, r.sample(range(n), r.randint(1, n)))
        if kind == "chunk":
            return self.call("item", self.call("torch.chunk", v, 2, d), 0)
        if kind == "movedim":
            return self.call("torch.movedim", v, d, r.randrange(n))
        return self.call("torch.unflatten", v, d, [2, size // 2]) if size % 2 == 0 and n < 4 and hasattr(torch, "unflatten") else None

    def index(self):
        v = self.pick(1)
        if v is None:
            return None
        r, d = self.random, self.dim(v)
        size = v.value.shape[d]
        places = torch.tensor([r.randrange(size) for _ in range(r.randint(1, 6))])
        kind = r.choice(["index_select", "index_add", "index_copy", "roll", "advanced", "index_fill"])
        if kind == "index_select":
            return self.call("torch.index_select", v, d, places)
        if kind == "roll":
            return self.call("torch.roll", v, r.randint(-3, 3), d)
        if kind == "index_fill":
            return self.call("torch.index_fill", v, d, places, 0.5)
        if kind == "advanced":
            return self.call("Tensor.__getitem__", v, (places, Ellipsis)) if places.max() < v.value.shape[0] else None
        if kind == "index_copy":
            places = torch.tensor(r.sample(range(size), r.randint(1, size)))
        return self.call("torch." + kind, v, d, places, self.call("torch.index_select", self.call("torch.cos", v), d, places))

    def scatter(self):
        v = self.pick(1)
        if v is None or v.value.dim() > 3:
            return None
        d = self.dim(v)
        places = self.places(self.call("torch.sin", v), d)
        return self.call("torch." + self.random.choice(["scatter_add", "scatter"]), v, d, places, self.call("torch.cos", v))

    def joined(self):
        v = self.pick(1)
        if v is None or v.value.numel() > MOST_ELEMENTS:
            return None
        d = self.dim(v)
        parts = [v, self.call("torch.sin", v)] + [w for w in self.pool if w.value.shape == v.value.shape][:1]
        self.random.shuffle(parts)
        return self.call("torch." + self.random.choice(["cat", "stack"]), parts, d) if v.value.dim() < 4 else None

    def padded(self):
        v = self.pick(1)
        if v is None:
            return None
        r = self.random
        return self.call(F + "pad", v, [r.choice([-1, 0, 1, 2]) if v.value.shape[-1] > 2 else 1, r.choice([0, 1, 3])], value=0.3)

    def triangle(self):
        v = self.pick(2)
        return None if v is None else self.call("torch." + self.random.choice(["tril", "triu"]), v, self.random.choice([-1, 0, 1]))

    def repeated(self):
        v = self.pick(1)
        if v is None or v.value.numel() > MOST_ELEMENTS // 4:
            return None
        if self.random.random() < 0.5:
            return self.call("torch.repeat_interleave", v, 2, self.dim(v))
        return self.call("Tensor.repeat", v, [self.random.choice([1, 2]) for _ in v.value.shape])

    def matmul(self):
        v = self.pick(2)
        if v is None:
            return None
        v = self.call("torch.tanh", v)
        turned = self.call("torch.transpose", v, -1, -2)
        pairs = [(v, turned), (turned, v)]
        pairs += [(v, w) for w in self.pool if w.value.dim() == 2 and w.value.shape[0] == v.value.shape[-1]]
        pairs += [(v, self.call("torch.select", turned, -1, 0))] if v.value.dim() == 2 else []
        a, b = self.random.choice(pairs)
        if a.value.numel() * max(1, b.value.shape[-1]) > 4e6:
            return None
        c = self.call("torch.matmul", a, b)
        return self.call("torch.div", c, float(v.value.shape[-1]))

    def convolved(self):
        v = self.pick(3)
        if v is None or v.value.dim() != 3:
            return None
        r = self.random
        n, c, length = v.value.shape
        width = r.choice([1, 2, 3])
        if length < width or n * c > 300:
            return None
        weight = torch.sin(torch.arange(4.0 * c * width)).mul(1e4).round().div(1e4).reshape(4, c, width)
        kind = r.choice(["conv1d", "avg_pool1d", "max_pool1d"])
        if kind == "conv1d":
            return self.call(F + "conv1d", v, weight, None, r.choice([1, 2]), r.choice([0, 1]))
        return self.call(F + kind, v, width, r.choice([1, 2]))

    def pictured(self):
        v = self.pick(3)
        if v is None or min(v.value.shape[-2:]) < 3 or v.value.numel() > MOST_ELEMENTS:
            return None
        r = self.random
        image = self.call("torch.reshape", v, [-1, v.value.shape[-3], *v.value.shape[-2:]])
        c = image.value.shape[1]
        kind = r.choice(["conv2d", "conv2d", "avg_pool2d", "max_pool2d", "conv_transpose2d", "interpolate", "unfold", "batch_norm"])
        if kind in ("conv2d", "conv_transpose2d"):
            if c > 20:
                return None
            size = r.choice([1, 2, 3])
            shape = (5, c, size, size) if kind == "conv2d" else (c, 5, size, size)
            weight = torch.sin(torch.arange(5.0 * c * size * size)).mul(1e4).round().div(1e4).reshape(shape)
            return self.call(F + kind, image, weight, None, r.choice([1, 2]), r.choice([0, 1]) if size > 1 else 0)
        if kind == "interpolate":
            return self.call(F + kind, image, scale_factor=2.0, mode="nearest")
        if kind == "unfold":
            return self.call(F + kind, image, r.choice([2, 3]), padding=r.choice([0, 1]))
        if kind == "batch_norm":
            return self.call(F + kind, image, None, None, None, None, True, eps=0.1)
        return self.call(F + kind, image, r.choice([2, 3]), r.choice([1, 2]))

    def embedded(self):
        v = self.pick(2)
        if v is None or v.value.dim() != 2 or v.value.shape[1] > 200:
            return None
        places = [self.random.randrange(v.value.shape[0]) for _ in range(self.random.randint(1, 8))]
        return self.call(F + "embedding", torch.tensor(places), v)

    def counted(self):
        """Whole numbers on the way: positions of extremes, sums of truths, remainders."""
        v = self.pick(1)
        if v is None:
            return None
        r, d = self.random, self.dim(v)
        kind = r.choice(["argmax", "truths", "whole", "any"])
        if kind == "argmax":
            place = self.call("torch." + r.choice(["argmax", "argmin"]), v, d, keepdim=True)
            return self.call("torch.gather", v, d, place)
        if kind == "truths":
            count = self.call("torch.sum", self.call("torch.gt", v, 0.1), d, keepdim=True)
            return self.call("torch.div", v, self.call("torch.add", count, 1))
        if kind == "any":
            truth = self.call("torch." + r.choice(["any", "all"]), self.call("torch.gt", v, 0.3), d, keepdim=True)
            return self.call("torch.where", truth, v, self.call("torch.cos", v))
        whole = self.call("Tensor.long", self.call("torch.clamp", self.call("torch.mul", v, 4), -50, 50))
        whole = self.call("torch." + r.choice(["remainder", "bitwise_and", "floor_divide", "fmod"]), whole, r.choice([3, 5]))
        whole = self.call("torch.cumsum", whole, d) if r.random() < 0.5 else whole
        return self.call("torch.mul", self.call("torch.cos", v), whole)

    def normed(self):
        v = self.pick(2)
        if v is None or v.value.shape[-1] < 3:
            return None
        return self.call(F + "layer_norm", v, [v.value.shape[-1]], eps=0.1)

    def written(self):
        """A copy that is written to through a view of it, and read as a whole."""
        v = self.pick(1)
        if v is None:
            return None
        r, d = self.random, self.dim(v)
        size = v.value.shape[d]
        # A copy of what is not contiguous would not be either in PyTorch, and a reshape of it no view.
        v = self.call("Tensor.contiguous", v)
        t = self.call("torch.mul", v, 1.5) if r.random() < 0.5 else self.call("torch.clone", v)
        before = self.call("torch.sin", t) if r.random() < 0.5 else None
        start = r.randrange(size)
        places = {
            "narrow": lambda: self.call("torch.narrow", t, d, start, r.randint(1, size - start)),
            "select": lambda: self.call("torch.select", t, d, start),
            "turned": lambda: self.call("torch.transpose", t, 0, -1),
            "row": lambda: self.call("torch.reshape", t, [-1]),
            "steps": lambda: self.call("Tensor.__getitem__", t, (Ellipsis, slice(0, None, 2))),
            "all": lambda: t,
        }
        for _ in range(r.choice([1, 1, 2, 3])):
            place = places[r.choice(sorted(places))]()
            write = r.choice(["mul_", "add_", "fill_", "tanh_", "copy_", "zero_", "clamp_", "masked_fill_", "sub_", "square_"])
            if write in ("mul_", "sub_"):
                self.call("Tensor." + write, place, r.choice([0.5, -1.0, self.call("torch.cos", place)]))
            elif write == "add_":
                self.call("Tensor.add_", place, self.call("torch.cos", place), alpha=0.5)
            elif write == "fill_":
                self.call("Tensor.fill_", place, 0.25)
            elif write == "clamp_":
                self.call("Tensor.clamp_", place, -0.4, 0.6)
            elif write == "copy_":
                self.call("Tensor.copy_", place, self.call("torch.sin", place))
            elif write == "masked_fill_":
                self.call("Tensor.masked_fill_", place, self.call("torch.gt", self.call("torch.detach", place), 0.1), -0.3)
            else:
                self.call("Tensor." + write, place)
        if before is not None and r.random() < 0.7:
            return self.call("torch.add", t, before)
        return t

    def cut(self):
        return self.call("torch.detach", self.pick())

    def widened(self):
        v = self.pick()
        wide = self.call("torch.sin", self.call("Tensor.double", v))
        return self.call("Tensor.to", wide, torch.float32) if not self.p.double else wide

    MAKERS = (
        "unary unary non_negative functional binary binary binary scalar scalar divide choose mask as_numbers reduce reduce spread "
        "product per_row extreme order gathered view view view view index scatter joined padded triangle repeated matmul matmul "
        "convolved pictured pictured embedded counted counted normed written written cut widened"
    ).split()

    def step(self):
        made = getattr(self, self.random.choice(self.MAKERS))()
        if made is None or made.value.numel() == 0 or not made.value.is_floating_point():
            return
        if made.value.numel() > 20 * MOST_ELEMENTS:
            return
        self.pool.append(made)

    def small(self, v):
        """What stands in the file for a result: all of it, or sums of it."""
        if v.value.numel() <= 400:
            return v
        rows = self.call("torch.reshape", v, [v.value.shape[0] if v.value.dim() > 1 else 1, -1])
        if rows.value.shape[0] > 400:
            rows = self.call("torch.reshape", v, [1, -1])
        return self.call("torch.mean", rows, [1])

    def tells(self, gradient):
        return gradient is not None

    def finish(self):
        r = self.random
        made = [v for v in self.pool[len(self.leaves) :]] or self.pool
        chosen = r.sample(made, min(len(made), r.choice([1, 2, 3])))
        results = [self.small(v) for v in chosen]
        loss = None
        for v in chosen:
            term = self.call("torch.mean", self.call("torch.sin", v))
            loss = term if loss is None else self.call("torch.add", loss, term)
        if loss.value.requires_grad:
            again = r.random() < 0.35
            gradients = self.call("torch.autograd.grad", loss, self.leaves, create_graph=again, allow_unused=True)
            known = [i for i, g in enumerate(gradients.value) if self.tells(g)]
            if not known:
                raise ValueError("no gradient flows")
            firsts = [self.call("item", gradients, i) for i in known]
            results += firsts
            if again:
                total = None
                for g in firsts:
                    if g.value.requires_grad:
                        term = self.call("torch.sum", self.call("torch.square", g))
                        total = term if total is None else self.call("torch.add", total, term)
                if total is not None:
                    seconds = self.call("torch.autograd.grad", total, self.leaves, allow_unused=True)
                    results += [self.call("item", seconds, i) for i, g in enumerate(seconds.value) if self.tells(g)]
        return self.p, results


def build_of(seed, kind=Maker):
    failed = set()

    def build(double):
        maker = kind(seed, double) if kind is Maker else kind(seed, double, failed)
        for _ in range(random.Random(seed).randint(4, 24)):
            maker.step()
        p, results = maker.finish()
        for v in results:
            value = v.value.detach()
            if not torch.isfinite(value).all() or value.is_floating_point() and value.abs().max() > 1e3:
                raise ValueError("numbers grow large")
        return p, results

    return build


def random_records(count, seed, log=print, kind=Maker):
    made = 0
    number = 1_000_000 * seed
    while made < count:
        number += 1
        try:
            record = finished(build_of(number, kind))
        except (RuntimeError, ValueError, IndexError, TypeError, Unencodable) as error:
            log(f"random/{number}: {error!r}"[:200])
            while torch.autograd.forward_ad._current_level >= 0:
                torch.autograd.forward_ad.exit_dual_level()
            continue
        made += 1
        yield record
