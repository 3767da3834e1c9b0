"""Plans and executes the run of an invocation: its source, configuration, collection and effects."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

import anyio

from syncd.errors import ChangingPlacesError, NotFoundError, RetryableError
from syncd.index.target import VectorStore
from syncd.index.writer import Index
from syncd.model import (
    Counts,
    DeleteDocuments,
    Invocation,
    LeaveCollection,
    Origin,
    SomeKeys,
    Source,
    SourceRecord,
    Target,
    Upload,
)
from syncd.pipeline.ingest import Ingester
from syncd.pipeline.job import RunPlan
from syncd.store import Store
from syncd.sync.ingesters import Ingesters
from syncd.sync.run import SourceRun
from syncd.sync.settings import SyncSettings

SWITCHED_EVERY_S = 1.0
"""How often a run looks whether its collection has changed places: before that it does not begin."""
SWITCH_PATIENCE_S = 30.0
"""How long it looks before it is put off: it takes one of its source's places while it does."""

OpenSource = Callable[[SourceRecord], Awaitable[Source]]
"""Opens the Source of a record. Raises PermanentError, ConfigError, MisconfiguredError."""


@dataclass(slots=True)
class Attempt:
    """One attempt at an invocation; `run` is set once source and collection are open."""

    invocation: Invocation
    scope: anyio.CancelScope
    run: SourceRun | None = None
    moved_at: float = field(default_factory=anyio.current_time)
    """When it was last seen to have got further."""
    _seen: Counts = field(default_factory=Counts)

    def look(self) -> None:
        """Notice whether it has got further."""
        if self.counts != self._seen:
            self._seen, self.moved_at = self.counts, anyio.current_time()

    @property
    def counts(self) -> Counts:
        """What has been done so far."""
        return self.run.counts if self.run else Counts()

    def stop_early(self) -> None:
        """Hand on nothing more, and end once what is in hand is durable. Never waits, twice is safe."""
        if self.run:
            self.run.stop_early()
        else:
            self.scope.cancel()

    def begin(self, run: SourceRun) -> None:
        """Let who looks at the attempt see its run."""
        self.run = run


