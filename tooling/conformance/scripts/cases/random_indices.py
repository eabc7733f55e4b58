"""`autograd/programs` made by chance: reading and writing by index, with gradients.

Index tensors of several shapes, masks, None and Ellipsis, slices; puts that accumulate; scatters and gathers of every kind; strided windows.
Where equal places are written in no order, PyTorch's answer is left to chance, so such places are drawn without repetition.
"""

import torch

from random_programs import Maker


class CarefulMaker(Maker):
    """A maker whose steps may fail in PyTorch: the steps are taken back, and left out when the program is made again."""

    def __init__(self, seed, double, failed):
        self.seed, self.failed, self.attempt = seed, failed, 0
        super().__init__(seed, double)

    most = 6000

    def fits(self, value):
        return value.is_floating_point() and value.numel() <= self.most

    def tells(self, gradient):
        """None and zeros are the same to us: what is overwritten as a whole, or only compared, is forgotten."""
        return gradient is not None and gradient.abs().max() > 1e-9

    def step(self):
        self.attempt += 1
        if self.attempt in self.failed:
            return
        self.random.seed(f"{self.seed}/{self.attempt}")
        before = len(self.p.steps)
        try:
            made = getattr(self, self.random.choice(self.MAKERS))()
        except (RuntimeError, IndexError, TypeError, ValueError, NotImplementedError):
            # A write that failed half way has left nothing behind: writes go to fresh copies.
            if self.p.double:
                raise
            self.failed.add(self.attempt)
            del self.p.steps[before:]
            return
        if made is None or made.value.numel() == 0 or not self.fits(made.value):
            return
        self.pool.append(made)


