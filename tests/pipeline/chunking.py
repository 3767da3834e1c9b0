"""The chunks of a document in one list, for tests and benchmarks that do not care how they come."""

from __future__ import annotations

from collections.abc import Iterable

from syncd.model import Chunk, Chunking, Part
from syncd.pipeline.chunk import chunk_document


def chunks_of_document(
    parts: Iterable[Part], path: str, chunking: Chunking | None = None, parsed_segments: int | None = None
) -> list[Chunk]:
    batches = chunk_document(parts, path, chunking or Chunking(), parsed_segments)
    return [chunk for batch in batches for chunk in batch]
