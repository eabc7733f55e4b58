"""Writes ../signatures.json: the parameter lists of PyTorch 1.13's public callables.

Needs PyTorch (Debian's python3-torch); run by hand when the table must grow. Each value is a list of overloads in the
form `Type name=default, *, Type? name`, taken from the operator schemas of ATen where they exist and from Python's
`inspect` where they do not.
"""
import inspect, json, os, re, sys
import torch
import torch.nn.functional as F
import torch.ao.quantization as Q

table = {}
dispatched = lambda fn: getattr(F, "_" + fn.__name__, None) if getattr(fn, "__name__", "") == "fn" else None


def from_python(obj, skip_self=False):
    try:
        signature = inspect.signature(obj)
    except (TypeError, ValueError):
        return None
    parts, star = [], False
    parameters = list(signature.parameters.values())
    if skip_self and parameters and parameters[0].name == "self":
        parameters = parameters[1:]
    for p in parameters:
        if p.kind is p.VAR_KEYWORD:
            continue
        if p.kind is p.VAR_POSITIONAL:
            parts.append("*" + p.name)
            star = True
            continue
        if p.kind is p.KEYWORD_ONLY and not star:
            parts.append("*")
            star = True
        if p.default is p.empty:
            parts.append(p.name)
        else:
            default = p.default if isinstance(p.default, (int, float, bool, type(None), str)) else "..."
            parts.append(f"{p.name}={json.dumps(default) if isinstance(default, str) and default != '...' else default}")
    if parts == ["*args"]:
        return None
    return ", ".join(parts)


def from_schemas(name):
    out = []
    for schema in torch._C._jit_get_schemas_for_operator(name):
        text = str(schema)
        if not any(str(a.type) in ("Tensor", "Optional[Tensor]", "List[Tensor]") for a in list(schema.arguments) + list(schema.returns)):
            continue
        body = re.match(r"[^(]*\((.*)\) -> ", text).group(1)
        if "Dict(" in body or re.search(r"\bt\[\]", body) or "[] self" in body or " out)" in body + ")" or "(a!) out" in body or "Tensor(b!)" in body:
            continue
        body = re.sub(r"\((\w)( -> \*)?!?( -> \*)?\)", "", body)
        if "Tensor self" in body:
            body = body.replace("Tensor self", "Tensor input", 1)
        body = re.sub(r"\bScalar self\b", "Scalar input", body)
        out.append(body)
    return out


def add(name, value):
    values = value if isinstance(value, list) else [value] if value is not None else []
    known = table.setdefault(name, [])
    for v in values:
        if v not in known:
            known.append(v)


def functions(namespace, module, prefix):
    for name in dir(module):
        obj = getattr(module, name)
        if name.startswith("__") or inspect.isclass(obj) or inspect.ismodule(obj) or not callable(obj):
            continue
        target = obj
        if namespace == "torch.nn.functional" and getattr(F, "_" + name, None) is not None and from_python(obj) in (None, "*args"):
            target = getattr(F, "_" + name)
        python = from_python(target)
        schemas = []
        for p in prefix:
            schemas += from_schemas(p + name)
        if python is not None:
            add(f"{namespace}.{name}", python)
        if python is None or "*" in python.split(", ")[0]:
            add(f"{namespace}.{name}", schemas)


functions("torch", torch, ["aten::"])
functions("torch.nn.functional", F, ["aten::"])
functions("torch.linalg", torch.linalg, ["aten::linalg_"])
functions("torch.fft", torch.fft, ["aten::fft_"])
functions("torch.special", torch.special, ["aten::special_"])
functions("torch.sparse", torch.sparse, ["aten::sparse_", "aten::_sparse_"])
functions("torch.nn.init", torch.nn.init, [])
import torch.nn.utils.rnn as rnn, torch.nn.utils.parametrizations as parametrizations, torch.nn.utils.prune as prune, torch.nn.utils.parametrize as parametrize
import torch.nn.utils.fusion as fusion, torch.nn.utils.stateless as stateless
functions("torch.nn.utils", torch.nn.utils, [])
functions("torch.nn.utils.rnn", rnn, [])
functions("torch.nn.utils.parametrizations", parametrizations, [])
functions("torch.nn.utils.parametrize", parametrize, [])
functions("torch.nn.utils.prune", prune, [])
functions("torch.nn.utils.fusion", fusion, [])
functions("torch.nn.utils.stateless", stateless, [])
for name in [name for name in table if name.startswith("torch.nn.utils.prune.")]:
    # 1.0 is everything, 1 is one.
    table[name] = [re.sub(r"\bamount\b", "Scalar amount", text) for text in table[name]]
