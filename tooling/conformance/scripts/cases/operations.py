"""`ops/*`: the sample inputs and error inputs of PyTorch's own operator database, as records.

The index (`ops/index.json` of the case folder) says how each entry is called; entries that it leaves out are left out here.
"""

import random

import torch
from torch.testing._internal.common_methods_invocations import op_db

from encoding import Unencodable, deviation, encode, fresh, tensors_at, widened

KINDS = {
    "f": torch.float32,
    "i": torch.int64,
    "b": torch.bool,
    "c": torch.complex64,
    "d": torch.float64,
    "z": torch.complex128,
    "h": torch.float16,
    "g": torch.bfloat16,
    "u": torch.uint8,
    "a": torch.int8,
    "s": torch.int16,
    "l": torch.int32,
}
PROPERTIES = {"T", "H", "mT", "mH", "shape", "real", "imag", "data", "dtype", "ndim", "is_leaf", "requires_grad"}
# Which outputs of a factorisation do not depend on the choice of its vectors.
INVARIANT = {"svd": ("out.1", "out"), "lowrank": ("out.1", "out"), "eigh": ("out.0", "out")}
ORDERED = "sort topk argsort argmax argmin mode median nanmedian msort kthvalue max min cummax cummin aminmax".split()


def resolve(call):
    """The callable that a name such as `torch.a.b` or `Tensor.name` stands for; None where 1.13 has none."""
    head, *rest = call.split(".")
    if head == "Tensor":
        name = rest[0]
        if name in PROPERTIES:
            return lambda x: getattr(x, name)
        return lambda x, *args, **kwargs: getattr(x, name)(*args, **kwargs)
    target = torch
    for part in rest:
        target = getattr(target, part, None)
    return target


def identical(a, b):
    """Whether two results agree, nan as nan."""
    left, right = tensors_at(a, "out"), tensors_at(b, "out")
    return len(left) == len(right) and all(
        x.shape == y.shape and x.dtype == y.dtype and (x.numel() == 0 or torch.allclose(x, y, equal_nan=True))
        for (_, x), (_, y) in zip(left, right)
    )


def method_names(op, args, kwargs, out):
    """The Tensor method and the in-place method that give the same answer."""
    found = {}
    name = op.name.split(".")[-1]
    if not isinstance(args[0], torch.Tensor) or op.name.startswith(("linalg", "fft", "nn.")):
        return found
    for field, method in (("method", name), ("inplace", name + "_")):
        if not callable(getattr(torch.Tensor, method, None)):
            continue
        try:
            values, options = [x.detach().clone() if isinstance(x, torch.Tensor) else x for x in args], dict(kwargs)
            result = getattr(values[0], method)(*values[1:], **options)
            if identical(result, out) and (field == "method" or (isinstance(out, torch.Tensor) and identical(values[0], out))):
                found[field] = method
        except Exception:
            continue
    return found


