"""The standard metadata on every chunk: where its text comes from, down to bytes and lines. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from hashlib import sha256
from typing import BinaryIO

from syncd.model import Chunk, Document, Scalar, SourceRecord

Value = Scalar | Sequence[Scalar]


def chunk_metadata(
    document: Document, source: SourceRecord, version: str, chunk: Chunk, index: int
) -> dict[str, Value]:
    """Return a chunk's metadata: the document's own and ours; empty values are omitted.

    Of LINEAGE_KEYS ours count. What else we know of a chunk goes under `syncd_…` where the document has a key of that name.

    The number of chunks is known only when all are made, so it is added when they are staged.
    Nothing in it depends on when or how often the document was indexed, so an unchanged chunk's metadata stays the same.
    """
    span = chunk.span
    lineage: dict[str, Value] = {
        "source_id": source.id,
        "source_type": source.type,
        "key": document.key,
        "version": version,
        "chunk_index": index,
        "start_byte": span.start_byte,
        "end_byte": span.end_byte,
        "start_line": span.start_line,
        "end_line": span.end_line,
        "stage": chunk.stage,
    }
    heading = chunk.stage == "markdown"
    optional: dict[str, Value | None] = {
        "page": span.page,
        "page_label": span.page_label,
        "last_page": span.last_page,
        "language": chunk.language,
        "symbol": chunk.symbol,
        "symbol_kind": chunk.symbol_kind,
        "heading_path" if heading else "scope": " > ".join(chunk.scope),
        "stage_note": chunk.note,
    }
    for name, value in optional.items():
        if value not in (None, ""):
            lineage[f"syncd_{name}" if name in document.metadata else name] = value
    return {**document.metadata, **lineage, **anchored(document, span.start_byte)}


def anchored(document: Document, start_byte: int) -> dict[str, Value]:
    """Return the URL of the nearest anchor at or before a chunk's start, if its page has anchors."""
    number = bisect_right(document.anchors, start_byte, key=lambda anchor: anchor[0])
    address = document.metadata.get("url")
    return {"url": f"{address}#{document.anchors[number - 1][1]}"} if number and address else {}


def display_path(document: Document) -> str:
    """Return the name that breadcrumbs show and that decides the language."""
    return document.display_name or document.name or document.key


def digest(file: BinaryIO) -> tuple[str, int]:
    """Return a file's SHA-256 and size, and put it back to its start."""
    hasher, size_bytes = sha256(), 0
    while block := file.read(1 << 20):
        hasher.update(block)
        size_bytes += len(block)
    file.seek(0)
    return hasher.hexdigest(), size_bytes