functions("torch.autograd", torch.autograd, [])
functions("torch.autograd.functional", torch.autograd.functional, [])
functions("torch.autograd.forward_ad", torch.autograd.forward_ad, [])
for name in ("default_collate", "random_split"):
    add("torch.utils.data." + name, from_python(getattr(torch.utils.data, name)))

for name in dir(torch.Tensor):
    if name.startswith("_") and not name.startswith("__"):
        continue
    obj = getattr(torch.Tensor, name)
    if not callable(obj):
        continue
    python = from_python(obj)
    schemas = from_schemas("aten::" + name)
    if python is not None and not schemas:
        add("Tensor." + name, python.replace("self", "input", 1))
    else:
        add("Tensor." + name, schemas)
        if python is not None:
            add("Tensor." + name, python.replace("self", "input", 1))

for namespace, module in (("torch.nn", torch.nn), ("torch.optim", torch.optim), ("torch.optim.lr_scheduler", torch.optim.lr_scheduler),
                          ("torch.optim.swa_utils", torch.optim.swa_utils), ("torch.utils.data", torch.utils.data),
                          ("torch.ao.quantization", Q)):
    for name in dir(module):
        cls = getattr(module, name)
        if inspect.isclass(cls) and not name.startswith("_"):
            init = from_python(cls.__init__, True)
            if init is not None:
                add(f"{namespace}.{name}", init)
            if issubclass(cls, torch.nn.Module):
                forward = from_python(cls.forward, True)
                if forward and not forward.startswith("*"):
                    add(f"{namespace}.{name}.forward", forward)
import torch.utils.data.distributed
add("torch.utils.data.DistributedSampler", from_python(torch.utils.data.distributed.DistributedSampler.__init__, True))
table["torch.nn.functional.scaled_dot_product_attention"] = ["Tensor query, Tensor key, Tensor value, Tensor? attn_mask=None, float dropout_p=0.0, bool is_causal=False"]
for name in ("RNN", "LSTM", "GRU"):
    modes = {"RNN": ", nonlinearity=\"tanh\"", "LSTM": "", "GRU": ""}
    table["torch.nn." + name] = [f"input_size, hidden_size, num_layers=1, bias=True, batch_first=False, dropout=0.0, bidirectional=False{', proj_size=0' if name == 'LSTM' else modes[name]}"]

table.update({
    "torch.unique": ["Tensor input, bool sorted=True, bool return_inverse=False, bool return_counts=False, int? dim=None"],
    "Tensor.unique": ["Tensor input, bool sorted=True, bool return_inverse=False, bool return_counts=False, int? dim=None"],
    "torch.unique_consecutive": ["Tensor input, bool return_inverse=False, bool return_counts=False, int? dim=None"],
    "Tensor.unique_consecutive": ["Tensor input, bool return_inverse=False, bool return_counts=False, int? dim=None"],
    "torch.tensor": ["data, *, dtype=None, device=None, requires_grad=False, pin_memory=False"],
    "torch.as_tensor": ["data, dtype=None, device=None"],
    "torch.asarray": ["obj, *, dtype=None, device=None, copy=None, requires_grad=False"],
    "Tensor.new_tensor": ["input, data, *, dtype=None, device=None, requires_grad=False"],
    "torch.einsum": ["str equation, *operands"],
    "torch.nonzero": ["Tensor input, *, bool as_tuple=False"],
    "Tensor.nonzero": ["Tensor input, *, bool as_tuple=False"],
    "Tensor.norm": ["input, p=\"fro\", dim=None, keepdim=False, dtype=None"],
    "torch.nn.functional.logsigmoid": ["Tensor input"],
    "torch.lu": ["Tensor A, bool pivot=True, bool get_infos=False"],
    "Tensor.item": ["Tensor input"],
    "Tensor.tolist": ["Tensor input"],
    "Tensor.size": ["Tensor input, int? dim=None"],
    "Tensor.stride": ["Tensor input, int? dim=None"],
    "Tensor.__getitem__": ["input, key"],
    "Tensor.__setitem__": ["input, key, value"],
    "torch.backward": table["torch.autograd.backward"],
    "Tensor.backward": ["input, gradient=None, retain_graph=None, create_graph=False, inputs=None"],
})
table = {k: v for k, v in sorted(table.items()) if v}
path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "signatures.json")
with open(path, "w") as out:
    out.write("{\n" + ",\n".join(f" {json.dumps(k)}: {json.dumps(v)}" for k, v in table.items()) + "\n}\n")
print(len(table), os.path.getsize(path))
