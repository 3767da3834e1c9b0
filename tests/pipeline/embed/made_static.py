"""Small static models in the formats that model2vec 0.10 and sentence-transformers write."""

import json
import struct

import numpy as np
from tokenizers import Tokenizer
from tokenizers.models import BPE, Unigram, WordPiece
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import Metaspace, Whitespace

WORDS = ["[PAD]", "[UNK]", "lamp", "door", "the", "is", "lit", "##s", "##ed", "open", ".", "a", "b"]
DIMENSIONS = 24


def write_tensors(path, tensors, bits="U16"):
    """A safetensors file, as the library of that name writes it. `bits` is what the numbers of 16 bits mean."""
    kinds = {"float32": "F32", "float16": "F16", "float64": "F64", "int8": "I8", "int32": "I32", "int64": "I64"}
    kinds["uint16"] = bits
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, values in tensors.items():
        begin, data = len(data), data + values.tobytes()
        header[name] = {
            "dtype": kinds[values.dtype.name],
            "shape": list(values.shape),
            "data_offsets": [begin, len(data)],
        }
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(head)) + head + data)


def wordpieces():
    tokenizer = Tokenizer(WordPiece({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = Lowercase()
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(pad_id=0, pad_token="[PAD]", length=8)
    return tokenizer


def unigrams():
    tokenizer = Tokenizer(Unigram([("<unk>", 0.0), *((f"▁{word}", -2.0) for word in WORDS[2:])], unk_id=0))
    tokenizer.pre_tokenizer = Metaspace()
    return tokenizer


def pairs():
    """Byte pairs without an unknown token: what it cannot spell it leaves out."""
    vocabulary = {letter: number for number, letter in enumerate("abdelmnoprst.")}
    tokenizer = Tokenizer(BPE({**vocabulary, "la": len(vocabulary)}, [("l", "a")]))
    tokenizer.pre_tokenizer = Whitespace()
    return tokenizer


def write_static(folder, tokenizer=None, kind="float32", quantised=False, layout="model2vec", config=None):
    """A model whose tokens have random vectors; `quantised`: fewer rows than tokens, with a mapping and weights."""
    tokenizer, random = tokenizer or wordpieces(), np.random.default_rng(0)
    tokens = tokenizer.get_vocab_size()
    rows = 5 if quantised else tokens
    table = random.standard_normal((rows, DIMENSIONS)) * (40 if kind == "int8" else 1)
    tensors = {"embeddings" if layout == "model2vec" else "embedding.weight": table.astype(kind)}
    if quantised:
        tensors["mapping"] = random.integers(0, rows, tokens)
        tensors["weights"] = random.random(tokens)
    inner = folder / "0_StaticEmbedding" if layout == "nested" else folder
    write_tensors(inner / "model.safetensors", tensors)
    tokenizer.save(str(inner / "tokenizer.json"))
    name = "config.json" if layout == "model2vec" else "config_sentence_transformers.json"
    about = (
        {"model_type": "model2vec", "normalize": True}
        if layout == "model2vec"
        else {"model_type": "SentenceTransformer"}
    )
    (folder / name).write_text(json.dumps({**about, **(config or {})}))
    return folder
