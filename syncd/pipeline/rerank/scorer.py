"""What computes relevance, and the proof that it does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

from syncd.errors import PermanentError

PROBES = (
    ("What is the capital of France?", "Paris is the capital of France and its largest city."),
    ("How do I reset my password?", "Open the account settings to reset your password."),
    ("When is the library open on Sunday?", "The library is open from ten until four on Sunday."),
    ("Why does bread dough rise?", "Bread dough will rise because yeast makes gas in it."),
)
"""Questions with their answers. Each answer is the best of all four for its question, and for no other one."""


class Scorer(Protocol):
    """Computes how well texts answer a query. Safe to use from many tasks at once."""

    async def scores(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        """Return one finite number for each text, the higher the better.

        Raises RetryableError while it cannot be had, PermanentError for a configuration that cannot work.
        """
        ...


async def prove(scorer: Scorer) -> None:
    """Return if a scorer puts each question's answer first. Twice is safe.

    Conversions of rerankers to GGUF often lack what they need and score by chance (llama.cpp#16407, #25447), and a server may
    run another kind of model. Raises PermanentError which says so, and what `Scorer.scores` raises.
    """
    texts = [answer for _, answer in PROBES]
    for number, (question, _) in enumerate(PROBES):
        found = await scorer.scores(question, texts)
        if max(range(len(texts)), key=found.__getitem__) != number or found.count(found[number]) > 1:
            shown = ", ".join(f"{score:.3g}" for score in found)
            raise PermanentError(
                f"it does not rank: for {question!r} it gives its answer, number {number + 1} of these, no higher score than "
                f"others ({shown}); use a reranking model, and of GGUFs one that was converted as a reranker"
            )


def checked(scores: Sequence[float], count: int) -> Sequence[float]:
    """Return scores that are one finite number for each of `count` texts. Raises ValueError for others."""
    if len(scores) != count or not all(map(math.isfinite, scores)):
        raise ValueError(f"{len(scores)} scores for {count} texts, or some that are not finite")
    return scores
