"""A GGUF of Qwen3-Reranker's architecture whose weights were made by hand: the more words a text shares with the question, the likelier "yes".

Every word of a list is a dimension. The last token attends to all tokens alike, which counts each word; the feed-forward network lets a
word through where it counts it twice, and adds those up in the dimension that "yes" is read from.
"""

import re

import numpy as np

from syncd.pipeline.rerank.prompt import AFTER_TEXT, BEFORE_QUERY, BEFORE_TEXT
from syncd.pipeline.rerank.scorer import PROBES
from tests.benchmarks.make_qwen3_shape import Shape, Vocabulary, write

WIDTH = 128
SHAPE = Shape(layers=1, width=WIDTH, inner=WIDTH, heads=1, kv_heads=1, head_width=WIDTH, context=2048)
YES, NO, FILLER = WIDTH - 1, WIDTH - 2, WIDTH - 3
FRAME = BEFORE_QUERY + BEFORE_TEXT + AFTER_TEXT
TOKENS = len(FRAME) + 40
"""Of a question and a short text in the prompt: the counts are of a length, roughly."""


def words_in(texts):
    """Return the longer words of texts, without those of the prompt."""
    found = dict.fromkeys(word for text in texts for word in re.findall(r"[A-Za-z]{3,}", text))
    return [word for word in found if word not in re.findall(r"[A-Za-z]+", FRAME)]


def vocabulary_of(words):
    return Vocabulary.of_bytes().with_words([*(f"Ġ{word}" for word in words), "yes", "no"])


def write_lexical(path, texts=()):
    """Write the model to `path`; it knows the words of the probes and of these texts."""
    words = words_in([text for probe in PROBES for text in probe] + list(texts))
    vocabulary = vocabulary_of(words)
    assert len(words) <= FILLER
    write(path, vocabulary, SHAPE, kind="F32", tensors=list(tensors_of(vocabulary, words)))


def tensors_of(vocabulary, words):
    once = np.eye(WIDTH, dtype=np.float32)
    none, plain, scale = np.zeros_like(once), np.ones(WIDTH, dtype=np.float32), np.sqrt(WIDTH)
    rows = np.tile(once[FILLER], (len(vocabulary.tokens), 1))
    for number, word in enumerate(words):
        rows[vocabulary.tokens.index(f"Ġ{word}")] = once[number]
    rows[vocabulary.tokens.index("yes")], rows[vocabulary.tokens.index("no")] = once[YES], once[NO]
    counted = once.copy()
    counted[FILLER, FILLER] = 0
    yield "token_embd.weight", rows
    yield "output_norm.weight", plain
    for name in ("attn_norm", "attn_q_norm", "attn_k_norm", "ffn_norm"):
        yield f"blk.0.{name}.weight", plain
    for name in ("attn_q", "attn_k"):
        yield f"blk.0.{name}.weight", none
    yield "blk.0.attn_v.weight", once
    yield "blk.0.attn_output.weight", counted * np.float32(0.05 * TOKENS / scale)
    twice = once * 40
    twice[:, FILLER] -= 40 * 0.075
    yield "blk.0.ffn_gate.weight", twice
    yield "blk.0.ffn_up.weight", once
    added = none.copy()
    added[YES, :FILLER] = 0.01
    yield "blk.0.ffn_down.weight", added
