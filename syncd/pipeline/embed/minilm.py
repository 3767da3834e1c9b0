"""Writes all-MiniLM-L6-v2's published weights (safetensors, BERT) as an F16 GGUF, with numpy and gguf alone.

The tensors and vocabulary are the ones llama.cpp's own converter writes: matrices in F16; norms, biases, positions
and token types in F32; word pieces with a leading U+2581 where a word begins and without `##` where it goes on.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import gguf
import numpy as np

from syncd.errors import PermanentError
from syncd.pipeline.embed.safetensors import read_tensors

WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
VOCABULARY_SHA256 = "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"
REVISION = 1
"""Counts up when the same weights would be written differently. Both are in the converted file's digest (`files`)."""

_LAYERS, _WIDTH, _HEADS, _INNER, _POSITIONS = 6, 384, 12, 1536, 512
_SPECIAL = {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, "[MASK]": 103}

_TENSORS = {
    "embeddings.word_embeddings.weight": "token_embd.weight",
    "embeddings.token_type_embeddings.weight": "token_types.weight",
    "embeddings.position_embeddings.weight": "position_embd.weight",
    "embeddings.LayerNorm": "token_embd_norm",
}
_LAYER_TENSORS = {
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}
_KEPT_F32 = ("token_types.weight", "position_embd.weight")


def convert(source: Path, target: Path) -> None:
    """Write the model in folder `source` (model.safetensors, vocab.txt) to `target`, whole or not at all.

    Takes about a second of CPU. Twice is safe. Raises PermanentError when a file of `source` is not the pinned one.
    """
    weights, vocabulary = source / "model.safetensors", source / "vocab.txt"
    _check(weights, WEIGHTS_SHA256)
    _check(vocabulary, VOCABULARY_SHA256)
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        _write(partial, weights, vocabulary.read_text("utf-8").rstrip("\n").split("\n"))
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _check(path: Path, sha256: str) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise PermanentError(f"{path} is not the published file: sha256 {found}, expected {sha256}")


def _write(path: Path, weights: Path, vocabulary: list[str]) -> None:
    writer = gguf.GGUFWriter(path, "bert")
    _describe(writer)
    _add_vocabulary(writer, vocabulary)
    for name, tensor in read_tensors(weights).items():
        if (target := _target_name(name)) is None:
            continue
        matrix = tensor.ndim > 1 and target not in _KEPT_F32
        writer.add_tensor(target, tensor.astype(np.float16 if matrix else np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _target_name(name: str) -> str | None:
    prefix, _, kind = name.rpartition(".")
    if name in _TENSORS:
        return _TENSORS[name]
    if prefix in _TENSORS:
        return f"{_TENSORS[prefix]}.{kind}"
    if name.startswith("encoder.layer."):
        _, _, number, rest = prefix.split(".", 3)
        return f"blk.{number}.{_LAYER_TENSORS[rest]}.{kind}"
    return None


def _describe(writer: gguf.GGUFWriter) -> None:
    writer.add_name("all-MiniLM-L6-v2")
    writer.add_license("apache-2.0")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_context_length(_POSITIONS)
    writer.add_embedding_length(_WIDTH)
    writer.add_feed_forward_length(_INNER)
    writer.add_block_count(_LAYERS)
    writer.add_head_count(_HEADS)
    writer.add_layer_norm_eps(1e-12)
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)


def _add_vocabulary(writer: gguf.GGUFWriter, vocabulary: list[str]) -> None:
    special = gguf.TokenType.CONTROL
    types = [special if token in _SPECIAL else gguf.TokenType.NORMAL for token in vocabulary]
    types[_SPECIAL["[UNK]"]] = gguf.TokenType.UNKNOWN
    writer.add_tokenizer_model("bert")
    writer.add_token_type_count(2)
    writer.add_token_list([_piece(token) for token in vocabulary])
    writer.add_token_types(types)
    writer.add_bos_token_id(_SPECIAL["[CLS]"])
    writer.add_sep_token_id(_SPECIAL["[SEP]"])
    writer.add_pad_token_id(_SPECIAL["[PAD]"])
    writer.add_unk_token_id(_SPECIAL["[UNK]"])
    writer.add_mask_token_id(_SPECIAL["[MASK]"])
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(True)


def _piece(token: str) -> str:
    if token in _SPECIAL:
        return token
    return token[2:] if token.startswith("##") else "\u2581" + token
