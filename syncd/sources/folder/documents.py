"""Files of a folder as documents: their versions, limits and bodies."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path, PurePosixPath

from syncd.errors import PermanentError, Skipped
from syncd.model import Body, Document, chunk_prefix
from syncd.model.limits import MAX_DOCUMENT_SIZE_BYTES
from syncd.sources.bodies import (
    DEFAULT_MAX_TEXT_BYTES,
    NoBody,
    SizeCheck,
    TextCheck,
    is_image,
    too_large,
)
from syncd.sources.folder.body import FileBody, stamp
from syncd.sources.folder.root import ANYWHERE, OpenRoot, Root
from syncd.sources.folder.tree import Closed, Found, Unreadable
from syncd.sources.globs import EVERYTHING
from syncd.sources.path_keys import key_of


@dataclass(frozen=True, slots=True)
class FolderSettings:
    """What one folder source is configured to be."""

    id_root: str
    """The source's first name, the same on every machine: with the path below the folder it makes the ids of chunks."""
    path: Path
    """Its real path, as it was when the source was made or its declaration read."""
    include_globs: tuple[str, ...] = EVERYTHING
    exclude_globs: tuple[str, ...] = ()
    gitignore: bool = True
    max_file_size_bytes: int = DEFAULT_MAX_TEXT_BYTES
    document_suffixes: frozenset[str] = frozenset()
    """Lower case, with the dot: files that a parser takes whole, whatever their bytes, up to the next limit."""
    max_document_size_bytes: int = MAX_DOCUMENT_SIZE_BYTES
    declared_path: Path | None = None
    """How the configuration names it, where that leads to `path` through a link."""
    allowed_roots: tuple[Path, ...] = ANYWHERE
    """The folders below one of which it must lie, at every run."""
    state: Path | None = None
    """The daemon's state folder, which is never read."""

    @property
    def root(self) -> Root:
        """How the folder is opened."""
        return Root(self.path, self.declared_path, self.allowed_roots, self.state)


class FolderDocuments:
    """Makes the documents of one folder source."""

    def __init__(self, settings: FolderSettings, spool_folder: Path | None) -> None:
        self._settings = settings
        self._spool_folder = spool_folder

    def left_out(self, step: Unreadable | Closed) -> Document:
        """Return what a walk could or may not read, with the reason."""
        key = key_of(step.path)
        if isinstance(step, Unreadable):
            return Document(key, "unreadable", NoBody(PermanentError(step.reason)), self._prefix(key))
        return Document(key, "closed", NoBody(Skipped(step.reason)), self._prefix(key))

    def document(self, root: OpenRoot, found: Found, *, is_update: bool) -> Document:
        """Return a file that a walk found; its bytes are read when somebody opens its body."""
        key, status = key_of(found.path), found.status
        version, body = stamp(status), self._body(root, found)
        limit = self._limit(key)
        if is_image(key) and not self._is_document(key):
            body = NoBody(Skipped("image: not among the kinds of documents that are parsed"))
        elif status.st_size > limit:
            # The limit is part of the version, so that raising it makes the file worth another look.
            version, body = f"{version}>{limit}", NoBody(Skipped(too_large(status.st_size, limit)))
        # A first run meets files of any age; their lag would say nothing.
        changed_at = datetime.fromtimestamp(status.st_ctime, UTC) if is_update else None
        return Document(
            key, version, body, self._prefix(key), metadata={"path": key}, changed_at=changed_at, weak_version=True
        )

    def _body(self, root: OpenRoot, found: Found) -> Body:
        key = key_of(found.path)
        check = partial(SizeCheck if self._is_document(key) else TextCheck, self._limit(key))
        return FileBody(self._settings.root, root.identity, found.path, check, self._spool_folder)

    def _limit(self, key: str) -> int:
        settings = self._settings
        return settings.max_document_size_bytes if self._is_document(key) else settings.max_file_size_bytes

    def _is_document(self, key: str) -> bool:
        return PurePosixPath(key).suffix.lower() in self._settings.document_suffixes

    def gone(self, key: str) -> Document:
        """Return what is not there any more."""
        return Document(key, "", None, self._prefix(key))

    def _prefix(self, key: str) -> str:
        return chunk_prefix(f"{self._settings.id_root}/{key}")
