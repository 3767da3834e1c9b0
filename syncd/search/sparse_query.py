"""A query as a sparse model encodes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from syncd.model import SparseEncoder, SparseVector


@dataclass(frozen=True, slots=True)
class SparseQuery:
    """The query encoded by the collection's sparse model, for the keyword ranking and for highlighting.

    `vectors`: by fingerprint, of the model and of its earlier versions, which chunks may still have vectors of.
    """

    encoder: SparseEncoder
    vectors: Mapping[str, SparseVector]


async def encoded_query(encoder: SparseEncoder, text: str) -> SparseQuery:
    """Return a query as every version of a model encodes it. Raises as `SparseEncoder.encode` does."""
    versions = [encoder, *encoder.predecessors]
    return SparseQuery(encoder, {one.fingerprint: (await one.encode([text], "query"))[0] for one in versions})
