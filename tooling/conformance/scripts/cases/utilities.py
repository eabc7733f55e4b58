"""`nn/utils`: modules whose weights are normalised, parametrised or pruned, fused layers, and calls with other values than a module's own.

A record that changes a module has its state dict before the change, or after it where the change draws random numbers (the names tell which), further
changes in `then`, the outputs and gradients of the last of `calls` calls, `state_after`, and the state after a `removal` in evaluation mode.
"""

import torch
import torch.nn.utils.fusion as fusion
import torch.nn.utils.parametrizations as parametrizations
import torch.nn.utils.parametrize as parametrize
import torch.nn.utils.prune as prune
import torch.nn.utils.stateless as stateless
from torch import nn

from encoding import deviation, encode, fresh, tensors_at, widened
from modules import Layer, rounded

HOMES = {"": nn.utils, "parametrize": parametrize, "parametrizations": parametrizations, "prune": prune, "fusion": fusion}


def find(fn):
    home, _, leaf = fn.rpartition(".")
    return getattr(HOMES[home], leaf)


def fill(module):
    """Round numbers in all parameters and buffers; variances are positive."""
    with torch.no_grad():
        for name, value in [*module.named_parameters(), *module.named_buffers()]:
            if value.is_floating_point():
                numbers = rounded(*value.shape)
                value.copy_(numbers.abs() + 0.3 if "var" in name else numbers)
    return module


def plain(state):
    return {name: value.detach().clone() for name, value in state.items()}


class Change:
    """One record: a layer, what changes it, and inputs. With `before`, the recorded state is that of the layer before the change."""

    def __init__(self, fn, layer, inputs, before=False, training=False, calls=1, then=(), removal=None, edit=None, **kwargs):
        self.fn, self.layer, self.inputs, self.kwargs = fn, layer, inputs, kwargs
        self.before, self.training, self.calls = before, training, calls
        self.then, self.removal, self.edit = then, removal, edit

    def changed(self, module, kwargs):
        find(self.fn)(module, **kwargs)
        for fn, more in self.then:
            find(fn)(module, **more)
        return module

    def first_state(self):
        module = fill(self.layer.build())
        if self.before:
            return plain(module.state_dict())
        self.changed(module, self.kwargs)
        if self.edit:
            with torch.no_grad():
                self.edit(module)
        return plain(module.state_dict())

    def answer(self, state, inputs, cotangents=None, wide=False):
        module = self.layer.build()
        module = (module.double() if wide else module).train(self.training)
        kwargs = widened(self.kwargs) if wide else self.kwargs
        if self.before:
            module.load_state_dict(state)
        self.changed(module, kwargs)
        if not self.before:
            module.load_state_dict(state)
        start = plain(module.state_dict())
        for _ in range(self.calls):
            out = module(*inputs)
        outputs = tensors_at(out, "out")
        cotangents = cotangents or {path: rounded(*value.shape) for path, value in outputs}
        sum((value * cotangents[path].to(value.dtype)).sum() for path, value in outputs).backward()
        grads = {name: parameter.grad for name, parameter in module.named_parameters()}
        after = plain(module.state_dict())
        removed = None
        if self.removal:
            module.eval()
            find(self.removal[0])(module, **self.removal[1])
            removed = plain(module.state_dict())
        return start, out, cotangents, grads, after, removed

    def record(self):
        state = self.first_state()
        _, out, cotangents, grads, after, removed = self.answer(state, fresh(self.inputs))
        _, out64, _, grads64, _, _ = self.answer(widened(state), widened(self.inputs), cotangents, True)
        pairs = zip(tensors_at(out, ""), tensors_at(out64, ""))
        layer = self.layer.encoded()
        return {
            "fn": self.fn,
            "cls": layer["cls"],
            "ctor": {"args": layer["args"], "kwargs": layer["kwargs"]},
            "training": self.training,
            "state_dict": encode(state, False),
            "args": encode(self.inputs, False),
            "kwargs": encode(self.kwargs, False),
            **({"then": [{"fn": fn, "kwargs": encode(kwargs, False)} for fn, kwargs in self.then]} if self.then else {}),
            "calls": self.calls,
            "out": encode(out, False),
            "cot": encode(cotangents, False),
            "param_grad": encode(grads, False),
            "state_after": encode(after, False),
            **({"removal": {"fn": self.removal[0], "kwargs": self.removal[1], "state": encode(removed, False)}} if self.removal else {}),
            "dev": [
                max(deviation(a, b) for (_, a), (_, b) in pairs),
                max([deviation(g, grads64[name]) for name, g in grads.items() if g is not None], default=0.0),
            ],
            "note": f"the state dict is that of the module {'before' if self.before else 'after'} the change",
        }