def record_of(op, entry, function, sample, dtype, name):
    args, kwargs = [sample.input, *sample.args], dict(sample.kwargs)
    record = {
        "id": name,
        "op": op.name,
        "variant": op.variant_test_name,
        "call": entry["call"],
        "dtype": str(dtype).split(".")[-1],
        "cmp": entry["cmp"],
        "args": encode(args),
        "kwargs": encode(kwargs),
    }
    values, options = fresh(args), fresh(kwargs)
    leaves = [x for x in tensors_at(values, "args") + tensors_at(options, "kwargs") if x[1].requires_grad]
    mutates = entry["call"].endswith("_") and not entry["call"].endswith("__")
    called = [x.clone() if mutates and isinstance(x, torch.Tensor) else x for x in values]
    out = function(*called, **options)
    if entry["cmp"] == "close":
        reference = op(fresh(sample.input), *fresh(sample.args), **fresh(kwargs))
        if not identical(out, reference):
            raise Unencodable("the public call differs from the database's")
    record["out"] = encode(out, False)
    outputs = tensors_at(out, "out")
    close = entry["cmp"] == "close"
    wide_args, wide_kwargs, wide, dev, dev_grad = widened(args), widened(kwargs), {}, 0.0, 0.0
    if dtype.is_floating_point or dtype.is_complex:
        try:
            wide = dict(tensors_at(function(*wide_args, **wide_kwargs), "out"))
        except Exception:
            wide = {}
        if close:
            dev = max([deviation(t, wide[path]) for path, t in outputs if path in wide] or [0.0])
    elif close:
        # Integers that are computed in float32.
        dev = 1e-6 if any(t.is_floating_point() or t.is_complex() for _, t in outputs) else 0.0
    if dev > (0.5 if dtype in (torch.float16, torch.bfloat16) else 1e-2):
        raise Unencodable("float32 and float64 disagree")
    wanted = [(path, t) for path, t in outputs if t.requires_grad]
    if entry["cmp"] in INVARIANT:
        wanted = [(path, t) for path, t in wanted if path in INVARIANT[entry["cmp"]]]
    elif not close:
        wanted = []
    if leaves and wanted:
        wide_type = lambda t: torch.complex128 if t.is_complex() else torch.float64
        cotangents = [torch.randn(t.shape, dtype=torch.complex64 if t.is_complex() else torch.float32).to(t.dtype) for _, t in wanted]
        gradients = torch.autograd.grad([t for _, t in wanted], [t for _, t in leaves], cotangents, allow_unused=True)
        record["cot"] = {path: encode(c, False) for (path, _), c in zip(wanted, cotangents)}
        record["grad"] = {path: None if g is None else encode(g, False) for (path, _), g in zip(leaves, gradients)}
        wide_leaves = [t for _, t in tensors_at(wide_args, "args") + tensors_at(wide_kwargs, "kwargs") if t.requires_grad]
        if wide:
            targets = [wide[path] for path, _ in wanted]
            again = torch.autograd.grad(targets, wide_leaves, [c.to(wide_type(t)) for c, t in zip(cotangents, targets)], allow_unused=True)
            dev_grad = max([deviation(x, y) for x, y in zip(gradients, again) if x is not None and y is not None] or [0.0])
            if dev_grad > 1e-2:
                raise Unencodable("gradients of float32 and float64 disagree")
    record["dev"] = [dev, dev_grad] if "grad" in record else [dev]
    if close and not leaves:
        record.update(method_names(op, args, kwargs, out))
    elif close:
        record.update(method_names(op, [x.detach() if isinstance(x, torch.Tensor) else x for x in args], fresh(kwargs), out))
    source = args[0].detach() if isinstance(args[0], torch.Tensor) else None
    if source is not None and (op.name in ORDERED or "max_pool" in op.name):
        if torch.unique(source.reshape(-1)).numel() < source.numel():
            record["flags"] = ["ties"]
    return record


def samples_of(op, dtype, most):
    grad = op.supports_autograd and (dtype.is_floating_point or dtype.is_complex)
    samples = list(op.sample_inputs("cpu", dtype, requires_grad=grad))
    if len(samples) > most:
        samples = [samples[i] for i in sorted(random.sample(range(len(samples)), most))]
    return samples


def operation_records(index, kinds, most, only=None, log=print):
    """Yields (family, record)."""
    entries = {(e["op"], e["variant"]): e for e in index}
    for op in op_db:
        entry = entries.get((op.name, op.variant_test_name))
        if entry is None or entry["internal"] or entry["prototype"] or entry["random"] or (only and op.name not in only):
            continue
        function = resolve(entry["call"])
        if function is None:
            continue
        title = op.name + (f"/{op.variant_test_name}" if op.variant_test_name else "")
        for kind in kinds:
            dtype = KINDS[kind]
            if not op.supports_dtype(dtype, "cpu"):
                continue
            try:
                samples = samples_of(op, dtype, most)
            except Exception as error:
                log(f"{title} {kind}: no samples: {error!r}"[:160])
                continue
            for i, sample in enumerate(samples):
                try:
                    record = record_of(op, entry, function, sample, dtype, f"{title}#{kind}{i}")
                except Exception as error:
                    log(f"{title} {kind}{i}: {error!r}"[:160])
                    continue
                yield ("complex" if dtype.is_complex else entry["family"]), record


def error_records(index, log=print):
    """Yields records of calls that PyTorch refuses."""
    entries = {(e["op"], e["variant"]): e for e in index}
    for op in op_db:
        entry = entries.get((op.name, op.variant_test_name))
        if entry is None or entry["internal"] or entry["prototype"] or op.error_inputs_func is None:
            continue
        function = resolve(entry["call"])
        title = op.name + (f"/{op.variant_test_name}" if op.variant_test_name else "")
        try:
            inputs = list(op.error_inputs("cpu"))
        except Exception as error:
            log(f"{title}: no error inputs: {error!r}"[:160])
            continue
        for i, item in enumerate(inputs):
            sample = item.sample_input
            try:
                record = {
                    "id": f"{title}#e{i}",
                    "op": op.name,
                    "variant": op.variant_test_name,
                    "call": entry["call"],
                    "args": encode([sample.input, *sample.args]),
                    "kwargs": encode(dict(sample.kwargs)),
                }
            except Exception as error:
                log(f"{title} e{i}: {error!r}"[:160])
                continue
            try:
                function(sample.input, *sample.args, **sample.kwargs)
            except Exception as error:
                yield {**record, "error_type": type(error).__name__, "message": str(error)[:300]}
