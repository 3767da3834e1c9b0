"""Checksums of what is stored: a flipped bit in the file is found before it goes anywhere else."""

from __future__ import annotations

import zlib

DAMAGED = -1
"""The checksum of a vector that is known to be damaged; nothing has it."""


def text_bytes(context: str | bytes, text: str | bytes) -> bytes:
    """Return what the checksum of a chunk's text is taken of."""
    return _encoded(context) + b"\0" + _encoded(text)


def text_checksum(context: str, text: str) -> int:
    """Return the checksum of what the model sees of a chunk."""
    return zlib.crc32(text_bytes(context, text))


def lineage_checksum(vector_key: bytes, metadata: str) -> int:
    """Return the checksum of a chunk's metadata, and of which vector it has."""
    return zlib.crc32(vector_key + _encoded(metadata))


def is_sound(
    text: str, context: str, vector_key: bytes, metadata: str, checksum: int | None, lineage: int | None
) -> bool:
    """Return whether a chunk is what was stored; one from before there were checksums counts as that."""
    return (checksum is None or checksum == text_checksum(context, text)) and (
        lineage is None or lineage == lineage_checksum(vector_key, metadata)
    )


def is_sound_blob(blob: bytes, checksum: int | None) -> bool:
    """Return whether a vector, sparse or not, is what was stored, as `is_sound` does."""
    return checksum is None or checksum == zlib.crc32(blob)


def document_bytes(collection_id: int, *texts: str | bytes) -> bytes:
    """Return what the checksum of a document's row is taken of; `texts` are DOCUMENT_TEXTS."""
    return b"\0".join([collection_id.to_bytes(8, "little", signed=True), *map(_encoded, texts)])


def document_checksum(collection_id: int, *texts: str) -> int:
    """Return the checksum of a document's row."""
    return zlib.crc32(document_bytes(collection_id, *texts))


DOCUMENT_TEXTS = ("source_id", "key", "prefix", "version", "fingerprint", "state", "content_hash")
"""Of a document's row, beside its collection."""
PREPARED_TEXTS = ("source_id", "key", "prefix", "version", "fingerprint", "content_hash", "model", "warnings")
"""Of a prepared document's row, beside its collection; its checksum is made as that of a document's."""


def cursor_checksum(recipe: str, cursor: str) -> int:
    """Return the checksum of a cursor and the configuration that it belongs to."""
    return zlib.crc32(_encoded(recipe) + b"\0" + _encoded(cursor))


def _encoded(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
