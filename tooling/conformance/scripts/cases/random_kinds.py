"""`autograd/programs` made by chance over the dtypes: complex, double and half precision, whole numbers and truths, mixtures that are promoted, casts,
and gradients through them."""

import torch

from programs import F, rounded
from random_indices import CarefulMaker

HALVES = [torch.float16, torch.bfloat16]
REALS = [torch.float32, torch.float64]
COMPLEX = [torch.complex64, torch.complex128]
WHOLE = [torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8]

REAL_UNARY = (
    "sin cos tanh sigmoid abs neg square sign floor ceil round trunc frac erf atan asinh relu sgn positive deg2rad exp2 expm1 exp "
    "log1p sinc isfinite isnan signbit logical_not angle conj_physical sinh cosh nan_to_num erfc"
).split()
COMPLEX_UNARY = "sin cos tanh exp abs neg square sgn real imag conj angle sigmoid sinh cosh sqrt log reciprocal positive isfinite logical_not view_as_real conj_physical resolve_conj".split()
WHOLE_UNARY = "abs neg square sign bitwise_not sin cos tanh sigmoid exp2 sqrt logical_not floor ceil positive sgn isfinite isnan relu erf rsqrt reciprocal log1p signbit".split()
TRUTH_UNARY = "logical_not bitwise_not sin exp sign sum cumsum abs sigmoid".split()
FLOAT_BINARY = "add sub mul maximum minimum atan2 hypot logaddexp fmax fmin copysign eq ne lt le gt ge logical_and logical_or logical_xor fmod remainder".split()
COMPLEX_BINARY = "add sub mul eq ne logical_and logical_or div".split()
WHOLE_BINARY = "add sub mul maximum minimum eq ne lt le gt ge bitwise_and bitwise_or bitwise_xor logical_and logical_xor gcd atan2 fmax hypot".split()
TRUTH_BINARY = "add mul eq ne logical_and logical_or logical_xor bitwise_and bitwise_or bitwise_xor maximum minimum lt ge".split()