def weight_norms():
    gone = lambda **kwargs: ("remove_weight_norm", kwargs)
    x = rounded(4, 3)
    yield Change("weight_norm", Layer("Linear", 3, 4), [x], removal=gone())
    yield Change("weight_norm", Layer("Linear", 3, 4, bias=False), [x], dim=None, removal=gone(name="weight"))
    yield Change("weight_norm", Layer("Linear", 3, 4), [x], before=True, name="weight", dim=1)
    yield Change("weight_norm", Layer("Linear", 3, 4), [x], before=True, dim=-1)
    yield Change("weight_norm", Layer("Linear", 3, 4), [x], before=True, name="bias")
    yield Change("weight_norm", Layer("Conv2d", 2, 3, 3), [rounded(2, 2, 5, 5)], before=True, removal=gone())
    yield Change("weight_norm", Layer("ConvTranspose1d", 2, 3, 3), [rounded(2, 2, 5)], dim=1)
    yield Change("weight_norm", Layer("Embedding", 5, 3), [torch.tensor([[1, 4], [0, 1]])])
    yield Change("weight_norm", Layer("LSTM", 3, 2, num_layers=2), [rounded(4, 2, 3)], name="weight_hh_l0", removal=gone(name="weight_hh_l0"))
    yield Change("weight_norm", Layer("GRU", 3, 2, bidirectional=True), [rounded(4, 2, 3)], name="weight_ih_l0_reverse", dim=None)
    yield Change("weight_norm", Layer("GRUCell", 3, 2), [rounded(4, 3)], name="weight_ih")
    twice = [("weight_norm", {"name": "bias", "dim": None})]
    yield Change("weight_norm", Layer("Linear", 3, 4), [x], before=True, then=twice)


def spectral_norms():
    x = rounded(4, 3)
    gone = ("remove_spectral_norm", {})
    yield Change("spectral_norm", Layer("Linear", 3, 4), [x], removal=gone)
    yield Change("spectral_norm", Layer("Linear", 3, 4), [x], training=True, n_power_iterations=3, removal=gone)
    yield Change("spectral_norm", Layer("Linear", 3, 4), [x], training=True, calls=3, dim=1, eps=1e-6)
    yield Change("spectral_norm", Layer("Conv2d", 4, 6, 3, groups=2), [rounded(2, 4, 5, 5)], training=True)
    yield Change("spectral_norm", Layer("ConvTranspose2d", 2, 3, 3), [rounded(2, 2, 4, 4)], training=True)
    yield Change("spectral_norm", Layer("RNN", 3, 2), [rounded(4, 2, 3)], training=True, name="weight_hh_l0")
    fn, gone = "parametrizations.spectral_norm", ("parametrize.remove_parametrizations", {"tensor_name": "weight"})
    yield Change(fn, Layer("Linear", 3, 4), [x], removal=gone)
    yield Change(fn, Layer("Linear", 3, 4), [x], training=True, calls=3, n_power_iterations=2, dim=1)
    yield Change(fn, Layer("Linear", 3, 4), [x], training=True, before=True, name="bias")
    yield Change(fn, Layer("ConvTranspose1d", 2, 3, 3), [rounded(2, 2, 5)], training=True)
    original = ("parametrize.remove_parametrizations", {"tensor_name": "weight_hh", "leave_parametrized": False})
    yield Change(fn, Layer("GRUCell", 3, 2), [rounded(4, 3)], name="weight_hh", removal=original)


