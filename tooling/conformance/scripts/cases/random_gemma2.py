"""`gemma2` made by chance: small Hugging Face folders of odd sizes, and what the model of gemma2_reference.py says of them in float64.

Sizes that no vector divides, windows shorter than the text, caps, bases and scalars of all kinds, fields that are absent or older, ties and biases, four
dtypes, one file or many with their header anywhere. What float32 itself rounds too far from float64 is left out.
"""

import gzip
import json
import math
import os
import random
import struct

import torch

from encoding import DTYPE_NAMES, number
from gemma2_reference import Model

LOGITS, HIDDEN, GRADIENT, GAP, SMALLEST = 4e-4, 2e-5, 1e-4, 5e-3, 1e-4
"""What float32 may differ by from float64, how far the best token must be ahead of the next, and the least gradient: what is below comes of cancellation."""
LONGEST = 40


def configuration(r):
    """All fields of a configuration, and those that its file has."""
    shared = r.choice([1, 1, 2, 3, 4])
    heads = shared * r.choice([1, 1, 2, 3, 4] if shared < 4 else [1, 2])
    size = r.choice([2, 4, 6, 8, 10, 14, 16, 18, 20, 24, 30, 32, 34, 48, 64, 66, 96, 128, 256])
    if size > 64:
        heads, shared = r.choice([(1, 1), (2, 1), (2, 2), (3, 1)])
    layers = r.choice([1, 1, 2, 2, 3, 3, 4, 5])
    vocabulary = r.choice([3, 5, 17, 31, 33, 64, 97, 127, 129, 255, 257, 301, 511])
    stored = {
        "model_type": "gemma2",
        "architectures": ["Gemma2ForCausalLM"],
        "vocab_size": vocabulary,
        "hidden_size": r.choice([1, 2, 3, 5, 7, 8, 12, 16, 17, 20, 24, 31, 32, 33, 40, 48, 56, 63, 64, 65, 72, 96, 100, 130]),
        "intermediate_size": r.choice([1, 3, 7, 9, 15, 16, 17, 31, 33, 47, 63, 64, 65, 85, 97, 127, 129, 200]),
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": shared,
        "head_dim": size,
    }
    defaults = {
        "sliding_window": 4096,
        "query_pre_attn_scalar": 256,
        "attn_logit_softcapping": 50.0,
        "final_logit_softcapping": 30.0,
        "rope_theta": 10000.0,
        "rms_norm_eps": 1e-6,
        "attention_bias": False,
        "tie_word_embeddings": True,
        "max_position_embeddings": 8192,
    }
    chosen = {
        "sliding_window": r.choice([1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 33, 100, 4096]),
        "query_pre_attn_scalar": r.choice([size, 256, 144, 1, 0.5, 20, 224.0, 7.3]),
        "attn_logit_softcapping": r.choice([None, 50.0, 50, 5.0, 0.7, 30]),
        "final_logit_softcapping": r.choice([None, 30.0, 30, 5.0, 100]),
        "rope_theta": r.choice([10000.0, 10000, 1e6, 100.0, 1.5, 500000, 1.0]),
        "rms_norm_eps": r.choice([1e-6, 1e-6, 1e-5, 1e-3, 1e-2, 0.5]),
        "attention_bias": r.random() < 0.12,
        "tie_word_embeddings": r.random() < 0.7,
        "max_position_embeddings": r.choice([64, 64, 128, 8192, 48]),
    }
    stored.update({key: value for key, value in chosen.items() if value != defaults[key] or r.random() < 0.5})
    if "rope_theta" in stored and r.random() < 0.15:
        stored["rope_parameters"] = {"rope_type": "default", "rope_theta": stored.pop("rope_theta")}
    sliding = [layer % 2 == 0 for layer in range(layers)]
    if r.random() < 0.25:
        sliding = [r.random() < 0.5 for _ in sliding]
        stored["layer_types"] = ["sliding_attention" if slides else "full_attention" for slides in sliding]
    stored.update(r.choice([{}, {"hidden_act": "gelu_pytorch_tanh"}, {"hidden_act": "gelu_pytorch_tanh", "hidden_activation": None}]))
    if r.random() < 0.7:
        stored.update(bos_token_id=min(2, vocabulary - 1), pad_token_id=0, eos_token_id=r.choice([1, [1], [1, vocabulary - 1], None]))
    more = {"sliding_window_size": 3, "rope_scaling": None, "cache_implementation": "hybrid", "torch_dtype": "float32", "quantization_config": None}
    stored.update({key: value for key, value in more.items() if r.random() < 0.3})
    fields = list(stored.items())
    r.shuffle(fields)
    return {**defaults, **stored, **chosen}, sliding, dict(fields)


