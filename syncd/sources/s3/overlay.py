"""Keeps stored labels equal to the metadata files, and requests the checks that a change needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from syncd.errors import PermanentError
from syncd.model import OneObject, Origin, WholeSource
from syncd.runtime.keylocks import KeyLocks
from syncd.sources.objects.journal import Journal
from syncd.sources.s3.bucket import Bucket, ObjectState
from syncd.sources.s3.label_store import Label, Labels
from syncd.sources.s3.metadata_file import METADATA_MAX_SIZE_BYTES, parse_metadata_file
from syncd.sources.s3.settings import S3Settings


@dataclass(frozen=True, slots=True)
class Labelling:
    """The metadata files of one source."""

    source_id: str
    settings: S3Settings
    bucket: Bucket
    labels: Labels
    journal: Journal
    locks: KeyLocks
    """Shared by all users of these labels, so that an older read of a file never replaces a newer one."""

    async def read(self, file_key: str, seen: str | None = None) -> Label | None:
        """Read the metadata file, store its label and return it; None if there is no such file.

        Raises PermanentError if it is invalid (its label is then removed), RetryableError.
        """
        async with self.locks.hold(f"{self.source_id}\0{file_key}"):
            found = await self.bucket.small(file_key, METADATA_MAX_SIZE_BYTES)
            try:
                label = self._label(file_key, *found) if found else None
            except PermanentError:
                await self.labels.note_file(self.source_id, file_key, None)
                raise
            await self.labels.note_file(self.source_id, file_key, label, seen)
            return label

    def _label(self, file_key: str, state: ObjectState, content: bytes) -> Label:
        said = parse_metadata_file(file_key, content, self.settings.path_prefix)
        at = state.modified_at.timestamp() if state.modified_at else 0.0
        return Label(file_key, said.path, said.collection, said.id, said.metadata, state.etag, at)

    async def ask_for_looks(self) -> Sequence[str]:
        """Request every check that changed labels need and return the invocations. Twice is safe."""
        invocations: list[str] = []
        while checks := await self.labels.checks(self.source_id):
            invocations += [await self.ask(k.path, k.collection or self.settings.collection) for k in checks]
            await self.labels.looked([look.number for look in checks])
        return invocations

    async def ask(self, key: str, collection: str) -> str:
        """Request a check of a key in one collection and return the invocation.

        Its origin is always an event, because what an API invocation asks for is also stored as a label.
        """
        return await self.journal.ask(self.source_id, collection, Origin.EVENT, OneObject(key))

    async def ask_for_listing(self, collection: str, origin: Origin) -> str:
        """Request a run over the whole bucket into a collection, with the priority of `origin`; return the invocation."""
        return await self.journal.ask(self.source_id, collection, origin, WholeSource(fan_out=True))
