"""Gemma 2 in plain tensor operations (Gemma Team 2024, arXiv 2408.00118), for one sequence, in the dtype of its weights."""

import math

import torch


class Model:
    """Sizes and weights. `config` has the fields of `config.json`, all of them; `sliding` says of each layer whether it has a window."""

    def __init__(self, config, sliding, weights):
        self.config, self.sliding, self.weights = config, sliding, weights

    def to(self, dtype):
        return Model(self.config, self.sliding, {name: weight.to(dtype) for name, weight in self.weights.items()})

    def forward(self, ids, seen=None):
        """Logits [tokens, vocabulary]; `seen` is filled with what comes between, by the names of the case files."""
        config, weights = self.config, self.weights
        seen = {} if seen is None else seen
        table = weights["model.embed_tokens.weight"]
        # The reference rounds the factor to the dtype of its weights, which is float32.
        x = table[torch.tensor(ids)] * torch.tensor(math.sqrt(config["hidden_size"])).to(table.dtype)
        seen["embeddings"] = x
        for layer in range(config["num_hidden_layers"]):
            at = f"model.layers.{layer}."
            attended, probabilities = self.attention(layer, self.norm(at + "input_layernorm", x))
            x = x + self.norm(at + "post_attention_layernorm", attended)
            fed = self.feed_forward(at + "mlp.", self.norm(at + "pre_feedforward_layernorm", x))
            x = x + self.norm(at + "post_feedforward_layernorm", fed)
            seen[f"attention_probs.{layer}"] = probabilities
            seen[f"after_layer.{layer}"] = x
        x = seen["final_norm"] = self.norm("model.norm", x)
        return soft_cap(x @ weights.get("lm_head.weight", table).T, config["final_logit_softcapping"])

    def norm(self, name, x):
        scale = torch.rsqrt((x * x).mean(-1, keepdim=True) + self.config["rms_norm_eps"])
        return x * scale * (1 + self.weights[name + ".weight"])

    def linear(self, name, x):
        y = x @ self.weights[name + ".weight"].T
        bias = self.weights.get(name + ".bias")
        return y if bias is None else y + bias

    def feed_forward(self, at, x):
        gate = self.linear(at + "gate_proj", x)
        gelu = 0.5 * gate * (1 + torch.tanh(math.sqrt(2 / math.pi) * (gate + 0.044715 * gate**3)))
        return self.linear(at + "down_proj", gelu * self.linear(at + "up_proj", x))

    def attention(self, layer, x):
        config, at = self.config, f"model.layers.{layer}.self_attn."
        length, size = x.shape[0], config["head_dim"]
        query, key, value = (self.linear(at + name, x).view(length, -1, size).transpose(0, 1) for name in ("q_proj", "k_proj", "v_proj"))
        query, key = self.rotated(query), self.rotated(key)
        shared = query.shape[0] // key.shape[0]
        key, value = key.repeat_interleave(shared, 0), value.repeat_interleave(shared, 0)
        scores = soft_cap(query @ key.transpose(1, 2) * config["query_pre_attn_scalar"] ** -0.5, config["attn_logit_softcapping"])
        places = torch.arange(length)
        behind = places[:, None] - places[None, :]
        visible = behind >= 0
        if self.sliding[layer]:
            visible &= behind < config["sliding_window"]
        probabilities = torch.softmax(scores.masked_fill(~visible, -1e30), -1)
        mixed = (probabilities @ value).transpose(0, 1).reshape(length, -1)
        return self.linear(at + "o_proj", mixed), probabilities

    def rotated(self, x):
        """Angles are float32 in every dtype, as in the reference."""
        size = x.shape[-1]
        frequencies = 1 / self.config["rope_theta"] ** (torch.arange(0, size, 2).float() / size)
        angles = torch.arange(x.shape[1]).float()[:, None] * frequencies
        cos, sin = (torch.cat([part, part], -1).to(x.dtype) for part in (angles.cos(), angles.sin()))
        low, high = x.split(size // 2, -1)
        return x * cos + torch.cat([-high, low], -1) * sin


def soft_cap(x, cap):
    return x if cap is None else torch.tanh(x / cap) * cap
