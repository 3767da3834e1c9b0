"""A source over any store that lists its objects by page, with a token that leads to the next one.

Versions are what the store calls one state of an object; the same bytes written again get another one, so they are read again, and no
more. A listing resumes at the page where it was when the same run is retried; another run starts from the beginning.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Protocol

from syncd.errors import RetryableError
from syncd.model import Checkpoint, Document, Metadata, Run, chunk_prefix
from syncd.sources.globs import EVERYTHING, Globs
from syncd.sources.objects.download import Fetchable, ObjectBody
from syncd.sources.objects.keys import EMPTY_PAGES, is_folder

OBJECTS_PER_PAGE = 1000
"""The most that Google gives; Azure would give five times as many."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object in one state, as listed or asked for."""

    key: str
    version: str
    """Changes with every write: a generation, an ETag."""
    size_bytes: int
    modified_at: datetime | None = None
    media_type: str | None = None
    is_folder: bool = False


@dataclass(frozen=True, slots=True)
class ObjectPage:
    """A page of a listing. The token leads to the next one; '': it is the last."""

    objects: Sequence[StoredObject]
    next_token: str


class ObjectStore(Protocol):
    """One bucket or container. Calls wait for the network, are safe to repeat and raise RetryableError or PermanentError."""

    def address(self, key: str = "") -> str:
        """Return an object's address: for messages, and what chunk ids are derived from."""
        ...

    def metadata(self, key: str) -> Metadata:
        """Return what each chunk of the object says of it."""
        ...

    async def page(self, prefix: str, token: str, size: int) -> ObjectPage:
        """Return up to `size` of the objects whose keys begin with `prefix`, in order: the first ones, or those that a token leads to."""
        ...

    def fetchable(self, found: StoredObject) -> Fetchable:
        """Return the object's bytes in exactly this state; never waits."""
        ...


@dataclass(frozen=True, slots=True)
class KeySelection:
    """Which of a store's keys are a source's."""

    prefix: str
    include: Globs
    exclude: Globs | None = None

    @classmethod
    def of(cls, prefix: str | None, include: Sequence[str] | None, exclude: Sequence[str] | None) -> KeySelection:
        """Return the selection. Raises ConfigError for an invalid glob."""
        return cls(
            prefix or "",
            Globs(tuple(include or EVERYTHING), "include_globs"),
            Globs(tuple(exclude), "exclude_globs") if exclude else None,
        )

    def takes(self, key: str) -> bool:
        """Return whether a key belongs to the source."""
        path = key.lstrip("/")
        return (
            key.startswith(self.prefix)
            and self.include.match(path)
            and not (self.exclude is not None and self.exclude.match(path))
        )


@dataclass(frozen=True, slots=True)
class ObjectStoreSource:
    """One bucket or container as a source; a `syncd.model.Source`."""

    store: ObjectStore
    selection: KeySelection

    async def changes(self, run: Run) -> AsyncGenerator[Document | Checkpoint]:
        """Yield the current documents of the keys asked for or, if none are, of everything below the prefix.

        Raises RetryableError, PermanentError.
        """
        if run.keys is not None:
            for key in sorted(run.keys):
                yield await self._again(key)
            yield Checkpoint(run.cursor or "")
            return
        here = run.invocation.id
        async with aclosing(self._pages(self.selection.prefix, OBJECTS_PER_PAGE, place_in(run.cursor, here))) as pages:
            async for page in pages:
                for found in page.objects:
                    if self._is_wanted(found):
                        yield self._document(found)
                if page.next_token:
                    yield Checkpoint(json.dumps({"invocation": here, "token": page.next_token}), is_mark=True)
        yield Checkpoint("", absent_are_gone=True)

    async def is_gone(self, key: str, collection: str, *, is_left: bool = False) -> bool:
        """Return whether the source has no such document now: what appeared behind a listing's position is not deleted."""
        del collection
        return is_left or (await self._again(key)).body is None

    async def _pages(self, prefix: str, size: int, token: str = "") -> AsyncGenerator[ObjectPage]:
        """Yield pages from the one that `token` leads to. Raises RetryableError where tokens lead nowhere."""
        seen, empty = {hash(token)}, 0
        while True:
            page = await self.store.page(prefix, token, size)
            token, empty = page.next_token, 0 if page.objects else empty + 1
            if token and (hash(token) in seen or empty >= EMPTY_PAGES):
                raise RetryableError(f"{self.store.address(prefix)}: the listing claims to continue but leads nowhere")
            seen.add(hash(token))
            yield page
            if not token:
                return

    def _is_wanted(self, found: StoredObject) -> bool:
        return not found.is_folder and not is_folder(found.key, found.size_bytes) and self.selection.takes(found.key)

    async def _again(self, key: str) -> Document:
        """Return the current document of `key`, a gone one if there is none or it is not the source's."""
        found = await self._current(key) if self.selection.takes(key) else None
        return self._document(found) if found and self._is_wanted(found) else Document(key, "", None, "")

    async def _current(self, key: str) -> StoredObject | None:
        """Return the present state of an object, or None where there certainly is none.

        By a listing, since what is missing looks like what is forbidden, or like a missing bucket, where it is asked for itself.
        """
        async with aclosing(self._pages(key, 1)) as pages:
            async for page in pages:
                # Of all keys that begin so it is the first.
                if page.objects:
                    return next((found for found in page.objects if found.key == key), None)
        return None

    def _document(self, found: StoredObject) -> Document:
        return Document(
            key=found.key,
            version=found.version,
            body=ObjectBody(self.store.fetchable(found)),
            chunk_prefix=chunk_prefix(self.store.address(found.key)),
            media_type=found.media_type,
            metadata=self.store.metadata(found.key),
            changed_at=found.modified_at,
            weak_version=True,
            again=partial(self._again, found.key),
        )


def place_in(cursor: str | None, invocation_id: str) -> str:
    """Return the token of the page where a run of this invocation was; '': the beginning."""
    try:
        place = json.loads(cursor or "{}")
        return str(place["token"]) if place["invocation"] == invocation_id else ""
    except (ValueError, TypeError, KeyError):
        return ""
