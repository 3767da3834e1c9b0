"""A whole run: list the bucket page by page with bounded memory, resumable from the cursor of the last page.

First the metadata files, if the source uses them, because they decide where the objects belong; then the objects. The
cursor names its invocation: another invocation starts from the beginning.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Sequence
from dataclasses import asdict, dataclass, replace

import anyio

from syncd.errors import PermanentError
from syncd.model import Checkpoint, Document, Run
from syncd.sources.objects.keys import is_folder
from syncd.sources.s3.assignment import assignments
from syncd.sources.s3.bucket import ObjectState, Page
from syncd.sources.s3.label_store import Label
from syncd.sources.s3.objects import S3Objects, refused
from syncd.sources.s3.settings import AutoSync

FILES_AT_ONCE = 8
UNSEEN_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Position:
    """The position of a listing."""

    invocation: str
    phase: str = "files"
    after: str = ""

    @classmethod
    def of(cls, run: Run) -> Position:
        """Return the position in the run's cursor, or the start if the cursor is of another invocation."""
        # A dry run uses metadata files as last read, because reading them again would change the stored labels.
        start = cls(run.invocation.id, "objects" if run.invocation.request.is_dry_run else "files")
        try:
            position = cls(**json.loads(run.cursor or "{}"))
        except (ValueError, TypeError):
            return start
        return position if position.invocation == run.invocation.id else start

    def checkpoint(self, *, absent_are_gone: bool = False) -> Checkpoint:
        """Return the checkpoint that resumes here."""
        return Checkpoint(json.dumps(asdict(self)), absent_are_gone, is_mark=not absent_are_gone)


class Listing:
    """One run over all objects of a source's bucket."""

    def __init__(self, source: S3Objects, run: Run) -> None:
        self._source = source
        self._settings = source.settings
        self._bucket = source.bucket
        self._labels = source.labels
        self._labelling = source.labelling
        self._run = run
        self._collection = run.collection
        self._is_part = run.invocation.request.whole.fan_out
        self._position = Position.of(run)

    async def items(self) -> AsyncGenerator[Document | Checkpoint]:
        """Yield what belongs in the run's collection, a Checkpoint after each page, and one that ends the listing."""
        if self._position.phase == "files":
            if self._settings.auto_sync is not AutoSync.NONE and not self._is_part:
                async for item in self._files():
                    yield item
            await self._spread()
            self._position = Position(self._position.invocation, "objects")
        async for item in self._objects():
            yield item
        yield self._position.checkpoint(absent_are_gone=True)

    async def _pages(self) -> AsyncGenerator[Page]:
        while True:
            page = await self._bucket.page(self._settings.path_prefix, self._position.after)
            self._position = replace(self._position, after=page.last_key)
            yield page
            if page.is_last:
                return

    async def _files(self) -> AsyncGenerator[Document | Checkpoint]:
        """Update the labels from the metadata files; an invalid file is yielded as a document that fails."""
        async for page in self._pages():
            files = [state for state in page.objects if self._source.is_metadata_file(state.key)]
            for state, error in await self._read_changed(files):
                yield refused(state.key, state.version, error)
            yield self._position.checkpoint()
        await self._forget_removed_files()

    async def _read_changed(self, files: Sequence[ObjectState]) -> Sequence[tuple[ObjectState, PermanentError]]:
        known = await self._labels.etags(self._source.id, [state.key for state in files])
        seen = self._run.invocation.id
        same = [state.key for state in files if known.get(state.key) == state.etag]
        await self._labels.mark_seen(self._source.id, same, seen)
        refusals: list[tuple[ObjectState, PermanentError]] = []
        limiter = anyio.Semaphore(FILES_AT_ONCE)

        async def read(state: ObjectState) -> None:
            async with limiter:
                try:
                    await self._labelling.read(state.key, seen)
                except PermanentError as error:
                    refusals.append((state, error))

        async with anyio.create_task_group() as group:
            for state in files:
                if known.get(state.key) != state.etag:
                    group.start_soon(read, state)
        return refusals

    async def _forget_removed_files(self) -> None:
        """Read again every known metadata file that was not listed: it is gone, or appeared behind the listing's position."""
        after = ""
        while keys := await self._labels.unseen(self._source.id, self._run.invocation.id, after, UNSEEN_AT_ONCE):
            for key in keys:
                try:
                    await self._labelling.read(key)
                except PermanentError:
                    # Its own event, or the next listing, reports the error.
                    continue
            after = keys[-1]

    async def _spread(self) -> None:
        """Request checks for changed labels, and listings for the other collections that labels name."""
        await self._labelling.ask_for_looks()
        invocation = self._run.invocation
        if self._collection == self._settings.collection:
            for collection in await self._labels.collections(self._source.id):
                await self._labelling.ask_for_listing(collection, invocation.origin)
        elif not self._is_part:
            said_at = invocation.created_at.timestamp()
            await self._labels.say(self._source.id, Label("", "", self._collection, said_at=said_at))

    def _overlaid(self) -> Sequence[Label]:
        """Return the label that a real run would store and a dry run only assumes: all objects belong in its collection."""
        is_dry, elsewhere = self._run.invocation.request.is_dry_run, self._collection != self._settings.collection
        return [Label("", "", self._collection)] if is_dry and elsewhere and not self._is_part else []

    async def _objects(self) -> AsyncGenerator[Document | Checkpoint]:
        after = self._position.after
        async for page in self._pages():
            last = None if page.is_last else page.last_key
            labels = await self._labels.between(self._source.id, after, last)
            for document in [*self._placed(page, labels), *await self._unmet(page, labels)]:
                yield document
            after = page.last_key
            if not page.is_last:
                yield self._position.checkpoint()

    async def _unmet(self, page: Page, labels: Sequence[Label]) -> Sequence[Document]:
        """Return a failing document for each metadata file that names an object which should be on the page and is not."""
        listed = {state.key for state in page.objects}
        absent = [label for label in labels if label.path not in listed]
        found = [await self._source.unmet(label, self._collection) for label in absent]
        return [document for document in found if document is not None]

    def _placed(self, page: Page, labels: Sequence[Label]) -> Sequence[Document]:
        """Return the page's documents that belong in the run's collection."""
        said: dict[str, list[Label]] = {}
        for label in labels:
            said.setdefault(label.path, []).append(label)
        everywhere = [*said.get("", ()), *self._overlaid()]
        documents: list[Document] = []
        for state in page.objects:
            if is_folder(state.key, state.size_bytes) or self._source.is_metadata_file(state.key):
                continue
            assignment = assignments([*said.get(state.key, ()), *everywhere], self._settings).get(self._collection)
            if assignment is not None:
                documents.append(self._source.document(state, assignment, self._collection))
        return documents
