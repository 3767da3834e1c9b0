"""Keeps what is known of metadata files equal to the files, and asks for the looks that follow from a change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from syncd.errors import PermanentError
from syncd.model import Origin
from syncd.runtime.keylocks import KeyLocks
from syncd.sources.s3.bucket import Bucket, ObjectState
from syncd.sources.s3.journal import Journal
from syncd.sources.s3.label_store import Label, Labels
from syncd.sources.s3.metadata_file import MAX_SIZE_BYTES, parse_metadata_file
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
    """Shared by all users of these labels, so that an older reading of a file never replaces a newer one."""

    async def read(self, file_key: str, seen: str | None = None) -> Label | None:
        """Read the metadata file as it is now, keep what it says and return it; None when there is no such file.

        Raises PermanentError when it is not a proper one (it then says nothing), RetryableError.
        """
        async with self.locks.hold(f"{self.source_id}\0{file_key}"):
            found = await self.bucket.small(file_key, MAX_SIZE_BYTES)
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
        """Submit every look that changed labels need and return the invocations. Twice is safe."""
        invocations: list[str] = []
        while checks := await self.labels.checks(self.source_id):
            invocations += [await self.ask(k.path, k.collection or self.settings.collection) for k in checks]
            await self.labels.looked([look.number for look in checks])
        return invocations

    async def ask(self, key: str, collection: str) -> str:
        """Submit one look at a key for one collection and return the invocation.

        Always as an event: what an API invocation asks for is also kept as a wish of its caller's.
        """
        return await self.journal.ask(self.source_id, collection, Origin.EVENT, key)

    async def ask_for_listing(self, collection: str, origin: Origin) -> str:
        """Submit a run over the whole bucket into a collection, as urgent as `origin` says, and return the invocation."""
        return await self.journal.ask(self.source_id, collection, origin, None)
