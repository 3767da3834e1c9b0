"""What a run stores besides documents: cursor, keys seen, outcomes, held deletes.

A dry run reads the same and writes only counts and outcomes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import structlog
from typing_extensions import override

from syncd.model import Counts, DocumentState, Invocation, LeaveCollection, Run
from syncd.pipeline.job import RunPlan
from syncd.pipeline.result import Result
from syncd.store import Store
from syncd.store.prepared import Backlog
from syncd.store.progress import Outcome

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class KnownDocuments:
    """What the store has of one source in one collection (the `Known` protocol)."""

    store: Store
    collection_id: int
    source_id: str

    async def version(self, key: str) -> str | None:
        """Return the version of `key` that is on its way, the indexed one where none is, or None."""
        # In this order: what is written meanwhile is indexed by then.
        if on_its_way := await self.store.prepared.get(self.collection_id, self.source_id, key):
            return on_its_way.version
        record = await self.store.documents.get(self.collection_id, self.source_id, key)
        return record.version if record and record.state is DocumentState.INDEXED else None

    async def owner(self, prefix: str) -> str | None:
        """Return the key whose chunks have this prefix, or None."""
        return await self.store.documents.owner(self.collection_id, self.source_id, prefix)

    def keys(self) -> AsyncIterator[str]:
        """Yield every key that is indexed or on its way, in key order."""
        return self.store.documents.keys(self.collection_id, self.source_id)


class RunState:
    """The stored state of one run. Writes are safe to repeat; every method may raise RetryableError."""

    def __init__(self, store: Store, invocation: Invocation, plan: RunPlan) -> None:
        self._store = store
        self._progress = store.progress
        self._invocation = invocation
        self._number = plan.number
        self._source_id, self._collection_id = plan.source.id, plan.collection.id
        self._config_hash = plan.config_hash
        self._home = plan.home

    async def begin(self) -> Run:
        """Return what the source needs to know; a cursor of another configuration is deleted."""
        await self._progress.drop_cursor(self._source_id, self._collection_id, self._config_hash)
        return await self._described()

    async def note(self, results: Sequence[Result], counts: Counts) -> None:
        """Store outcomes of documents, and the counts."""
        outcomes = [Outcome(r.key, r.state, r.reason, r.version, r.chunks) for r in results if is_news(r)]
        if outcomes:
            await self._progress.note(self._invocation.id, outcomes)
        if met := [result.key for result in results if result.state is not DocumentState.DELETED]:
            await self._met(met)
        await self._store.invocations.progress(self._invocation.id, counts)

    async def backlog(self) -> Backlog:
        """Return what the source has on its way into the collection."""
        return await self._store.prepared.backlog(self._source_id, self._collection_id)

    async def documents(self) -> int:
        """Return how many documents with chunks the source has in the collection."""
        return await self._store.documents.count(self._collection_id, self._source_id)

    async def lost(self, keys: Sequence[str]) -> frozenset[str]:
        """Return which of these documents have chunks whose content the source would not have under another key."""
        return frozenset(await self._store.documents.lost(self._collection_id, self._source_id, keys))

    async def unseen(self) -> Sequence[str]:
        """Return the keys that neither this run nor a later one has seen, in order."""
        return await self._progress.unseen(self._collection_id, self._source_id, self._number)

    async def forget_left_out(self) -> None:
        """Forget what was left out earlier and was not seen since. Twice is safe."""
        await self._progress.forget_left_out(self._collection_id, self._source_id, self._number)

    async def save_cursor(self, cursor: str) -> None:
        """Move the cursor; only after everything before it is recorded."""
        await self._progress.save_cursor(self._source_id, self._collection_id, self._config_hash, cursor)

    async def forget_cursor(self) -> None:
        """Let the next run begin anew. Twice is safe."""
        await self._progress.forget_cursor(self._source_id, self._collection_id)

    async def hold_deletes(self, keys: Sequence[str], documents: int, reason: str) -> None:
        """Hold these deletes, out of `documents` documents, until they are confirmed."""
        await self._progress.hold_deletes(self._invocation.id, keys, reason)
        log.warning(
            "sync.deletes_held", invocation=self._invocation.id, deletes=len(keys), documents=documents, reason=reason
        )

    async def confirmed_deletes(self, invocation_id: str) -> Sequence[str]:
        """Return the keys whose deletes an earlier run holds, without those that have reappeared since."""
        held = await self._progress.held_deletes(invocation_id)
        since = await self._progress.run_number(invocation_id)
        still_gone = set(await self._progress.unseen(self._collection_id, self._source_id, since))
        return [key for key in held if key in still_gone]

    async def was_leaving(self, invocation_id: str) -> bool:
        """Return whether an earlier run was to leave the collection."""
        earlier = await self._store.invocations.get(invocation_id)
        return earlier is not None and isinstance(earlier.request, LeaveCollection)

    async def is_unwanted(self, key: str) -> bool:
        """Return whether a document that this run is to delete did not come anew since that was asked, and is not about to."""
        return not await self._store.document_requests.came_since(
            self._collection_id, self._source_id, key, self._number
        )

    async def release_deletes(self, invocation_id: str) -> None:
        """Delete the record of an earlier run's held deletes, because they are done."""
        await self._progress.release_deletes(invocation_id)

    async def _met(self, keys: Sequence[str]) -> None:
        await self._progress.mark_seen(self._collection_id, self._source_id, keys, self._number)

    async def _described(self) -> Run:
        return Run(
            invocation=self._invocation,
            cursor=await self._progress.cursor(self._source_id, self._collection_id, self._config_hash),
            known=KnownDocuments(self._store, self._collection_id, self._source_id),
            keys=self._invocation.request.keys,
            config_hash=self._config_hash,
            home=self._home,
            earlier_cursor=await self._progress.earlier_cursor(self._source_id, self._collection_id),
        )