class IndexMaker(CarefulMaker):
    def large(self):
        pass

    def copy(self, rank=1):
        v = self.pick(rank)
        return None if v is None else self.call("torch.clone", v, memory_format=torch.contiguous_format)

    def whole(self, shape, below, distinct_dim=None):
        """Places of a shape; along `distinct_dim` no two are the same."""
        r = self.random
        if distinct_dim is None:
            return torch.tensor([r.randrange(below) for _ in range(torch.Size(shape).numel())], dtype=torch.int64).reshape(shape)
        rows = torch.Size(shape[:distinct_dim] + shape[distinct_dim + 1 :]).numel()
        table = torch.tensor([r.sample(range(below), shape[distinct_dim]) for _ in range(rows)], dtype=torch.int64)
        rest = shape[:distinct_dim] + shape[distinct_dim + 1 :]
        return table.reshape(*rest, shape[distinct_dim]).movedim(-1, distinct_dim).contiguous()

    def truths(self, shape):
        r = self.random
        return torch.tensor([r.random() < 0.5 for _ in range(torch.Size(shape).numel())]).reshape(shape)

    def slice_of(self, size):
        r = self.random
        ends = [None, r.randint(0, size), r.randint(-size, size)]
        return slice(r.choice(ends), r.choice([None, None, *ends]), r.choice([None, 1, 2, 3]))

    def key(self, shape, distinct=False):
        """What stands between brackets. With `distinct`, no element is named twice."""
        r = self.random
        key, d, advanced = [], 0, 0
        common = r.choice([[3], [2], [2, 3], [1], [4], []])
        ellipsis_at = r.choice([None, None, r.randint(0, len(shape))])
        end = r.randint(1, len(shape))
        while d < end:
            if ellipsis_at == d:
                ellipsis_at = None
                key.append(Ellipsis)
                # What follows counts from the last dimension.
                d = max(d, r.randint(d, end))
                skipped = d
                rest = []
                for size in shape[skipped:]:
                    rest.append(r.choice([slice(None), self.slice_of(size), r.randrange(size), r.randrange(-size, size)]))
                return tuple(key + rest)
            size = shape[d]
            kind = r.choice(["int", "slice", "slice", "tensor", "tensor", "mask", "none", "list", "mask2", "negative"])
            if kind == "none":
                if len(key) > 6:
                    continue
                key.append(None)
                continue
            if kind == "int":
                key.append(r.randrange(-size, size))
            elif kind == "slice":
                key.append(self.slice_of(size))
            elif kind == "mask" and advanced == 0:
                key.append(self.truths([size]))
                common, advanced = None, 1
            elif kind == "mask2" and advanced == 0 and d + 1 < len(shape):
                # PyTorch 1.13 counts a mask of two dimensions as one where a slice follows.
                return (*key, self.truths(shape[d : d + 2]))
            elif kind in ("tensor", "list", "negative") and common is not None and (not distinct or advanced == 0):
                form = list(common)
                if distinct:
                    form = [min(size, 3)]
                    places = self.whole(form, size, 0)
                else:
                    if advanced and form and r.random() < 0.4:
                        form[r.randrange(len(form))] = 1
                    elif advanced and r.random() < 0.2:
                        form = form[1:]
                    places = self.whole(form, size)
                if kind == "negative":
                    places = torch.where(places % 2 == 0, places, places - size)
                key.append(places.tolist() if kind == "list" and places.dim() == 1 else places)
                advanced += 1
            else:
                key.append(slice(None))
            d += 1
        return tuple(key)

    def read(self):
        v = self.pick(1)
        return None if v is None else self.call("Tensor.__getitem__", v, self.key(list(v.value.shape)))

    def value_for(self, part):
        """A number, or a tensor that broadcasts to `part`."""
        r = self.random
        shape = list(part.shape)
        fitting = []
        for w in self.pool:
            if w.value.dtype == part.dtype and w.value.dim() <= len(shape):
                if all(a in (1, b) for a, b in zip(reversed(w.value.shape), reversed(shape))):
                    fitting.append(w)
        if fitting and r.random() < 0.5:
            return r.choice(fitting)
        if r.random() < 0.3:
            return r.choice([0.5, -1.25, 2])
        cut = shape[r.randint(0, len(shape)) :] if shape else []
        return self.call("torch.mul", self.number(cut), 1.0)

    def number(self, shape):
        """A constant of a shape."""
        n = torch.Size(shape).numel()
        return torch.tensor([round(self.random.uniform(-2, 2), 3) for _ in range(n)]).reshape(shape)

    def write(self):
        t = self.copy()
        if t is None:
            return None
        before = self.call("torch.mul", t, 2) if self.random.random() < 0.4 else None
        for _ in range(self.random.choice([1, 1, 2])):
            key = self.key(list(t.value.shape), True)
            part = t.value.detach()[key]
            if part.numel() > 0:
                self.call("Tensor.__setitem__", t, key, self.value_for(part))
        return t if before is None else self.call("torch.sub", t, before)

    def put(self):
        t = self.copy()
        if t is None:
            return None
        r = self.random
        shape = t.value.shape
        accumulate = r.random() < 0.6
        count = r.randint(1, len(shape))
        if accumulate:
            form = r.choice([[3], [2, 2], [5]])
            places = [self.whole(form, size) for size in shape[:count]]
        else:
            count = 1
            places = [self.whole([min(3, shape[0])], shape[0], 0)]
        part = t.value.detach()[tuple(places)]
        value = self.value_for(part)
        if not hasattr(value, "name"):
            value = torch.tensor(float(value))
        name = r.choice(["torch.index_put", "Tensor.index_put_", "torch.index_put"])
        return self.call(name, t, places, value, accumulate=accumulate)

    def masked(self):
        t = self.copy()
        if t is None:
            return None
        r = self.random
        shape = list(t.value.shape)
        mask = self.truths(r.choice([shape, shape[-1:], [1] * len(shape)]))
        kind = r.choice(["masked_select", "masked_scatter", "masked_fill", "masked_scatter_", "masked_fill_", "where"])
        if kind == "masked_select":
            return self.call("torch.masked_select", t, mask)
        if kind.startswith("masked_scatter"):
            source = self.call("torch.sin", self.call("torch.reshape", t, [-1]))
            return self.call("Tensor." + kind, t, mask, source)
        if kind == "where":
            return self.call("torch.where", mask, t, self.call("torch.square", t))
        return self.call("Tensor." + kind, t, mask, r.choice([0.5, -1.0]))

    def flat(self):
        t = self.copy()
        if t is None:
            return None
        r, n = self.random, t.value.numel()
        kind = r.choice(["take", "put", "put_", "take_along_dim", "put_accumulate"])
        if kind == "take":
            return self.call("torch.take", t, self.whole(r.choice([[4], [2, 3]]), n))
        if kind == "take_along_dim":
            d = self.dim(t)
            form = list(t.value.shape)
            form[d] = r.randint(1, 4)
            return self.call("torch.take_along_dim", t, self.whole(form, t.value.shape[d]), d)
        count = min(n, 4)
        if kind == "put_accumulate":
            return self.call("Tensor.put", t, self.whole([5], n), self.number([5]), accumulate=True)
        return self.call("Tensor." + kind, t, self.whole([count], n, 0), self.number([count]))

    def gathered(self):
        v = self.pick(1)
        if v is None:
            return None
        d = self.dim(v)
        form = [self.random.randint(1, size) for size in v.value.shape]
        form[d] = self.random.randint(1, 6)
        return self.call("torch.gather", v, d, self.whole(form, v.value.shape[d]))

    def scatter(self):
        t = self.copy()
        if t is None or t.value.dim() > 3:
            return None
        r, d = self.random, self.dim(t)
        shape = list(t.value.shape)
        form = [r.randint(1, size) for size in shape]
        kind = r.choice(["scatter", "scatter_number", "scatter_add", "scatter_add_", "scatter_", "reduce", "scatter_reduce", "scatter_reduce"])
        exact = d % len(shape)
        if kind in ("scatter", "scatter_", "scatter_number"):
            places = self.whole(form, shape[exact], exact)
        else:
            form[exact] = r.randint(1, 5)
            places = self.whole(form, shape[exact])
        if kind == "scatter_number":
            return self.call("torch.scatter", t, d, places, r.choice([0.25, -2.0]))
        if kind == "reduce":
            return self.call("torch.scatter", self.call("torch.detach", t), d, places, r.choice([0.5, 2.0]), reduce=r.choice(["add", "multiply"]))
        source = self.number(form)
        if r.random() < 0.6 and form[exact] <= shape[exact]:
            source = t
            for i, size in enumerate(form):
                source = self.call("torch.narrow", source, i, 0, size)
            source = self.call("torch.mul", source, -0.75)
        if kind == "scatter_reduce":
            reduce = r.choice(["sum", "prod", "mean", "amax", "amin"])
            return self.call("torch.scatter_reduce", t, d, places, source, reduce, include_self=r.random() < 0.5)
        return self.call(("Tensor." if kind.endswith("_") else "torch.") + kind, t, d, places, source)

    def along(self):
        t = self.copy()
        if t is None:
            return None
        r, d = self.random, self.dim(t)
        size = t.value.shape[d]
        kind = r.choice(["index_add", "index_add_", "index_copy", "index_copy_", "index_fill", "index_fill_", "index_select", "index_reduce"])
        if kind == "index_select":
            return self.call("torch.index_select", t, d, self.whole([r.randint(1, 5)], size))
        if kind.startswith("index_fill"):
            return self.call("Tensor." + kind, t, d, self.whole([r.randint(1, size)], size), r.choice([0.5, -1.0]))
        distinct = kind.startswith("index_copy")
        count = r.randint(1, size if distinct else 5)
        places = self.whole([count], size, 0 if distinct else None)
        form = list(t.value.shape)
        form[d] = count
        source = self.number(form)
        if r.random() < 0.6:
            source = self.call("torch.sin", self.call("torch.index_select", t, d, self.whole([count], size)))
        if kind == "index_reduce":
            reduce = r.choice(["prod", "mean", "amax", "amin"])
            return self.call("torch.index_reduce", t, d, places, source, reduce, include_self=r.random() < 0.5)
        options = {"alpha": r.choice([2, 0.5])} if kind.startswith("index_add") and r.random() < 0.5 else {}
        return self.call(("Tensor." if kind.endswith("_") else "torch.") + kind, t, d, places, source, **options)

    def strided(self):
        t = self.copy()
        if t is None:
            return None
        r = self.random
        n = t.value.numel()
        size = [r.randint(1, 4) for _ in range(r.randint(1, 3))]
        stride = [r.randint(0 if r.random() < 0.2 else 1, 4) for _ in size]
        reach = sum((a - 1) * b for a, b in zip(size, stride))
        if reach >= n:
            return None
        offset = r.randrange(n - reach)
        kind = r.choice(["as_strided", "as_strided", "write", "scatter"])
        if kind == "as_strided":
            return self.call("torch.as_strided", t, size, stride, offset)
        # Windows that overlap cannot be written.
        rows = [(a, b) for a, b in sorted(zip(stride, size)) if b > 1]
        covered = 1
        for step, count in rows:
            if step < covered:
                return None
            covered = step * count
        if kind == "write":
            self.call("Tensor.mul_", self.call("torch.as_strided", t, size, stride, offset), -0.5)
            return t
        # Its gradient in PyTorch 1.13 is memory that nobody wrote.
        t = self.call("torch.detach", t)
        return self.call("torch.as_strided_scatter", t, self.number(size), size, stride, offset)

    def put_back(self):
        t = self.copy(2)
        if t is None:
            return None
        r, d = self.random, self.dim(t)
        size = t.value.shape[d]
        kind = r.choice(["select_scatter", "slice_scatter", "diagonal_scatter", "fill_diagonal_", "index_add_view", "unfold", "unfold"])
        if kind == "select_scatter":
            at = r.randrange(-size, size)
            return self.call("torch.select_scatter", t, self.call("torch.cos", self.call("torch.select", t, d, at)), d, at)
        if kind == "slice_scatter":
            start = r.randrange(size)
            part = self.call("Tensor.__getitem__", self.call("torch.transpose", t, 0, d), (slice(start, None, 2),))
            part = self.call("torch.transpose", self.call("torch.sin", part), 0, d)
            return self.call("torch.slice_scatter", t, part, d, start, None, 2)
        if kind == "diagonal_scatter":
            offset = r.choice([0, 1, -1])
            part = self.call("torch.diagonal", t, offset, 0, 1)
            return self.call("torch.diagonal_scatter", t, self.call("torch.cos", part), offset, 0, 1) if part.value.numel() else None
        if kind == "fill_diagonal_":
            return self.call("Tensor.fill_diagonal_", t, 0.5, r.random() < 0.5) if t.value.dim() == 2 else None
        if kind == "unfold":
            width = r.randint(1, size)
            part = self.call("Tensor.unfold", t, d, width, r.randint(1, 3))
            return part if part.value.dim() < 5 else None
        turned = self.call("torch.transpose", t, 0, -1)
        places = self.whole([3], turned.value.shape[0])
        self.call("Tensor.index_add_", turned, 0, places, self.call("torch.index_select", turned, 0, places))
        return t

    def view_written(self):
        """A view of a view that is written by index."""
        t = self.copy(1)
        if t is None:
            return None
        r = self.random
        view = t
        for _ in range(r.choice([1, 2])):
            kind = r.choice(["transpose", "narrow", "reshape", "select", "slice"])
            if view.value.dim() == 0:
                break
            d = self.dim(view)
            size = view.value.shape[d]
            if kind == "transpose":
                view = self.call("torch.transpose", view, 0, d)
            elif kind == "narrow":
                start = r.randrange(size)
                view = self.call("torch.narrow", view, d, start, r.randint(1, size - start))
            elif kind == "reshape":
                if view.value.is_contiguous():
                    view = self.call("Tensor.view", view, [-1])
            elif kind == "select" and view.value.dim() > 1:
                view = self.call("torch.select", view, d, r.randrange(size))
            elif kind == "slice":
                view = self.call("Tensor.__getitem__", view, (Ellipsis, slice(None, None, 2)))
        if view.value.dim() == 0:
            return None
        how = r.choice(["set", "index_put", "masked_fill", "index_fill", "scatter_add", "add"])
        if how == "set":
            key = self.key(list(view.value.shape), True)
            part = view.value.detach()[key]
            if part.numel() > 0:
                self.call("Tensor.__setitem__", view, key, self.value_for(part))
        elif how == "index_put":
            places = self.whole([4], view.value.shape[0])
            self.call("Tensor.index_put_", view, [places], self.number(list(view.value.shape[1:])), accumulate=True)
        elif how == "masked_fill":
            self.call("Tensor.masked_fill_", view, self.truths(list(view.value.shape)), 0.75)
        elif how == "index_fill":
            self.call("Tensor.index_fill_", view, 0, self.whole([2], view.value.shape[0]), -0.5)
        elif how == "scatter_add":
            form = list(view.value.shape)
            self.call("Tensor.scatter_add_", view, 0, self.whole(form, form[0]), self.number(form))
        else:
            self.call("Tensor.add_", view, self.call("torch.mul", view, 0.5))
        return t

    MAKERS = (
        "read read read read write write put put masked masked flat flat gathered scatter scatter along along strided put_back put_back "
        "view_written view_written unary binary view view scalar reduce joined matmul"
    ).split()
