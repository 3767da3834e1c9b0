"""What may be in one row of a vector store. Pure.

A record that Chroma takes but cannot digest makes its whole collection unreadable, so every one is checked here first; the
same of every store, so that collections can be moved from one to another.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from syncd.errors import PermanentError
from syncd.model import RowMetadata, Rows, Scalar

MetadataRecord = dict[str, Scalar | list[Scalar] | None]

_RESERVED = ("#", "$")
_DOCUMENT_KEY = "chroma:document"


@dataclass(frozen=True, slots=True)
class RecordLimits:
    """How large one record may be; sizes in UTF-8 bytes."""

    id_size_bytes: int
    document_size_bytes: int
    key_size_bytes: int
    value_size_bytes: int
    keys: int
    values: int = 5_000
    """Over all keys. A local server never recovers a collection that once took 5,462 in one record (chromadb 1.5.9)."""


def is_reserved(key: str) -> bool:
    """Return whether Chroma keeps a metadata key of this name to itself."""
    return key.startswith(_RESERVED) or key == _DOCUMENT_KEY


def fits(number: float) -> bool:
    """Return whether Chroma can store a number: finite, whole ones in 64 bits."""
    return math.isfinite(number) if isinstance(number, float) else -(2**63) <= number < 2**63


def check_id(row_id: str, limits: RecordLimits) -> None:
    """Raise PermanentError when `row_id` cannot be an id."""
    if not row_id:
        raise PermanentError("a chunk id must not be empty")
    _check_size(f"the chunk id {row_id[:40]!r}", row_id, limits.id_size_bytes)


def check_document(row_id: str, text: str, limits: RecordLimits) -> None:
    """Raise PermanentError when `text` cannot be the document of `row_id`."""
    _check_size(f"the text of chunk {row_id}", text, limits.document_size_bytes, "use a smaller max_size_bytes")


def record_of(metadata: RowMetadata, limits: RecordLimits, *, keep_none: bool = False) -> MetadataRecord:
    """Return `metadata` as Chroma takes it: without keys whose value is None or empty, sequences as lists.

    `keep_none`: None stays, which in an update removes the key. Raises PermanentError naming the key, what it holds and
    what is allowed: strings, finite numbers, booleans below 2^63, or sequences of one of these types.
    """
    record: MetadataRecord = {}
    for key, value in metadata.items():
        _check_key(key, limits)
        if isinstance(value, str | int | float):
            record[key] = _scalar(key, value, limits)
        elif value is None:
            if keep_none:
                record[key] = None
        elif not _is_array(value):
            raise PermanentError(f"metadata {key!r} is a {type(value).__name__}: use a scalar or a list of scalars")
        elif values := list(value):
            record[key] = _array(key, values, limits)
    _check_count(record, limits)
    return record


def checked_rows(rows: Rows, limits: RecordLimits, *, update: bool = False) -> list[MetadataRecord | None]:
    """Return the metadata of `rows` as it is stored; None if nothing is left. Raises PermanentError, naming the row."""
    records: list[MetadataRecord | None] = []
    if rows.sparse_key:
        limits = replace(limits, keys=limits.keys - 1)
    for row_id, metadata in zip(rows.ids, rows.metadatas, strict=True):
        check_id(row_id, limits)
        try:
            records.append(record_of(metadata, limits, keep_none=update) or None)
        except PermanentError as error:
            raise PermanentError(f"chunk {row_id}: {error}") from error
    if not update:
        for row_id, text in zip(rows.ids, rows.documents, strict=True):
            check_document(row_id, text, limits)
    return records


def batches_of(sizes: Sequence[int], most_rows: int, most: int) -> Iterator[slice]:
    """Yield slices that cover rows of these sizes in order, each within what one write may hold; one too large goes alone."""
    start = size = 0
    for number, added in enumerate(sizes):
        if number - start == most_rows or (number > start and size + added > most):
            yield slice(start, number)
            start, size = number, 0
        size += added
    if start < len(sizes):
        yield slice(start, len(sizes))


def _check_key(key: str, limits: RecordLimits) -> None:
    if not key or is_reserved(key):
        raise PermanentError(f"metadata key {key!r} is reserved by Chroma: it must not be empty or start with # or $")
    _check_size(f"the metadata key {key[:40]!r}", key, limits.key_size_bytes)


def _scalar(key: str, value: Scalar, limits: RecordLimits) -> Scalar:
    if isinstance(value, str):
        _check_size(f"metadata {key!r}", value, limits.value_size_bytes)
    elif isinstance(value, float):
        if not fits(value):
            raise PermanentError(f"metadata {key!r} is {value}: numbers must be finite")
    elif not fits(value):
        raise PermanentError(f"metadata {key!r} is {value}: integers must fit into 64 bits; use a string")
    return value


def _is_array(value: object) -> bool:
    """Return whether it is one at run time: what people sent may be anything that JSON can say."""
    return isinstance(value, Sequence) and not isinstance(value, bytes)


def _array(key: str, values: list[Scalar], limits: RecordLimits) -> list[Scalar]:
    kinds = {type(value) for value in values}
    if len(kinds) > 1 or not kinds <= {str, int, float, bool}:
        names = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise PermanentError(f"metadata {key!r} is a list of {names}: all values must be of one scalar type")
    size = sum(len(_encoded(f"metadata {key!r}", value)) for value in values if isinstance(value, str))
    if size > limits.value_size_bytes:
        raise PermanentError(f"metadata {key!r} has {size} bytes; at most {limits.value_size_bytes} are allowed")
    return [_scalar(key, value, limits) for value in values]


def _check_count(record: MetadataRecord, limits: RecordLimits) -> None:
    if len(record) > limits.keys:
        raise PermanentError(f"the metadata has {len(record)} keys; at most {limits.keys} are allowed")
    values = sum(len(value) if isinstance(value, list) else 1 for value in record.values())
    if values > limits.values:
        raise PermanentError(f"the metadata has {values} values; at most {limits.values} are allowed")


def _check_size(what: str, text: str, limit_bytes: int, advice: str = "shorten it") -> None:
    size = len(_encoded(what, text))
    if size > limit_bytes:
        raise PermanentError(f"{what} has {size} bytes; at most {limit_bytes} are allowed: {advice}")


def _encoded(what: str, text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise PermanentError(f"{what} is not valid Unicode (a lone surrogate at {error.start})") from error
