"""A vision model and its projector as two GGUF files of some kilobytes: random weights, so it speaks nonsense, but it speaks."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

WIDTH, HEADS, HIDDEN, IMAGE, PATCH = 32, 2, 64, 28, 14
LETTERS = "▁abcdefghijklmnopqrstuvwxyz."


def write_language_model(file: Path) -> None:
    random = np.random.default_rng(0)
    writer = gguf.GGUFWriter(str(file), "llama")
    tokens = [
        b"<unk>",
        b"<s>",
        b"</s>",
        *(f"<0x{byte:02X}>".encode() for byte in range(256)),
        *map(str.encode, LETTERS),
    ]
    special, byte, normal = gguf.TokenType.CONTROL, gguf.TokenType.BYTE, gguf.TokenType.NORMAL
    writer.add_block_count(1)
    writer.add_context_length(4096)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types([special] * 3 + [byte] * 256 + [normal] * len(LETTERS))
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template(
        "{% for m in messages %}{% for part in m.content %}{{ part.text }}{% endfor %}{% endfor %} so"
    )

    def add(name: str, *shape: int) -> None:
        writer.add_tensor(name, random.standard_normal(shape, np.float32) * 0.3)

    add("token_embd.weight", len(tokens), WIDTH)
    # letters are far likelier than raw bytes
    output = random.standard_normal((len(tokens), WIDTH), np.float32)
    output[: -len(LETTERS)] *= 0.001
    writer.add_tensor("output.weight", output)
    writer.add_tensor("output_norm.weight", np.ones(WIDTH, np.float32))
    for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
        add(f"blk.0.{part}.weight", WIDTH, WIDTH)
    for part in ("ffn_gate", "ffn_up"):
        add(f"blk.0.{part}.weight", HIDDEN, WIDTH)
    add("blk.0.ffn_down.weight", WIDTH, HIDDEN)
    for part in ("attn_norm", "ffn_norm"):
        writer.add_tensor(f"blk.0.{part}.weight", np.ones(WIDTH, np.float32))
    _write(writer)


def write_projector(file: Path) -> None:
    random = np.random.default_rng(1)
    writer = gguf.GGUFWriter(str(file), "clip")
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_string("clip.projector_type", "mlp")
    writer.add_bool("clip.use_gelu", True)
    numbers = {
        "image_size": IMAGE, "patch_size": PATCH, "embedding_length": WIDTH, "feed_forward_length": HIDDEN,
        "block_count": 2, "projection_dim": WIDTH, "attention.head_count": HEADS,
    }  # fmt: skip
    for name, value in numbers.items():
        writer.add_uint32(f"clip.vision.{name}", value)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-5)
    writer.add_array("clip.vision.image_mean", [0.5, 0.5, 0.5])
    writer.add_array("clip.vision.image_std", [0.5, 0.5, 0.5])

    def add(name: str, *shape: int) -> None:
        writer.add_tensor(name, random.standard_normal(shape, np.float32) * 0.3)

    def add_layer(name: str, outputs: int, inputs: int) -> None:
        add(f"{name}.weight", outputs, inputs)
        writer.add_tensor(f"{name}.bias", np.zeros(outputs, np.float32))

    def add_norm(name: str) -> None:
        writer.add_tensor(f"{name}.weight", np.ones(WIDTH, np.float32))
        writer.add_tensor(f"{name}.bias", np.zeros(WIDTH, np.float32))

    add("v.patch_embd.weight", WIDTH, 3, PATCH, PATCH)
    add("v.class_embd", WIDTH)
    add("v.position_embd.weight", (IMAGE // PATCH) ** 2 + 1, WIDTH)
    add_norm("v.pre_ln")
    for block in range(2):
        for part in ("attn_q", "attn_k", "attn_v", "attn_out"):
            add_layer(f"v.blk.{block}.{part}", WIDTH, WIDTH)
        add_layer(f"v.blk.{block}.ffn_up", HIDDEN, WIDTH)
        add_layer(f"v.blk.{block}.ffn_down", WIDTH, HIDDEN)
        add_norm(f"v.blk.{block}.ln1")
        add_norm(f"v.blk.{block}.ln2")
    add_layer("mm.0", WIDTH, WIDTH)
    add_layer("mm.2", WIDTH, WIDTH)
    _write(writer)


def _write(writer: gguf.GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