class Runner:
    """Executes invocations, any number at once, through ingesters that all runs share."""

    def __init__(
        self,
        store: Store,
        vector_store: VectorStore,
        index: Index,
        ingester: Ingester,
        open_source: OpenSource,
        settings: SyncSettings,
    ) -> None:
        self.settings = settings
        self.ingesters = Ingesters(ingester, settings)
        self.in_hand = ingester.in_hand
        self._store = store
        self._vector_store = vector_store
        self._index = index
        self._ingester = ingester
        self._open_source = open_source

    async def execute(self, attempt: Attempt) -> None:
        """Run an invocation to its end. Twice is safe: documents that are done are not done again.

        Waits for a while where its collection is changing places. Raises RetryableError if another attempt may help (then
        ChangingPlacesError), PermanentError or ConfigError if not.
        """
        invocation = attempt.invocation
        home = await self._store.shadows.home_of(invocation.target)
        await self._outlast_switch(invocation.target)
        record = await self._configured(invocation)
        if not await self._is_wanted(invocation, record, home):
            return
        source = await self._open_source(record)
        if home != invocation.target and await self._store.collections.find(invocation.target) is None:
            raise RetryableError(f"what was built as {invocation.target.collection} has another name now")
        plan = await self._plan(invocation, record, home)
        is_as_before = await self._store.shadows.home_of(invocation.target) == home
        if not is_as_before or await self._configured(invocation) != record:
            raise RetryableError("how its documents are to be made changed while it began")
        run = SourceRun(self._store, self.ingesters.mailbox, invocation, plan, self.settings.guard)
        attempt.begin(run)
        await run.execute(source)
        if is_finishing(invocation, record) and not run.incomplete:
            await self._vector_store.set_metadata(invocation.target, {"finished_ingest": True})

    async def _outlast_switch(self, target: Target) -> None:
        """Wait until it is recorded that the collection has changed places, if that is decided. Raises ChangingPlacesError."""
        with anyio.move_on_after(SWITCH_PATIENCE_S):
            while await self._is_switching(target):  # noqa: ASYNC110 - SQLite sets no event
                await anyio.sleep(SWITCHED_EVERY_S)
            return
        raise _changing_places(target)

    async def _is_switching(self, target: Target) -> bool:
        known = await self._store.collections.find(target)
        return known is not None and await self._store.shadows.is_switching(known.id)

    async def _is_wanted(self, invocation: Invocation, record: SourceRecord, home: Target) -> bool:
        """Return whether the source, as it is declared now, still asks for what it asked. Raises RetryableError: not yet.

        `home`: the place that the target is to answer in.
        """
        kept = Target(record.database, record.settings.kept_collection or "")
        is_elsewhere = bool(kept.collection) and kept != home
        if not isinstance(invocation.request, LeaveCollection):
            is_own = invocation.origin in (Origin.WATCH, Origin.SCHEDULE) and not invocation.request.whole.fan_out
            return not (is_own and is_elsewhere)
        if is_elsewhere and await self._store.progress.reached(record.id, kept) is None:
            left = invocation.target.collection
            raise RetryableError(f"what it has in {left} stays until {kept.collection} is filled")
        return is_elsewhere

    async def _configured(self, invocation: Invocation) -> SourceRecord:
        """Return the source, configured as the invocation asks, or as the collection's documents were made that another one is to follow."""
        record = await self._store.sources.get(invocation.source_id)
        if record is None:
            raise NotFoundError(
                f"source {invocation.source_id} was deleted; create it again and start a new invocation"
            )
        asked = invocation.request
        names_embedding = isinstance(asked, Upload) and asked.embedding is not None
        if isinstance(asked, LeaveCollection) or (record.facts.adopts_embedding and not names_embedding):
            # Without a named embedding the collection's own is used; the default is for new collections.
            known = await self._store.collections.find(invocation.target)
            record = replace(record, embedding=known.embedding) if known else record
        elif recipe := await self._store.shadows.recipe(record.id, invocation.target):
            record = replace(record, embedding=recipe.embedding, chunking=recipe.chunking)
        return asked.configured(record)

    async def _plan(self, invocation: Invocation, record: SourceRecord, home: Target) -> RunPlan:
        """Open the collection, and return what all documents of the run share."""
        is_dry_run = invocation.request.is_dry_run
        if await self._is_switching(invocation.target):
            # What a run brought now into the one that answers would leave with it, and not every source brings it again.
            raise _changing_places(invocation.target)
        open_collection = self._index.preview_collection if is_dry_run else self._index.open
        return RunPlan(
            number=await self._store.progress.run_number(invocation.id),
            source=record,
            collection=await open_collection(invocation.target, record.embedding),
            effects=self._ingester.effects(is_dry_run),
            config_hash=self._ingester.config_hash(record),
            home=home.collection,
            last_chance=invocation.origin is not Origin.EVENT
            and invocation.attempts + 1 >= self.settings.last_chance_attempt,
        )


def is_finishing(invocation: Invocation, record: SourceRecord) -> bool:
    """Return whether a complete run closes its collection; one that the source keeps in sync stays open."""
    asked = invocation.request
    is_part = isinstance(asked, SomeKeys | DeleteDocuments)
    whole = invocation.origin is Origin.API and not is_part and not asked.is_dry_run
    return whole and record.facts.finishes_collection and not record.keeps(invocation.target.collection)


def is_awaited(invocation: Invocation) -> bool:
    """Return whether somebody waits for the run, hears of its failure and may ask again; no other may give up."""
    return invocation.origin is Origin.API


def _changing_places(target: Target) -> ChangingPlacesError:
    return ChangingPlacesError(f"collection {target.collection} is changing places with another one")