def orthogonals():
    fn, gone = "parametrizations.orthogonal", ("parametrize.remove_parametrizations", {"tensor_name": "weight"})

    def away(module):
        """The free matrix away from its start; those of reflections have signs on their diagonal."""
        original = module.parametrizations.weight.original
        original.add_(rounded(*original.shape) * 0.3)
        if module.parametrizations.weight[0].orthogonal_map is parametrizations._OrthMaps.householder:
            diagonal = original.diagonal(dim1=-2, dim2=-1)
            diagonal.copy_(torch.where(torch.arange(diagonal.shape[-1]) % 2 == 0, -1.0, 1.0).expand_as(diagonal))

    for name in ("matrix_exp", "cayley", "householder"):
        for columns, rows in ((3, 3), (3, 5), (5, 3)):
            layer, inputs = Layer("Linear", columns, rows, bias=False), [rounded(2, columns)]
            yield Change(fn, layer, inputs, orthogonal_map=name, removal=gone)
            yield Change(fn, layer, inputs, orthogonal_map=name, edit=away)
            yield Change(fn, layer, inputs, orthogonal_map=name, use_trivialization=False, edit=away)
        batch = [rounded(2, 4), rounded(2, 3)]
        yield Change(fn, Layer("Bilinear", 4, 3, 2), batch, orthogonal_map=name, edit=away)
    yield Change(fn, Layer("Linear", 3, 3), [rounded(2, 3)], before=True)
    yield Change(fn, Layer("Linear", 3, 5), [rounded(2, 3)])
    for columns, rows in ((3, 5), (5, 3), (3, 3)):
        layer, inputs = Layer("Linear", columns, rows), [rounded(2, columns)]
        yield Change(fn, layer, inputs, before=True, orthogonal_map="householder", use_trivialization=False, removal=gone)


def prunings():
    gone = ("prune.remove", {"name": "weight"})
    x, linear = rounded(4, 3), Layer("Linear", 3, 4)
    conv, image = Layer("Conv2d", 2, 4, 3), rounded(2, 2, 5, 5)
    cut = lambda fn, layer=linear, inputs=x, **kwargs: Change("prune." + fn, layer, [inputs], before=True, name="weight", **kwargs)
    yield cut("identity", removal=gone)
    yield cut("l1_unstructured", amount=5, removal=gone)
    for amount in (0.375, 1.0, 0, 1):
        yield cut("l1_unstructured", amount=amount)
    yield cut("l1_unstructured", amount=0.3, importance_scores=rounded(4, 3))
    yield cut("ln_structured", conv, image, amount=2, n=2, dim=0, removal=gone)
    yield cut("ln_structured", conv, image, amount=0.5, n=1, dim=1)
    yield cut("ln_structured", conv, image, amount=1, n=float("inf"), dim=-1)
    yield cut("ln_structured", Layer("Linear", 5, 4), rounded(2, 5), amount=0.5, n=3, dim=-1, importance_scores=rounded(4, 5))
    bias = ("prune.remove", {"name": "bias"})
    yield Change("prune.custom_from_mask", linear, [x], before=True, name="bias", mask=torch.tensor([1, 0, 1, 0]), removal=bias)
    yield Change("prune.l1_unstructured", Layer("LSTM", 3, 2), [rounded(4, 2, 3)], before=True, name="weight_ih_l0", amount=10)
    more = [
        ("prune.l1_unstructured", {"name": "weight", "amount": 0.34}),
        ("prune.ln_structured", {"name": "weight", "amount": 1, "n": 2, "dim": 0}),
        ("prune.custom_from_mask", {"name": "weight", "mask": torch.ones(4, 3).triu(-2)}),
        ("prune.ln_structured", {"name": "weight", "amount": 0.5, "n": 1, "dim": 1}),
    ]
    yield cut("l1_unstructured", amount=3, then=more, removal=gone)
    for fn, kwargs in (("random_unstructured", {"amount": 5}), ("random_structured", {"amount": 2, "dim": 0})):
        yield Change("prune." + fn, linear, [x], name="weight", **kwargs)
    yield Change("weight_norm", linear, [x], before=True, then=[("prune.l1_unstructured", {"name": "weight_g", "amount": 2})])


