"""BERT's word pieces as its authors cut them: llama.cpp's own tokenizer drops the vowels of Korean and Hindi.

It maps every character to the first one of its decomposition, which loses most of a Hangul syllable, and strips the
spacing marks of Indic scripts together with accents; such texts get vectors far from the model's (cosine 0.5).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from syncd.pipeline.embed.windows import TokenIds

_WORD_BEGINS = "\u2581"


class WordPieces:
    """Cuts text by the vocabulary of an uncased BERT model, as its GGUF spells it. Special tokens are plain text."""

    def __init__(self, vocabulary: Sequence[str], special: frozenset[int], unknown: int) -> None:
        pieces = {_piece(text, number in special): number for number, text in enumerate(vocabulary)}
        self._tokenizer = Tokenizer(WordPiece(pieces, unk_token=vocabulary[unknown]))
        self._tokenizer.normalizer = BertNormalizer()
        self._tokenizer.pre_tokenizer = BertPreTokenizer()

    def tokens(self, text: str) -> TokenIds:
        """Return the tokens of `text` without any special token, but one unknown for each word that has no pieces."""
        clean = text.encode("utf-8", "replace").decode()
        return np.array(self._tokenizer.encode(clean, add_special_tokens=False).ids, dtype=np.int32)


def _piece(text: str, special: bool) -> str:
    if special:
        return text
    return text[1:] if text.startswith(_WORD_BEGINS) else "##" + text
