"""all-MiniLM-L6-v2 in plain numpy over its published safetensors, with the reference tokenizer: shares no code with us."""

import json
import struct

import numpy as np
from tokenizers import Tokenizer

_LAYERS, _HEADS, _LIMIT = 6, 12, 256


class ReferenceMiniLM:
    def __init__(self, folder):
        self._weights = _read(folder / "model.safetensors")
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(_LIMIT)

    def tokens(self, text):
        return self.tokenizer.encode(text).ids

    def embed(self, text):
        return self.embed_tokens(self.tokens(text))

    def embed_tokens(self, tokens):
        weights = self._weights
        hidden = weights["embeddings.word_embeddings.weight"][tokens]
        hidden = hidden + weights["embeddings.position_embeddings.weight"][: len(tokens)]
        hidden = hidden + weights["embeddings.token_type_embeddings.weight"][0]
        hidden = self._norm("embeddings.LayerNorm", hidden)
        for number in range(_LAYERS):
            hidden = self._layer(f"encoder.layer.{number}", hidden)
        mean = hidden.mean(axis=0)
        return mean / np.linalg.norm(mean)

    def _layer(self, name, hidden):
        split = [
            self._linear(f"{name}.attention.self.{part}", hidden).reshape(len(hidden), _HEADS, -1).transpose(1, 0, 2)
            for part in ("query", "key", "value")
        ]
        queries, keys, values = split
        scores = queries @ keys.transpose(0, 2, 1) / np.sqrt(queries.shape[-1])
        attention = np.exp(scores - scores.max(axis=-1, keepdims=True))
        attention /= attention.sum(axis=-1, keepdims=True)
        mixed = (attention @ values).transpose(1, 0, 2).reshape(len(hidden), -1)
        attended = self._linear(f"{name}.attention.output.dense", mixed)
        hidden = self._norm(f"{name}.attention.output.LayerNorm", hidden + attended)
        inner = _gelu(self._linear(f"{name}.intermediate.dense", hidden))
        return self._norm(f"{name}.output.LayerNorm", hidden + self._linear(f"{name}.output.dense", inner))

    def _linear(self, name, values):
        return values @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"]

    def _norm(self, name, values):
        centred = values - values.mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt(values.var(axis=-1, keepdims=True) + 1e-12)
        return scaled * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"]


def _gelu(values):
    # Abramowitz and Stegun 7.1.26, error below 1.5e-7.
    argument = np.abs(values) / np.sqrt(2)
    t = 1 / (1 + 0.3275911 * argument)
    series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    return values * (1 + np.sign(values) * (1 - series * np.exp(-(argument**2)))) / 2


def _read(path):
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        data = file.read()
    return {
        name: np.frombuffer(data[slice(*about["data_offsets"])], dtype=np.float32).reshape(about["shape"])
        for name, about in header.items()
        if about.get("dtype") == "F32"
    }
