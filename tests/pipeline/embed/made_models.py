"""GGUFs of two published architectures with random weights and few layers: granite-embedding-r2's ModernBERT, EmbeddingGemma."""

import gguf
import numpy as np

from tests.benchmarks.make_qwen3_shape import Vocabulary

WIDTH, INNER, HEADS, LAYERS = 64, 96, 4, 6
SPM_WORDS = ("▁", "a", "▁lamp", "▁door", "task", "title", ":")


def write_granite(path):
    """The smallest of granite-embedding-r2, with fewer and narrower layers: ModernBERT, pooled by [CLS], 8,192 positions."""
    writer = gguf.GGUFWriter(path, "modern-bert")
    _describe(writer, context=8192, pooling=gguf.PoolingType.CLS)
    writer.add_layer_norm_eps(1e-5)
    writer.add_causal_attention(False)
    writer.add_sliding_window(128)
    writer.add_sliding_window_pattern(3)
    writer.add_rope_freq_base(80_000.0)
    writer.add_rope_scaling_type(gguf.RopeScalingType.NONE)
    tokens = [*Vocabulary.of_bytes().tokens[:-1], "[CLS]", "[SEP]", "[PAD]"]
    _add_tokens(writer, "gpt2", tokens, control=(256, 257, 258))
    writer.add_tokenizer_pre("modern-bert")
    writer.add_token_merges(["a b"])
    for add, token in ((writer.add_bos_token_id, 256), (writer.add_eos_token_id, 257), (writer.add_sep_token_id, 257)):
        add(token)
    _write(writer, _granite_tensors(len(tokens), np.random.default_rng(0)))


def write_gemma(path, dense=True):
    """EmbeddingGemma with fewer and narrower layers: pooled by the mean, then the two layers of `dense`, 2,048 positions."""
    writer = gguf.GGUFWriter(path, "gemma-embedding")
    _describe(writer, context=2048, pooling=gguf.PoolingType.MEAN)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_head_count_kv(1)
    writer.add_key_length(WIDTH // HEADS)
    writer.add_value_length(WIDTH // HEADS)
    writer.add_sliding_window(512)
    writer.add_rope_freq_base(1_000_000.0)
    if dense:
        writer.add_dense_features_dims("dense_2", WIDTH, 4 * WIDTH)
        writer.add_dense_features_dims("dense_3", 4 * WIDTH, WIDTH)
    tokens = ["<pad>", "<eos>", "<bos>", "<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), *SPM_WORDS]
    types = [gguf.TokenType.CONTROL] * 3 + [gguf.TokenType.UNKNOWN] + [gguf.TokenType.BYTE] * 256
    _add_tokens(writer, "llama", tokens, types=[*types, *[gguf.TokenType.NORMAL] * len(SPM_WORDS)])
    writer.add_token_scores([-float(number) for number in range(len(tokens))])
    for add, token in ((writer.add_bos_token_id, 2), (writer.add_eos_token_id, 1), (writer.add_unk_token_id, 3)):
        add(token)
    _write(writer, _gemma_tensors(len(tokens), dense, np.random.default_rng(0)))


def _describe(writer, context, pooling):
    writer.add_name("random weights")
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_context_length(context)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(INNER)
    writer.add_block_count(LAYERS)
    writer.add_head_count(HEADS)
    writer.add_pooling_type(pooling)


def _add_tokens(writer, kind, tokens, control=(), types=None):
    normal, special = gguf.TokenType.NORMAL, gguf.TokenType.CONTROL
    writer.add_tokenizer_model(kind)
    writer.add_token_list(tokens)
    writer.add_token_types(types or [special if number in control else normal for number in range(len(tokens))])
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(True)


def _write(writer, tensors):
    for name, values in tensors:
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _matrix(random, rows, columns):
    return random.standard_normal((rows, columns), dtype=np.float32) * 0.1


def _gains(width):
    return np.ones(width, dtype=np.float32)


def _granite_tensors(tokens, random):
    yield "token_embd.weight", _matrix(random, tokens, WIDTH)
    yield "token_embd_norm.weight", _gains(WIDTH)
    yield "output_norm.weight", _gains(WIDTH)
    for block in (f"blk.{number}" for number in range(LAYERS)):
        if block != "blk.0":
            yield f"{block}.attn_norm.weight", _gains(WIDTH)
        yield f"{block}.attn_qkv.weight", _matrix(random, 3 * WIDTH, WIDTH)
        yield f"{block}.attn_output.weight", _matrix(random, WIDTH, WIDTH)
        yield f"{block}.ffn_norm.weight", _gains(WIDTH)
        yield f"{block}.ffn_up.weight", _matrix(random, 2 * INNER, WIDTH)
        yield f"{block}.ffn_down.weight", _matrix(random, WIDTH, INNER)


def _gemma_tensors(tokens, dense, random):
    head = WIDTH // HEADS
    yield "token_embd.weight", _matrix(random, tokens, WIDTH)
    yield "output_norm.weight", _gains(WIDTH)
    if dense:
        yield "dense_2.weight", _matrix(random, 4 * WIDTH, WIDTH)
        yield "dense_3.weight", _matrix(random, WIDTH, 4 * WIDTH)
    for block in (f"blk.{number}" for number in range(LAYERS)):
        for norm in ("attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm"):
            yield f"{block}.{norm}.weight", _gains(WIDTH)
        yield f"{block}.attn_q_norm.weight", _gains(head)
        yield f"{block}.attn_k_norm.weight", _gains(head)
        yield f"{block}.attn_q.weight", _matrix(random, WIDTH, WIDTH)
        yield f"{block}.attn_k.weight", _matrix(random, head, WIDTH)
        yield f"{block}.attn_v.weight", _matrix(random, head, WIDTH)
        yield f"{block}.attn_output.weight", _matrix(random, WIDTH, WIDTH)
        yield f"{block}.ffn_gate.weight", _matrix(random, INNER, WIDTH)
        yield f"{block}.ffn_up.weight", _matrix(random, INNER, WIDTH)
        yield f"{block}.ffn_down.weight", _matrix(random, WIDTH, INNER)
