"""The S3 source: checks single keys, or lists the bucket; `assignment` decides what belongs in which collection."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

import anyio

from syncd.chroma.naming import check_custom_id, check_metadata, check_object_key
from syncd.errors import MisconfiguredError, NotFoundError, PermanentError, RetryableError
from syncd.model import Checkpoint, Document, OneObject, Origin, Run, chunk_prefix
from syncd.runtime.keylocks import KeyLocks
from syncd.sources.objects.journal import Journal
from syncd.sources.objects.keys import check_prefix
from syncd.sources.s3.assignment import assignments
from syncd.sources.s3.bucket import Bucket
from syncd.sources.s3.calls import S3Client
from syncd.sources.s3.client import Connection, Connections, UnusableConnection
from syncd.sources.s3.label_store import Label, Labels
from syncd.sources.s3.listing import Listing
from syncd.sources.s3.naming import check_bucket, is_standard_key
from syncd.sources.s3.objects import S3Objects, other_prefix, refused
from syncd.sources.s3.overlay import Labelling
from syncd.sources.s3.settings import S3Settings

CHECK_S = 10.0
"""A metadata file that takes longer to read is left to a run: the queue's other messages wait."""
_REFUSED = "refused"
"""The version of what could not be looked at: whatever is found there later is another one."""