def make_weights(r, config):
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    queries, keys = (config[f"num_{kind}_heads"] * config["head_dim"] for kind in ("attention", "key_value"))
    weights = {"model.embed_tokens.weight": torch.randn(config["vocab_size"], hidden) * r.choice([0.1, 0.3, 1.0])}

    def linear(name, rows, columns):
        weights[name + ".weight"] = torch.randn(rows, columns) * r.uniform(0.5, 2) / math.sqrt(columns)
        if config["attention_bias"] and "self_attn" in name:
            weights[name + ".bias"] = torch.randn(rows) * 0.3

    for layer in range(config["num_hidden_layers"]):
        at = f"model.layers.{layer}."
        for name, rows, columns in (
            ("self_attn.q_proj", queries, hidden),
            ("self_attn.k_proj", keys, hidden),
            ("self_attn.v_proj", keys, hidden),
            ("self_attn.o_proj", hidden, queries),
            ("mlp.gate_proj", inner, hidden),
            ("mlp.up_proj", inner, hidden),
            ("mlp.down_proj", hidden, inner),
        ):
            linear(at + name, rows, columns)
        for norm in ("input", "post_attention", "pre_feedforward", "post_feedforward"):
            weights[f"{at}{norm}_layernorm.weight"] = torch.randn(hidden) * 0.4
    weights["model.norm.weight"] = torch.randn(hidden) * 0.4
    if not config["tie_word_embeddings"]:
        weights["lm_head.weight"] = torch.randn(config["vocab_size"], hidden) * 0.4
    return weights


STORED = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def element_bytes(tensor, kind):
    stored = tensor.to(STORED[kind])
    return (stored.view(torch.int16) if kind == "BF16" else stored).numpy().tobytes()


def write_safetensors(r, path, tensors):
    """`tensors`: name → (tensor, kind). The data begin anywhere: not every writer pads its header."""
    header = {"__metadata__": {"format": "pt"}} if r.random() < 0.7 else {}
    data = b""
    for name, (tensor, kind) in tensors.items():
        elements = element_bytes(tensor, kind)
        header[name] = {"dtype": kind, "shape": list(tensor.shape), "data_offsets": [len(data), len(data) + len(elements)]}
        data += elements
    text = json.dumps(header).encode()
    if r.random() < 0.6:
        text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def write_folder(r, folder, fields, weights, tied):
    """Writes the weights, and rounds them in place to what was written."""
    os.makedirs(folder, exist_ok=True)
    kind = r.choice(["F32", "F32", "BF16", "F16", "F64", None])
    tensors = {name: (weight, kind or r.choice(["F32", "BF16", "F16"])) for name, weight in weights.items()}
    for name, (weight, stored) in tensors.items():
        weights[name] = weight.to(STORED[stored]).float()
    if tied and r.random() < 0.2:
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"]
    elif tied and r.random() < 0.1:
        # As a base model without its head names them.
        tensors = {name[len("model.") :]: tensor for name, tensor in tensors.items()}
    names = list(tensors)
    r.shuffle(names)
    parts = r.choice([1, 1, 1, 2, 3, len(names)])
    ends = sorted(r.sample(range(1, len(names)), parts - 1)) + [len(names)]
    indexed = parts > 1 or r.random() < 0.2
    files, begin = {}, 0
    for part, end in enumerate(ends):
        file = f"model-{part + 1:05}-of-{parts:05}.safetensors" if indexed else "model.safetensors"
        write_safetensors(r, os.path.join(folder, file), {name: tensors[name] for name in names[begin:end]})
        files.update({name: file for name in names[begin:end]})
        begin = end
    if indexed:
        write_json(os.path.join(folder, "model.safetensors.index.json"), {"metadata": {}, "weight_map": files})
    write_json(os.path.join(folder, "config.json"), fields)


def write_json(path, value):
    with open(path, "w") as file:
        json.dump(value, file)


