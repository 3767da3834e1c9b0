"""Reading documents of synced collections from the store, without touching their sources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from syncd.errors import NotFoundError
from syncd.model import Target
from syncd.schema import guess
from syncd.search.passages import Passage, Selection, is_in_section, passage
from syncd.store import Store
from syncd.store.collections import CollectionRecord
from syncd.store.texts import MAX_CHUNKS, StoredText, TextChunk

SIMILAR_KEYS = 5


@dataclass(frozen=True, slots=True)
class ReadText:
    """A part of a document, and how many documents of that key the collection has (one of each source)."""

    key: str
    source_id: str
    passage: Passage
    documents: int


async def read_text(
    store: Store, target: Target, key: str, wanted: Selection, max_tokens: int, source_id: str | None = None
) -> ReadText:
    """Return a part of a document as it was indexed last, at most about `max_tokens` of it.

    Of several sources' documents of this key the oldest source's is read, unless `source_id` names another's. Raises
    NotFoundError, which names similar keys, and PermanentError.
    """
    found = await stored_documents(store, target, key, source_id)
    chosen = found[0]
    part = await _passage_of(store, chosen.id, wanted, max_tokens)
    if part is None:
        raise NotFoundError(f"{key!r} has no such part; read it without a range to see what it has")
    return ReadText(key, chosen.source_id, part, len(found))


async def _passage_of(store: Store, document_id: int, wanted: Selection, max_tokens: int) -> Passage | None:
    """Return a part of a document, of which MAX_CHUNKS chunks at once are read until there are more than fit."""
    pages = None
    if wanted.first_page is not None or wanted.last_page is not None:
        pages = wanted.first_page or 1, wanted.last_page
    lines = wanted.first_line, wanted.last_line
    numbers = await store.texts.numbers(document_id, lines, pages, wanted.first_byte)
    chosen: list[TextChunk] = []
    part = None
    for start in range(0, len(numbers), MAX_CHUNKS):
        some = await store.texts.numbered(document_id, numbers[start : start + MAX_CHUNKS])
        chosen += [chunk for chunk in some if not wanted.heading or is_in_section(chunk, wanted.heading)]
        part = passage(chosen, wanted, max_tokens)
        if part is not None and part.next_byte is not None:
            break
    return part


async def stored_documents(
    store: Store, target: Target, key: str, source_id: str | None = None
) -> Sequence[StoredText]:
    """Return a collection's documents of this key: that of the source `source_id` or else of the oldest source first, then the others.

    Raises NotFoundError, which names similar keys, if there is none, or none of that source.
    """
    record = await store.collections.find(target)
    if record is None:
        raise await no_collection(store, target)
    found = await store.texts.find(record.id, key)
    chosen = [one for one in found if source_id in (None, one.source_id)][:1]
    if not chosen:
        raise await no_document(store, record, key)
    return [*chosen, *(one for one in found if one not in chosen)]


async def chunk_at(store: Store, target: Target, key: str, line: int) -> str:
    """Return the id of the chunk that a line of a document is in. Raises NotFoundError, which names similar keys."""
    record = await store.collections.find(target)
    if record is None:
        raise await no_collection(store, target)
    found = await store.texts.chunk_at(record.id, key, line)
    if found is None and await store.texts.find(record.id, key):
        raise NotFoundError(f"{key!r} has no line {line}; read it to see what it has")
    if found is None:
        raise await no_document(store, record, key)
    return found


async def no_collection(store: Store, target: Target) -> NotFoundError:
    """Return the error for a collection that does not exist; it lists those of its database, or says that this has none."""
    names = [
        one.target.collection for one in await store.collections.answering() if one.target.database == target.database
    ]
    if not names:
        return NotFoundError(
            f"syncd never wrote anything into database {target.database!r}: check its name, or sync something into it first"
        )
    there = f"{guess(target.collection, names)}there are: {', '.join(names)}"
    return NotFoundError(
        f"syncd never wrote a collection {target.collection!r} in database {target.database!r}; {there}"
    )


async def no_document(store: Store, record: CollectionRecord, key: str) -> NotFoundError:
    """Return the error for a key that no document of a collection has; it names similar ones."""
    name = key.rstrip("/").rpartition("/")[2]
    similar = await store.texts.keys_like(record.id, name, SIMILAR_KEYS)
    meant = f"did you mean {', '.join(similar)}?" if similar else "search, or list documents, for its key"
    return NotFoundError(f"collection {record.target.collection!r} has no document {key!r}; {meant}")
