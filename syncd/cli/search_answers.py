"""What the daemon answers to searches and reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict

from syncd.json_types import Json


class SpanAnswer(TypedDict):
    """A place in a text, in characters."""

    start: int
    end: int


class HitAnswer(TypedDict):
    """A hit of a search."""

    id: str
    score: float
    text: str
    metadata: Mapping[str, Json]
    collection_name: str
    highlights: Sequence[SpanAnswer]
    stage: str
    indexed_at: str | None
    first_line: int | None
    last_line: int | None
    cut: bool
    also: Sequence[str]


class ReadAnswer(TypedDict):
    """A part of a document."""

    text: str
    next_line: int | None
    next_byte: int | None
    documents: int


class SearchAnswer(TypedDict):
    """The hits of a search."""

    hits: Sequence[HitAnswer]
    notices: Sequence[str]
    next_offset: int | None


class PlaceAnswer(TypedDict):
    """A document or a part of it."""

    key: str
    first_line: int | None
    last_line: int | None


class MadeQuestionAnswer(TypedDict):
    """A question made of a collection's texts."""

    question: str
    answers: Sequence[PlaceAnswer]
    kind: str
    made_from: Sequence[str]