class DryRunState(RunState):
    """The state of a dry run, which moves no cursor, holds no deletes and keeps the keys it has seen in memory.

    If they were stored, they would change what confirmed deletes delete.
    """

    def __init__(self, store: Store, invocation: Invocation, plan: RunPlan) -> None:
        super().__init__(store, invocation, plan)
        self._seen: set[str] = set()
        self._contents: set[str] = set()

    @override
    async def note(self, results: Sequence[Result], counts: Counts) -> None:
        """Store outcomes of documents, and the counts; keep in memory what would be indexed."""
        self._contents.update(result.content_hash for result in results if result.content_hash)
        await super().note(results, counts)

    @override
    async def lost(self, keys: Sequence[str]) -> frozenset[str]:
        """Return which of these documents have chunks whose content the source would not have under another key."""
        lost = await self._store.documents.lost(self._collection_id, self._source_id, keys)
        return frozenset(key for key, content in lost.items() if content not in self._contents)

    @override
    async def begin(self) -> Run:
        """Return what the source needs to know."""
        return await self._described()

    @override
    async def unseen(self) -> Sequence[str]:
        """Return the keys that neither this run nor any run since it began has seen."""
        return [key for key in await super().unseen() if key not in self._seen]

    @override
    async def forget_left_out(self) -> None:
        """Do nothing: a dry run forgets nothing."""

    @override
    async def save_cursor(self, cursor: str) -> None:
        """Do nothing: a dry run moves no cursor."""

    @override
    async def forget_cursor(self) -> None:
        """Do nothing: a dry run moves no cursor."""

    @override
    async def hold_deletes(self, keys: Sequence[str], documents: int, reason: str) -> None:
        """Do nothing: a dry run only counts deletes."""

    @override
    async def _met(self, keys: Sequence[str]) -> None:
        self._seen.update(keys)


def is_news(result: Result) -> bool:
    """Return whether a document's outcome is listed, which is not so for unchanged ones."""
    return result.state is not DocumentState.UNCHANGED