def encode(tensor):
    """As encoding.py does, of any length."""
    dtype = DTYPE_NAMES[tensor.dtype]
    return {"$": "tensor", "dtype": dtype, "shape": list(tensor.shape), "data": [number(x, dtype) for x in tensor.detach().reshape(-1).tolist()]}


def difference(a, b):
    return (a - b).abs().max().item()


def answers(r, model, log):
    """Records of one model."""
    wide, narrow = model.to(torch.float64), model.to(torch.float32)
    vocabulary, limit = model.config["vocab_size"], model.config["max_position_embeddings"]
    window = min(LONGEST, model.config["sliding_window"])

    def text(length):
        return [r.randrange(vocabulary) for _ in range(length)]

    lengths = {1, 2, window, min(LONGEST, window + 1), min(LONGEST, 2 * window + 1), r.randint(3, LONGEST)}
    lengths = r.sample(sorted(lengths), min(len(lengths), 4))
    for length in lengths:
        ids, seen, rounded = text(length), {}, {}
        logits, other = wide.forward(ids, seen), narrow.forward(ids, rounded)
        if difference(logits, other) <= LOGITS:
            yield {"kind": "logits", "input_ids": ids, "logits": encode(logits.float())}
        else:
            log(f"logits of {length} tokens: {difference(logits, other)}")
        if length == max(lengths):
            for name, value in seen.items():
                if difference(value, rounded[name]) <= HIDDEN:
                    yield {"kind": "hidden", "name": name, "input_ids": ids, "value": encode(value.float())}
        new = []
        for _ in range(min(r.choice([1, 5, 12]), limit - length)):
            best = torch.topk(wide.forward(ids + new)[-1], 2)
            if best.values[0] - best.values[1] < GAP:
                break
            new.append(int(best.indices[0]))
        if new:
            yield {"kind": "greedy", "input_ids": ids, "new_ids": new}
    yield from batch(wide, narrow, [text(r.randint(1, 12)), text(r.randint(2, 20))])
    yield from loss(wide, narrow, text(r.randint(2, 16)))


def batch(wide, narrow, texts):
    """Texts of unequal lengths, padded on the left: each is what it is alone."""
    length = max(map(len, texts))
    last = [wide.forward(text)[-1] for text in texts]
    if any(difference(row, narrow.forward(text)[-1]) > LOGITS for row, text in zip(last, texts)):
        return
    padding = [length - len(text) for text in texts]
    yield {
        "kind": "padded_batch",
        "input_ids": encode(torch.tensor([[0] * pad + text for pad, text in zip(padding, texts)])),
        "attention_mask": encode(torch.tensor([[0] * pad + [1] * len(text) for pad, text in zip(padding, texts)])),
        "last_logits": encode(torch.stack(last).float()),
    }


def gradients(model, ids):
    for weight in model.weights.values():
        weight.requires_grad_().grad = None
    found = torch.nn.functional.cross_entropy(model.forward(ids)[:-1], torch.tensor(ids[1:]))
    found.backward()
    return found.item(), {name: weight.grad for name, weight in model.weights.items()}


def loss(wide, narrow, ids):
    (found, exact), (_, rounded) = gradients(wide, ids), gradients(narrow, ids)
    kept = {name: grad for name, grad in exact.items() if grad.norm() >= SMALLEST and difference(grad, rounded[name]) <= GRADIENT * grad.abs().max()}
    statistics = {name: {"l2": grad.norm().item(), "sum": grad.sum().item(), "absmax": grad.abs().max().item()} for name, grad in kept.items()}
    few = {name: encode(grad.float()) for name, grad in list(kept.items())[-4:]}
    yield {"kind": "loss", "input_ids": ids, "loss": found, "grad_stats": statistics, "grads": few}


def write_models(out, count, seed, log):
    """Writes `count` folders and their reference files; gives the number of records."""
    total = 0
    for number in range(seed, seed + count):
        r = random.Random(number)
        torch.manual_seed(number)
        config, sliding, fields = configuration(r)
        weights = make_weights(r, config)
        name = f"model{number:05}"
        write_folder(r, os.path.join(out, name), fields, weights, config["tie_word_embeddings"])
        with gzip.open(os.path.join(out, f"reference_{name}.jsonl.gz"), "wt") as file:
            for i, record in enumerate(answers(r, Model(config, sliding, weights), log)):
                file.write(json.dumps({"id": f"{name}/{record['kind']}/{i}", **record}) + "\n")
                total += 1
    return total