class KindMaker(CarefulMaker):
    def __init__(self, seed, double, failed):
        super().__init__(seed, double, failed)
        r = self.random
        r.seed(f"{seed}/kinds")
        # Few kinds a program, so that they meet.
        kinds = r.sample(r.choice([REALS, COMPLEX + REALS, HALVES[:1] + REALS, HALVES[1:] + REALS, WHOLE + REALS, WHOLE, REALS + COMPLEX]), 2)
        self.kinds = kinds + [r.choice([torch.int64, torch.bool, torch.float32, kinds[0]])]
        if torch.float16 in self.kinds and any(k.is_complex for k in self.kinds):
            self.kinds = [torch.float32, torch.float64, torch.int64]
        shapes = [list(v.value.shape) for v in self.leaves]
        if r.random() < 0.25:
            # Nothing of single precision: the answers are compared more closely.
            self.kinds = [torch.float64, r.choice([torch.float64, torch.complex128]), r.choice([torch.int64, torch.bool, torch.float64])]
            self.p.inputs, self.p.vars, self.p.precision, self.pool, self.leaves = {}, {}, "double", [], []
            self.given("x0", self.made(shapes[0], torch.float64))
        for i in range(r.choice([2, 3])):
            name = f"y{i}"
            shape = r.choice(shapes)
            if r.random() < 0.5:
                shape = [1 if r.random() < 0.3 else n for n in shape][r.randint(0, len(shape)) :]
            value = self.made(shape, r.choice(self.kinds))
            self.given(name, value)
        if r.random() < 0.2:
            self.spacious()

    def given(self, name, value):
        from encoding import encode, widened
        from programs import Var

        self.p.inputs[name] = encode(value)
        self.p.note(value)
        value = widened(value) if self.p.double else value.detach().clone().requires_grad_(value.requires_grad)
        v = Var(self.p, name, value)
        self.p.vars[name] = v
        self.pool.append(v)
        if value.requires_grad:
            self.leaves.append(v)

    most = 60000

    def large(self):
        pass

    def spacious(self):
        """Two tensors of many elements that take no room in the file."""
        shape = self.shape(self.most)
        n = torch.Size(shape).numel()
        for kind in self.random.sample(self.kinds, 2):
            t = self.call("torch.remainder", self.call("torch.arange", 0.0, float(n), dtype=torch.float64), float(self.random.choice([97, 61])))
            t = self.call("torch.sin", self.call("torch.mul", t, 0.37))
            if kind.is_complex:
                t = self.call("torch.complex", t, self.call("torch.cos", t))
            elif kind == torch.bool:
                t = self.call("torch.gt", t, 0.1)
            elif not kind.is_floating_point:
                t = self.call("torch.mul", self.call("torch.abs", t) if kind == torch.uint8 else t, 9)
            self.pool.append(self.call("torch.reshape", self.call("Tensor.to", t, kind), shape))

    def fits(self, value):
        return value.numel() <= self.most

    def made(self, shape, kind):
        if kind == torch.bool:
            return torch.rand(shape) < 0.5
        if not (kind.is_floating_point or kind.is_complex):
            return torch.randint(0 if kind == torch.uint8 else -9, 10, shape).to(kind)
        value = torch.randn(shape, dtype=torch.float64) if kind in (torch.float64, torch.complex128) else rounded(*shape)
        if kind.is_complex:
            value = torch.complex(value, rounded(*shape).to(value.dtype))
        return value.to(kind).requires_grad_()

    # --- what a value is ---

    def is_whole(self, v):
        d = v.value.dtype
        return not (d.is_floating_point or d.is_complex or d == torch.bool)

    def is_real(self, v):
        return v.value.dtype.is_floating_point

    def names_for(self, v, real, complex_, whole, truth):
        d = v.value.dtype
        return complex_ if d.is_complex else real if d.is_floating_point else truth if d == torch.bool else whole

    def clash(self, *values):
        """float16 with complex numbers is ours to choose."""
        kinds = {v.value.dtype for v in values}
        return torch.float16 in kinds and any(k.is_complex for k in kinds)

    def size(self, v):
        """abs, also of truths."""
        return self.call("Tensor.to", v, torch.int64) if v.value.dtype == torch.bool else self.call("torch.abs", v)

    def tame(self, v):
        """Numbers that fit any kind."""
        if v.value.dtype.is_complex:
            v = self.call("torch.real", v)
        if v.value.dtype == torch.bool:
            return v
        return self.call("torch.clamp", v, 0, 100)

    # --- makers ---

    def unary(self):
        v = self.pick()
        name = self.random.choice(self.names_for(v, REAL_UNARY, COMPLEX_UNARY, WHOLE_UNARY, TRUTH_UNARY))
        if name in ("exp", "expm1", "exp2", "sinh", "cosh") and not v.value.dtype.is_complex and v.value.dtype != torch.bool:
            v = self.call("torch.clamp", v, -4, 4)
        if name in ("sqrt", "rsqrt", "reciprocal", "log1p") and not v.value.dtype.is_complex:
            v = self.call("torch.add", self.size(v), 1)
        if name == "log1p":
            v = self.size(v)
        if name == "cumsum":
            return self.call("torch.cumsum", v, self.dim(v)) if v.value.dim() else None
        return self.call("torch." + name, v)

    def binary(self):
        v = self.pick()
        w = self.partner(v)
        if self.clash(v, w):
            return None
        kinds = torch.promote_types(v.value.dtype, w.value.dtype)
        if kinds.is_complex:
            name = self.random.choice(COMPLEX_BINARY)
            if name == "div":
                w = self.call("torch.add", self.size(w), 1)
        else:
            name = self.random.choice(FLOAT_BINARY if kinds.is_floating_point else TRUTH_BINARY if kinds == torch.bool else WHOLE_BINARY)
            if name in ("atan2", "hypot") and v.value.dtype != w.value.dtype:
                # PyTorch squares whole numbers in their own dtype for the gradient.
                return None
            if name in ("fmod", "remainder"):
                w = self.call("torch.add", self.size(w), 1.5)
        if self.random.random() < 0.15 and name in ("add", "sub"):
            return self.call("torch." + name, v, w, alpha=self.random.choice([2, -1]))
        return self.call("torch." + name, v, w)

    def scalar(self):
        r = self.random
        v = self.pick()
        if v.value.dtype.is_complex:
            return self.call("torch." + r.choice(["add", "sub", "mul", "div", "pow"]), v, r.choice([2, -1, 0.5, 2j, 1.5 - 0.5j]))
        value = r.choice([2, -1, 0.5, 3.0, True, 3, 1 + 2j])
        if isinstance(value, complex):
            if v.value.dtype == torch.float16:
                return None
            return self.call("torch." + r.choice(["add", "mul", "sub"]), v, value)
        name = r.choice("add sub mul div rsub eq lt ge clamp_min clamp_max floor_divide remainder fmod pow true_divide".split())
        if name in ("floor_divide", "remainder", "fmod"):
            value = r.choice([3, 2, 2.5])
        if name == "pow":
            value = r.choice([2, 3, 2.0])
        return self.call("torch." + name, v, value)

    def divide(self):
        v = self.pick()
        w = self.partner(v)
        if self.clash(v, w):
            return None
        kinds = torch.promote_types(v.value.dtype, w.value.dtype)
        w = self.call("torch.add", self.size(w), self.random.choice([1, 1.5]))
        if kinds.is_complex or self.random.random() < 0.5:
            return self.call("torch.div", v, w)
        return self.call("torch.div", v, w, rounding_mode=self.random.choice(["floor", "trunc"]))

    def bits(self):
        v = self.pick()
        if not self.is_whole(v):
            return None
        name = self.random.choice(["bitwise_left_shift", "bitwise_right_shift", "bitwise_and", "bitwise_or", "bitwise_xor", "gcd", "lcm"])
        if name in ("gcd", "lcm"):
            return self.call("torch." + name, v, self.call("torch.full_like", v, self.random.choice([4, 6])))
        return self.call("torch." + name, v, self.random.choice([1, 2, 3]))

    def cast(self):
        r = self.random
        v = self.pick()
        kind = r.choice(self.kinds + REALS + [torch.int64, torch.bool, torch.uint8, torch.complex64, torch.int32])
        if v.value.dtype.is_complex and not kind.is_complex:
            v = self.call("torch.imag" if r.random() < 0.5 else "torch.real", v)
        if kind.is_complex and v.value.dtype == torch.float16 or v.value.dtype.is_complex and kind == torch.float16:
            return None
        if kind in WHOLE and v.value.dtype not in WHOLE:
            v = self.tame(v)
        how = r.choice(["to", "to", "type_as"])
        if how == "type_as":
            fitting = [w for w in self.pool if w.value.dtype == kind]
            if fitting:
                return self.call("Tensor.type_as", v, r.choice(fitting))
        return self.call("Tensor.to", v, kind)

    def reduce(self):
        v = self.pick(1)
        if v is None:
            return None
        r = self.random
        dims = sorted(r.sample(range(v.value.dim()), r.randint(1, v.value.dim())))
        d = v.value.dtype
        if d.is_complex:
            name = r.choice(["sum", "mean", "prod", "norm", "var", "vector_norm"])
        elif d.is_floating_point:
            name = r.choice(["sum", "mean", "amax", "amin", "logsumexp", "norm", "vector_norm", "var", "nansum", "count_nonzero", "aminmax", "prod"])
        else:
            name = r.choice(["sum", "amax", "amin", "prod", "count_nonzero", "any", "all", "nansum", "argmax", "cumprod", "mean_dtype", "median"])
        if name in ("prod", "any", "all", "argmax", "cumprod", "median"):
            if name in ("any", "all") or d == torch.bool:
                return self.call("torch.any" if name == "any" else "torch.all", v, dims[0], keepdim=r.random() < 0.5)
            if d.is_complex or d.is_floating_point:
                v = self.call("torch.sin" if not d.is_complex else "torch.tanh", v)
            result = self.call("torch." + name, v, dims[0])
            return self.call("item", result, 0) if name == "median" else result
        if name in ("norm", "vector_norm"):
            full = "torch.norm" if name == "norm" else "torch.linalg.vector_norm"
            return self.call(full, v, r.choice([2, 1, 3.0]), dims)
        if name == "var":
            if torch.Size([v.value.shape[i] for i in dims]).numel() < 2:
                return None
            return self.call("torch.var", v, dims, unbiased=r.random() < 0.5)
        if name == "count_nonzero":
            return self.call("torch.count_nonzero", v, dims)
        if name == "aminmax":
            return self.call("item", self.call("torch.aminmax", v, dim=dims[0]), r.choice([0, 1]))
        if name == "mean_dtype":
            return self.call("torch.mean", v, dims, dtype=r.choice(REALS))
        options = {"keepdim": r.random() < 0.5}
        if name == "sum" and r.random() < 0.4:
            if d.is_complex:
                options["dtype"] = r.choice(COMPLEX)
            elif d.is_floating_point:
                options["dtype"] = r.choice(REALS)
            else:
                options["dtype"] = r.choice([torch.int32, torch.float32, torch.float64, torch.int64])
        return self.call("torch." + name, v, dims, **options)

    def per_row(self):
        v = self.pick(1)
        if v is None:
            return None
        r, d, kind = self.random, self.dim(v), v.value.dtype
        if kind.is_complex:
            return self.call("torch." + r.choice(["cumsum", "cumprod"]), self.call("torch.tanh", v), d)
        if kind.is_floating_point:
            name = r.choice(["cumsum", "softmax", "log_softmax", "logcumsumexp", "cumprod"])
            return self.call("torch." + name, self.call("torch.sin", v) if name == "cumprod" else v, d)
        name = r.choice(["cumsum", "softmax", "cumsum_dtype", "cummax", "sort", "argsort", "flip"])
        if name == "softmax":
            return self.call("torch.softmax", v, d, dtype=torch.float32)
        if name == "cumsum_dtype":
            return self.call("torch.cumsum", v, d, dtype=r.choice([torch.float64, torch.int32, torch.float32]))
        if name == "cummax":
            return self.call("item", self.call("torch.cummax", v, d), 0)
        if name == "sort":
            return self.call("item", self.call("torch.sort", v, stable=True, dim=d), r.choice([0, 1]))
        if name == "argsort":
            return self.call("item", self.call("torch.sort", v, stable=True, dim=d, descending=True), 1)
        return self.call("torch.flip", v, [d])

    def choose(self):
        v = self.pick()
        w = self.partner(v)
        if self.clash(v, w):
            return None
        c = self.call("torch.gt", self.size(w), 1)
        if self.random.random() < 0.3:
            return self.call("torch.where", c, v, self.random.choice([0.5, 2, True]))
        return self.call("torch.where", c, v, w)

    def mask(self):
        v = self.pick()
        w = self.partner(v)
        if torch.broadcast_shapes(v.value.shape, w.value.shape) != v.value.shape:
            return None
        c = self.call("torch.ne", w, 0)
        return self.call("torch.masked_fill", v, c, 1)

    def joined(self):
        v = self.pick(1)
        if v is None:
            return None
        same = [w for w in self.pool if w.value.shape == v.value.shape and not self.clash(v, w)]
        parts = [v, self.random.choice(same), self.random.choice(same)]
        if self.clash(*parts):
            return None
        if self.random.random() < 0.6:
            return self.call("torch.cat", parts, self.dim(v))
        return self.call("torch.stack", [v, v], 0)

    def matmul(self):
        v = self.pick(2)
        if v is None or v.value.dtype == torch.bool:
            return None
        same = [w for w in self.pool if w.value.dtype == v.value.dtype and w.value.dim() >= 2]
        w = self.random.choice(same)
        if v.value.shape[-1] != w.value.shape[-2] or self.random.random() < 0.3:
            w = self.call("torch.transpose", self.call("torch.conj", v) if v.value.dtype.is_complex else v, -1, -2)
        if self.is_whole(v):
            return self.call("torch.matmul", v, w)
        return self.call("torch.div", self.call("torch.matmul", v, w), float(v.value.shape[-1]))

    def fused(self):
        """Operations of three operands, with promotion."""
        v = self.pick()
        w, u = self.partner(v), self.partner(v)
        if self.clash(v, w, u):
            return None
        r = self.random
        name = r.choice(["addcmul", "addcdiv", "lerp", "clamp", "addcmul_value"])
        if name == "addcmul":
            return self.call("torch.addcmul", v, w, u)
        if name == "addcmul_value":
            return self.call("torch.addcmul", v, w, u, value=r.choice([2, 0.5]))
        if name == "addcdiv":
            return self.call("torch.addcdiv", v, w, self.call("torch.add", self.size(u), 1), value=0.5)
        if name == "lerp":
            return self.call("torch.lerp", v, w, r.choice([0.3, u]))
        # Where both ends are the same, PyTorch gives the gradient to none.
        return self.call("torch.clamp", v, self.call("torch.sub", self.call("torch.minimum", w, u), 0.5), self.call("torch.maximum", w, u))

    def written(self):
        v = self.pick()
        w = self.partner(v)
        if self.clash(v, w) or torch.broadcast_shapes(v.value.shape, w.value.shape) != v.value.shape:
            return None
        if w.value.dtype.is_complex and not v.value.dtype.is_complex:
            w = self.call("torch.real", w)
        r = self.random
        t = self.call("torch.clone", v, memory_format=torch.contiguous_format)
        place = t
        if v.value.dim() > 0 and r.random() < 0.5:
            d = self.dim(v)
            i = r.randrange(v.value.shape[d])
            place = self.call("torch.select", t, d, i)
            w = self.call("torch.select", self.call("torch.broadcast_to", w, list(v.value.shape)), d, i)
        # PyTorch 1.13 forgets that logical_and_ cuts a gradient off.
        name = r.choice("add_ mul_ sub_ copy_ div_ maximum eq_ fill_ zero_ masked_fill_ clamp_ neg_ abs_ square_ bitwise_xor_ pow_ lt_".split())
        if name in ("eq_", "lt_") and v.value.dtype.is_complex:
            # PyTorch 1.13 writes 1 + 1j.
            return None
        if name == "copy_" and self.is_whole(t) and not self.is_whole(w):
            w = self.tame(w)
        if name == "maximum":
            self.call("Tensor.copy_", place, self.call("torch.maximum", place, w))
        elif name == "div_":
            self.call("Tensor.div_", place, self.call("torch.add", self.size(w), 1))
        elif name in ("fill_", "pow_"):
            self.call("Tensor." + name, place, 2)
        elif name == "clamp_":
            self.call("Tensor.clamp_", place, 0, 3)
        elif name == "masked_fill_":
            self.call("Tensor.masked_fill_", place, self.call("torch.ne", w, 0), 1)
        elif name in ("zero_", "neg_", "abs_", "square_"):
            self.call("Tensor." + name, place)
        else:
            self.call("Tensor." + name, place, w)
        return t

    def point(self):
        """A value without dimensions, which promotes otherwise."""
        v = self.pick(1)
        if v is None:
            return None
        for _ in range(v.value.dim()):
            v = self.call("torch.select", v, 0, self.random.randrange(v.value.shape[0]))
        return v

    def parts(self):
        v = self.pick()
        r = self.random
        if v.value.dtype.is_complex:
            name = r.choice(["view_as_real", "real", "imag", "conj", "polar", "angle", "mH"])
            if name == "polar":
                return self.call("torch.polar", self.size(v), self.call("torch.imag", v))
            if name == "mH":
                return self.call("torch.conj", self.call("torch.transpose", v, 0, -1)) if v.value.dim() > 1 else None
            return self.call("torch." + name, v)
        if v.value.dtype in REALS:
            if v.value.dim() and v.value.shape[-1] == 2 and v.value.is_contiguous():
                return self.call("torch.view_as_complex", self.call("torch.contiguous" if hasattr(torch, "contiguous") else "Tensor.contiguous", v))
            return self.call("torch.complex", v, self.call("torch.sin", v))
        return None

    def functional(self):
        v = self.pick()
        if not self.is_real(v):
            return None
        if v.value.dtype == torch.float64 and self.random.random() < 0.2:
            # PyTorch multiplies its gradient with a sixth of single precision.
            return self.call(F + "hardsigmoid", self.call("torch.detach", v))
        names = "gelu silu softplus elu leaky_relu hardtanh hardswish logsigmoid mish softsign relu6 selu softshrink celu".split()
        return self.call(F + self.random.choice(names), v)

    def compared(self):
        v = self.pick()
        w = self.partner(v)
        kinds = torch.promote_types(v.value.dtype, w.value.dtype)
        if kinds.is_complex:
            return self.call("torch." + self.random.choice(["eq", "ne"]), v, w)
        return self.call("torch." + self.random.choice(["eq", "ne", "lt", "le", "gt", "ge"]), v, w)

    MAKERS = (
        "unary unary unary binary binary binary binary scalar scalar scalar divide divide bits cast cast cast reduce reduce per_row choose mask "
        "joined matmul fused written written point parts functional compared view view index gathered extreme"
    ).split()

    def gathered(self):
        v = self.pick(1)
        if v is None:
            return None
        d = self.dim(v)
        if v.value.numel() > 2000:
            return None
        n = v.value.shape[d]
        form = list(v.value.shape)
        places = torch.tensor([self.random.randrange(n) for _ in range(torch.Size(form).numel())]).reshape(form)
        kind = self.random.choice(["gather", "scatter_add", "index_select"])
        if kind == "gather":
            return self.call("torch.gather", v, d, places)
        if kind == "index_select":
            return self.call("torch.index_select", v, d, places.reshape(-1)[:4])
        return self.call("torch.scatter_add", v, d, places, v)

    def index(self):
        v = self.pick(1)
        if v is None:
            return None
        r, d = self.random, self.dim(v)
        size = v.value.shape[d]
        places = torch.tensor([r.randrange(size) for _ in range(r.randint(1, 4))])
        kind = r.choice(["index_add", "index_fill", "roll", "index_copy"])
        if kind == "roll":
            return self.call("torch.roll", v, r.randint(-3, 3), d)
        if kind == "index_fill":
            return self.call("torch.index_fill", v, d, places, 1)
        if kind == "index_copy":
            places = torch.tensor(r.sample(range(size), r.randint(1, size)))
        return self.call("torch." + kind, v, d, places, self.call("torch.index_select", v, d, places))

    def extreme(self):
        v = self.pick(1)
        if v is None or v.value.dtype.is_complex:
            return None
        return self.call("item", self.call("torch." + self.random.choice(["max", "min", "cummax", "cummin", "median"]), v, self.dim(v)), 0)

    # --- the end ---

    def small(self, v):
        if v.value.numel() <= 400:
            return v
        if v.value.numel() > 4000 and v.value.dtype != torch.bool:
            rows = self.call("torch.reshape", v, [1, -1])
            if self.is_whole(v):
                return self.call("torch.sum", rows, [1])
            rows = self.call("Tensor.to", rows, torch.complex128 if v.value.dtype.is_complex else torch.float64)
            return self.call("torch.mean", rows, [1])
        return self.call("Tensor.__getitem__", self.call("torch.reshape", v, [-1]), (slice(0, 400),))

    def finish(self):
        r = self.random
        r.seed(f"{self.seed}/end")
        made = self.pool[len(self.leaves) :] or self.pool
        chosen = r.sample(made, min(len(made), r.choice([2, 3, 4])))
        results = [self.small(v) for v in chosen]
        loss = None
        for v in made[-8:]:
            if not v.value.requires_grad:
                continue
            if v.value.dtype.is_complex:
                v = self.call("torch.view_as_real", self.call("torch.resolve_conj", v))
            if v.value.dtype in HALVES:
                v = self.call("Tensor.to", v, torch.float32)
            term = self.call("torch.mean", self.call("torch.sin", v))
            loss = term if loss is None else self.call("torch.add", loss, term)
        if loss is not None:
            again = r.random() < 0.35
            gradients = self.call("torch.autograd.grad", loss, self.leaves, create_graph=again, allow_unused=True)
            known = [i for i, g in enumerate(gradients.value) if self.tells(g)]
            if not known:
                raise ValueError("no gradient flows")
            firsts = [self.call("item", gradients, i) for i in known]
            results += firsts
            total = None
            for g in firsts if again else []:
                if g.value.requires_grad:
                    square = self.call("torch.abs", g)
                    term = self.call("torch.sum", self.call("torch.square", square))
                    total = term if total is None else self.call("torch.add", total, term)
            if total is not None:
                seconds = self.call("torch.autograd.grad", total, self.leaves, allow_unused=True)
                results += [self.call("item", seconds, i) for i, g in enumerate(seconds.value) if self.tells(g)]
        return self.p, results