@dataclass(frozen=True, slots=True)
class BucketSource(S3Objects):
    """One configured bucket; a `syncd.model.Source`. Cheap to create: connections are shared and opened on first use."""

    async def changes(self, run: Run) -> AsyncGenerator[Document | Checkpoint]:
        """Yield the current documents of the keys asked for or, if none are, of the whole bucket.

        A listing yields a Checkpoint after each page and resumes there when the same invocation is retried;
        another invocation starts from the beginning. Of several keys those that cannot be read fail alone. Raises
        RetryableError, PermanentError.
        """
        if run.keys is None:
            async with aclosing(Listing(self, run).items()) as items:
                async for item in items:
                    yield item
            return
        for key in sorted(run.keys):
            document, former = await self._look_alone(run, key)
            if document is not None:
                if former is not None:
                    yield self._without_custom_id(former)
                    yield Checkpoint(run.cursor or "")
                yield document
                if former is not None and "custom_id" in former.metadata:
                    yield Checkpoint(run.cursor or "")
                    yield former
        yield Checkpoint(run.cursor or "")

    async def _look_alone(self, run: Run, key: str) -> tuple[Document | None, Document | None]:
        """Return what `_look` does, and whose custom id it takes; of one among several keys a document that fails where that raises."""
        try:
            document = await self._look(run, key)
            return document, document and await self._former_owner(run, document)
        except (MisconfiguredError, NotFoundError):
            raise
        except PermanentError as error:
            if run.keys is None or len(run.keys) == 1:
                raise
            return refused(key, _REFUSED, error), None

    async def _look(self, run: Run, key: str) -> Document | None:
        """Return the current document of `key` in the run's collection; None for a metadata file, whose object is checked instead."""
        collection, request = run.collection, run.invocation.request
        if isinstance(request, OneObject):
            check_object_key(key, self.settings.path_prefix)
        if self.takes(key) and self.is_metadata_file(key):
            await self._look_at_file(key)
            return None
        if run.invocation.origin is not Origin.API or not isinstance(request, OneObject) or request.key != key:
            return await self._met(run, key, collection)
        await self.labels.say(self.id, self._said(run, request))
        document = await self.again(key, collection)
        if document.body is None and await run.known.version(key) is None:
            raise NotFoundError(f"bucket {self.settings.bucket} has no object {key!r}: check the key")
        return document

    async def _met(self, run: Run, key: str, collection: str) -> Document:
        """Return the current document of `key`; one that fails where a metadata file names what never was there."""
        document = await self.again(key, collection)
        if document.body is None and await run.known.version(key) is None:
            for label in await self.labels.of(self.id, key):
                if unmet := await self.unmet(label, collection):
                    return unmet
        return document

    async def _former_owner(self, run: Run, document: Document) -> Document | None:
        """Return the current state of the document that still has this one's custom id but no longer should, or None.

        Chunk ids have one owner, and the check of the former owner may come later than this one. It may even claim this
        one's former id, so it gets its own only after this one has changed.
        """
        if document.body is None or "custom_id" not in document.metadata:
            return None
        owner = await run.known.owner(document.chunk_prefix)
        if owner is None or owner == document.key:
            return None
        now = await self.again(owner, run.collection)
        return now if now.chunk_prefix != document.chunk_prefix else None

    def _without_custom_id(self, document: Document) -> Document:
        """Return the document with chunk ids derived from its key, which no other document of the source claims."""
        if document.body is None:
            return document
        other = other_prefix(self.settings.bucket, document.key)
        return replace(document, chunk_prefix=chunk_prefix(document.key), other_prefix=other)

    def _said(self, run: Run, request: OneObject) -> Label:
        collection = run.collection
        return Label(
            file_key="",
            path=request.key,
            collection="" if collection == self.settings.collection else collection,
            custom_id=check_custom_id(request.custom_id) if request.custom_id else "",
            metadata=check_metadata(request.metadata or {}, is_standard_key),
            said_at=run.invocation.created_at.timestamp(),
        )

    @property
    def bucket_in_events(self) -> str:
        """The bucket's name."""
        return self.settings.bucket

    def takes(self, key: str) -> bool:
        """Return whether a key is below the source's prefix."""
        return key.startswith(self.settings.path_prefix)

    async def check(self, key: str) -> Sequence[str]:
        """Request checks of a key in every collection that it concerns, and return the invocations, which are then durable.

        A metadata file's current content is read first. A key outside the prefix, or one that belongs in no collection,
        needs no check. Raises RetryableError.
        """
        if not self.takes(key):
            return ()
        if self.is_metadata_file(key):
            try:
                with anyio.fail_after(CHECK_S):
                    return await self._look_at_file(key)
            except (PermanentError, RetryableError, TimeoutError):
                # A run over the file itself fails with the reason, where people look for reasons, or waits for better times
                # without holding up the queue.
                return [await self.labelling.ask(key, self.settings.collection)]
        where = assignments(await self.labels.of(self.id, key), self.settings)
        return [await self.labelling.ask(key, collection) for collection in sorted(where)]

    async def _look_at_file(self, key: str) -> Sequence[str]:
        """Read a metadata file and request checks of the objects that it describes or used to. Raises what reading it raises."""
        try:
            label = await self.labelling.read(key)
        finally:
            asked = await self.labelling.ask_for_looks()
        if label is None:
            return asked
        return [*asked, await self.labelling.ask(label.path, label.collection or self.settings.collection)]


@dataclass(frozen=True, slots=True)
class S3Sources:
    """Opens S3 sources that share connections, labels and locks; one per daemon."""

    connections: Connections
    labels: Labels
    journal: Journal
    locks: KeyLocks

    def open(self, source_id: str, settings: S3Settings) -> BucketSource:
        """Return one source; never waits. Raises PermanentError for invalid settings."""
        return self._over(source_id, settings, self.connections.s3(settings.endpoint, settings.bucket))

    def unusable(self, source_id: str, settings: S3Settings, reason: PermanentError) -> BucketSource:
        """Return a source without a usable credential: it requests checks as others do; reading its bucket raises `reason`."""
        connection = UnusableConnection(reason, settings.endpoint, self.connections.transport)
        return self._over(source_id, settings, connection)

    def _over(self, source_id: str, settings: S3Settings, connection: Connection[S3Client]) -> BucketSource:
        check_bucket(settings.bucket)
        check_prefix(settings.path_prefix)
        bucket = Bucket(settings.bucket, connection)
        labelling = Labelling(source_id, settings, bucket, self.labels, self.journal, self.locks)
        return BucketSource(source_id, settings, bucket, self.labels, labelling)