def fusions():
    def fused(fn, layer, norm, inputs, **kwargs):
        modules = [fill(one.build()).eval() for one in (layer, norm)]
        result = find(fn)(*modules, **kwargs)
        described = [(one.encoded(), module) for one, module in zip((layer, norm), modules)]
        return {
            "fn": fn,
            "modules": [
                {"cls": one["cls"], "ctor": {"args": one["args"], "kwargs": one["kwargs"]}, "state_dict": encode(plain(module.state_dict()), False)}
                for one, module in described
            ],
            "args": [encode(inputs)],
            "kwargs": kwargs,
            "out": encode(result(inputs), False),
            "state": encode(plain(result.state_dict()), False),
            "note": "the modules in evaluation mode; out = what the fused one gives for args",
        }

    image = rounded(2, 2, 5, 5)
    yield fused("fuse_conv_bn_eval", Layer("Conv2d", 2, 3, 3), Layer("BatchNorm2d", 3), image)
    yield fused("fuse_conv_bn_eval", Layer("Conv1d", 2, 3, 3, bias=False), Layer("BatchNorm1d", 3, affine=False, eps=0.01), rounded(2, 2, 5))
    yield fused("fuse_conv_bn_eval", Layer("ConvTranspose2d", 2, 3, 3), Layer("BatchNorm2d", 3), image, transpose=True)
    yield fused("fusion.fuse_linear_bn_eval", Layer("Linear", 3, 4), Layer("BatchNorm1d", 4), rounded(4, 3))
    yield fused("fusion.fuse_linear_bn_eval", Layer("Linear", 3, 4, bias=False), Layer("BatchNorm1d", 4), rounded(4, 3))
    weights = lambda *shape: [rounded(*shape), rounded(3), rounded(3), rounded(3).abs() + 0.1, 1e-3, rounded(3), rounded(3)]
    linear, bare = weights(3, 2), weights(3, 2, 3, 3)
    linear[1] = bare[1] = bare[5] = bare[6] = None
    for fn, args in (
        ("fuse_conv_bn_weights", weights(3, 2, 3, 3)),
        ("fuse_conv_bn_weights", bare),
        ("fusion.fuse_linear_bn_weights", linear),
    ):
        yield {"fn": fn, "args": encode(args, False), "kwargs": {}, "out": encode(find(fn)(*args), False)}


def calls():
    x = rounded(4, 3)
    for layer, names, args in (
        (Layer("Linear", 3, 4), ["weight"], (x,)),
        (Layer("Sequential", Layer("Linear", 3, 4), Layer("BatchNorm1d", 4)), ["0.bias", "1.running_mean", "1.running_var"], x),
    ):
        module = fill(layer.build()).eval()
        state = plain(module.state_dict())
        given = {name: rounded(*state[name].shape).abs() for name in names}
        encoded = layer.encoded()
        yield {
            "fn": "stateless.functional_call",
            "cls": encoded["cls"],
            "ctor": {"args": encoded["args"], "kwargs": encoded["kwargs"]},
            "training": False,
            "state_dict": encode(state, False),
            "args": encode([given, args], False),
            "kwargs": {},
            "out": encode(stateless.functional_call(module, given, args), False),
            "note": "args = parameters_and_buffers, args of the call",
        }


def utility_records():
    for family in (weight_norms, spectral_norms, orthogonals, prunings):
        for change in family():
            yield change.record()
    yield from fusions()
    yield from calls()
