"""The value encoding of the case files, from PyTorch to JSON."""

import math

import numpy as np
import torch

DTYPE_NAMES = {
    getattr(torch, name): name
    for name in ("bool uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64 complex32 complex64 complex128".split())
}
LONGEST = 6000


class Unencodable(Exception):
    """A value that the case files have no form for."""


def number(x, dtype):
    if isinstance(x, bool):
        return int(x)
    if isinstance(x, float):
        if math.isnan(x):
            return "nan"
        if math.isinf(x):
            return "inf" if x > 0 else "-inf"
        if dtype in ("float32", "complex64"):
            x = float(str(np.float32(x)))
        # JSON keeps the sign of -0.0 only with a point.
        return int(x) if x == int(x) and abs(x) < 2**53 and (x or math.copysign(1, x) > 0) else x
    return x if abs(x) < 2**53 else str(x)


def tensor(value, leaves=True):
    if value.layout != torch.strided or value.is_quantized:
        raise Unencodable(str(value.layout))
    plain = value.detach().resolve_conj().resolve_neg()
    if plain.dtype == torch.complex32:
        plain = plain.to(torch.complex64)
    flat = (torch.view_as_real(plain) if plain.is_complex() else plain).reshape(-1)
    if flat.numel() > LONGEST:
        raise Unencodable(f"{flat.numel()} elements")
    name = DTYPE_NAMES[value.dtype]
    record = {"$": "tensor", "dtype": name, "shape": list(value.shape), "data": [number(x, name) for x in flat.tolist()]}
    if leaves and value.requires_grad and value.is_leaf:
        record["rg"] = 1
    return record


def named_fields(value):
    fields = getattr(value, "_fields", None)
    if fields is None and type(value).__module__.startswith("torch.return_types"):
        names = [n for n in dir(value) if not n.startswith("_") and n not in ("count", "index") and not n.startswith("n_")]
        fields = sorted(names, key=lambda n: next((i for i, x in enumerate(value) if x is getattr(value, n)), 99))
    return list(fields) if fields else None


def encode(value, leaves=True):
    if isinstance(value, torch.Tensor):
        return tensor(value, leaves)
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, (int, np.integer)):
        return int(value) if abs(int(value)) < 2**53 else {"$": "bigint", "v": str(int(value))}
    if isinstance(value, (float, np.floating)):
        value = float(value)
        if not math.isfinite(value):
            return {"$": "float", "v": number(value, "float64")}
        return {"$": "float", "v": value} if value == int(value) else value
    if isinstance(value, complex):
        return {"$": "complex", "v": [value.real, value.imag]}
    if isinstance(value, torch.Size):
        return {"$": "size", "v": list(value)}
    if isinstance(value, tuple):
        record = {"$": "tuple", "v": [encode(x, leaves) for x in value]}
        fields = named_fields(value)
        return {**record, "fields": fields} if fields else record
    if isinstance(value, list):
        return [encode(x, leaves) for x in value]
    if isinstance(value, dict):
        return {key: encode(x, leaves) for key, x in value.items()}
    if isinstance(value, torch.dtype):
        if value not in DTYPE_NAMES:
            raise Unencodable(str(value))
        return {"$": "dtype", "v": DTYPE_NAMES[value]}
    if isinstance(value, slice):
        return {"$": "slice", "v": [value.start, value.stop, value.step]}
    if value is Ellipsis:
        return {"$": "ellipsis"}
    if isinstance(value, (torch.memory_format, torch.layout)):
        kind = "memory_format" if isinstance(value, torch.memory_format) else "layout"
        return {"$": kind, "v": str(value).split(".")[-1]}
    if isinstance(value, torch.device):
        return {"$": "device", "v": str(value)}
    raise Unencodable(str(type(value)))


def map_tensors(fn, value):
    if isinstance(value, torch.Tensor):
        return fn(value)
    if type(value) is tuple:
        return tuple(map_tensors(fn, x) for x in value)
    if isinstance(value, list):
        return [map_tensors(fn, x) for x in value]
    if isinstance(value, dict):
        return {key: map_tensors(fn, x) for key, x in value.items()}
    return value


def tensors_at(value, path, found=None):
    """`[(path, tensor), …]` of a nested value, in the order of its entries."""
    found = [] if found is None else found
    if isinstance(value, torch.Tensor):
        found.append((path, value))
    elif isinstance(value, (tuple, list)):
        for i, x in enumerate(value):
            tensors_at(x, f"{path}.{i}", found)
    elif isinstance(value, dict):
        for key, x in value.items():
            tensors_at(x, f"{path}.{key}", found)
    return found


def fresh(value):
    return map_tensors(lambda t: t.detach().clone().requires_grad_(t.requires_grad), value)


WIDER = {
    torch.float16: torch.float64,
    torch.bfloat16: torch.float64,
    torch.float32: torch.float64,
    torch.complex64: torch.complex128,
}


def widened(value):
    """The same value in double precision, dtype arguments included."""
    if isinstance(value, torch.Tensor):
        return value.detach().clone().to(WIDER.get(value.dtype, value.dtype)).requires_grad_(value.requires_grad)
    if isinstance(value, torch.dtype):
        return WIDER.get(value, value)
    if type(value) is tuple:
        return tuple(widened(x) for x in value)
    if isinstance(value, list):
        return [widened(x) for x in value]
    if isinstance(value, dict):
        return {key: widened(x) for key, x in value.items()}
    return value


def deviation(a, b):
    """max |a - b| / (1 + |b|) over the entries that are finite in both."""
    if a.numel() == 0 or a.shape != b.shape:
        return 0.0
    wide = torch.complex128 if a.is_complex() or b.is_complex() else torch.float64
    a, b = a.detach().to(wide), b.detach().to(wide)
    distance = (a - b).abs() / (1 + b.abs())
    distance = distance[torch.isfinite(distance)]
    return float(distance.max()) if distance.numel() else 0.0
