"""A reranking server that counts the longer words which a text shares with the query, in both protocols."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


def shared_words(query, texts):
    wanted = _longer_words(query)
    return [float(len(wanted & _longer_words(text))) for text in texts]


def _longer_words(text):
    return set(re.findall(r"\w{4,}", text.casefold()))


@dataclass(frozen=True)
class Protocol:
    kind: str
    answer: Callable[[dict[str, Any]], Any]
    """Makes a request's body the answer to it, best texts first."""


def _cohere(body):
    scores = shared_words(body["query"], body["documents"])
    return {"results": [{"index": n, "relevance_score": scores[n]} for n in _best_first(scores)]}


def _tei(body):
    assert len(body["texts"]) <= 32
    scores = shared_words(body["query"], body["texts"])
    return [{"index": n, "score": scores[n]} for n in _best_first(scores)]


def _best_first(scores):
    return sorted(range(len(scores)), key=lambda number: -scores[number])


COHERE, TEI = Protocol("cohere", _cohere), Protocol("tei", _tei)
