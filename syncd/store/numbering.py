"""Which number each chunk of a document gets, and what the vector store must be told about each number. Pure.

Chunk numbers are sticky: a chunk whose text did not change keeps its number, and so its id, wherever it moves. Rewriting a
vector costs Chroma many times its first write, so only what differs is written.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from syncd.store.changes import NewChunk


@dataclass(slots=True)
class ChunkNumbering:
    """Which new chunk takes which number, and what Chroma must be told about each number."""

    numbers: list[int]
    ops: dict[int, str]


def number_chunks(old: Mapping[int, NewChunk], new: Collection[NewChunk]) -> ChunkNumbering:
    """Give every new chunk a number: its old one where text and vector are the same, otherwise the lowest free one."""
    waiting: defaultdict[tuple[str, bytes], list[int]] = defaultdict(list)
    for number in sorted(old, reverse=True):
        waiting[(old[number].text, old[number].vector_key)].append(number)
    kept = [
        waiting[(chunk.text, chunk.vector_key)].pop() if waiting[(chunk.text, chunk.vector_key)] else None
        for chunk in new
    ]
    taken = {number for number in kept if number is not None}
    free = (number for number in range(len(old) + len(new) + max(old, default=0) + 1) if number not in taken)
    numbers = [number if number is not None else next(free) for number in kept]
    ops: dict[int, str] = {}
    for number, chunk, stays in zip(numbers, new, kept, strict=True):
        if stays is None:
            ops[number] = "replace" if number in old else "add"
        elif dict(old[number].metadata) != (metadata := staged_metadata(chunk, len(new))):
            # Chroma merges metadata: a key that is no longer there would stay.
            ops[number] = "update" if old[number].metadata.keys() <= metadata.keys() else "replace"
    used = set(numbers)
    ops.update({number: "delete" for number in old if number not in used})
    return ChunkNumbering(numbers, ops)


def changed_vectors(
    old: Mapping[int, NewChunk], new: Collection[NewChunk], numbering: ChunkNumbering
) -> Iterator[bytes]:
    """Yield the keys of the vectors that chunks begin or cease to use; those of chunks that stay are held by them."""
    changed = {number for number, op in numbering.ops.items() if op != "update"}
    yield from (old[number].vector_key for number in changed & old.keys())
    yield from (chunk.vector_key for number, chunk in zip(numbering.numbers, new, strict=True) if number in changed)


def staged_metadata(chunk: NewChunk, count: int) -> dict[str, Any]:
    """Return a chunk's metadata with the number of its document's chunks, which is known when all of them are there."""
    return {**chunk.metadata, "chunk_count": count}
