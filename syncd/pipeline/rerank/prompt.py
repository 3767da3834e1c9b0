"""What a Qwen3-Reranker reads: its card's prompt, in which the question and the text are plain text. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from syncd.pipeline.embed.windows import TokenIds

BEFORE_QUERY = (
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct provided. "
    'Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
    "<Instruct>: Given a web search query, retrieve relevant passages that answer the query\n<Query>: "
)
BEFORE_TEXT = "\n<Document>: "
AFTER_TEXT = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
MAX_QUERY_SHARE = 0.25
"""A longer query is cut: it must leave room for the text."""


def window(frame: Sequence[TokenIds], query: TokenIds, text: TokenIds, max_tokens: int) -> TokenIds:
    """Return the tokens of a question and a text in the prompt, whose three parts are `frame`; the text is cut to fit."""
    before, between, after = frame
    query = query[: int(max_tokens * MAX_QUERY_SHARE)]
    room = max_tokens - sum(map(len, (before, query, between, after)))
    return np.concatenate([before, query, between, text[: max(0, room)], after])
