"""Builds a collection anew beside the one that answers, when the settings of its sources ask for other chunks or vectors.

settings change  →  begin  →  runs fill it  →  compare  →  change places  →  keep the former one  →  remove it

Every step is decided in SQLite, and whoever looks next goes on from there: a crash repeats the step in hand.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from syncd.errors import ConflictError, NotFoundError, PermanentError, RetryableError
from syncd.index.changes import ChangePlaces, CheckPlaces, DropCollection
from syncd.index.writer import Index
from syncd.model import Comparison, SourceRecord, Target
from syncd.runtime.wakeup import Wakeup
from syncd.store import Store
from syncd.store.shadow_rows import MAX_STEM, Shadow, ShadowState
from syncd.sync.shadow_reports import ShadowReport, report_json

log = structlog.get_logger()

TEND_EVERY_S = 5.0
QUIET_AFTER_S = 5.0
"""How long a discarded shadow is left alone, so that what was under way for it ends first."""


@dataclass(frozen=True, slots=True)
class ShadowSettings:
    """When a shadow takes the place of the one that answers by itself, and how long that one is kept then."""

    max_loss: float = 0.1
    """The most by which nDCG@10 of hybrid searches may fall, and the most of the documents that it may lack, as shares."""
    keep_s: float = 7 * 86_400.0


class ShadowKeeper:
    """An actor. `compare` asks two collections the same; it raises RetryableError and PermanentError. `wake` tells that runs were asked for."""

    name = "shadows"

    def __init__(
        self,
        store: Store,
        index: Index,
        compare: Callable[[Target, Target], Awaitable[Comparison]],
        settings: ShadowSettings,
        wake: Callable[[], None],
    ) -> None:
        self._store = store
        self._index = index
        self._compare = compare
        self._settings = settings
        self._wake = wake
        self._rung = Wakeup()
        self.blocked: dict[Target, str] = {}
        """Why a collection cannot be built anew though its sources ask for it."""
        self.waiting: dict[int, str] = {}
        """Why a shadow, by its id, is not gone on with."""

    def look(self) -> None:
        """Look at once. Never waits, twice is safe."""
        self._rung.ring()

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Look every few seconds until cancelled. Raises RetryableError while the store cannot be read: the supervisor restarts it."""
        task_status.started()
        while True:
            await self._look()
            await self._rung.wait(TEND_EVERY_S)

    async def _look(self) -> None:
        under_way, waiting = set[int](), dict[int, str]()
        for shadow in await self._store.shadows.all():
            if shadow.state is not ShadowState.FORMER and shadow.state is not ShadowState.DISCARDED:
                under_way.add(shadow.live_id)
            try:
                await self._tend(shadow)
            except (RetryableError, PermanentError) as error:
                waiting[shadow.collection_id] = str(error)
                if self.waiting.get(shadow.collection_id) != str(error):
                    log.warning("shadow.waiting", collection=shadow.live.collection, reason=str(error))
        self.waiting = waiting
        changed = await self._store.shadows.changed()
        self.blocked.clear()
        for live_id in changed:
            if live_id not in under_way:
                await self._begin(live_id)

    async def _begin(self, live_id: int) -> None:
        """Begin a shadow. Where only chunks change and there can be none, documents are made anew in place."""
        live = await self._store.collections.by_id(live_id)
        sources, obstacle = await self._sources(live_id)
        if not (obstacle := obstacle or await self._others_rows(live_id)):
            await self._store.shadows.begin(live_id, live.target, sources[0].embedding, sources)
            log.info("shadow.begun", collection=live.target.collection)
            self._wake()
        elif all(source.embedding == live.embedding for source in sources):
            await self._store.shadows.make_in_place(live_id)
            log.info("shadow.in_place", collection=live.target.collection, reason=obstacle)
        else:
            self.blocked[live.target] = obstacle

    async def _others_rows(self, live_id: int) -> str:
        """Return that a collection holds rows of somebody's own, which no shadow of it would have, or ''."""
        try:
            await self._index.foreign.look_through(await self._store.collections.by_id(live_id))
            await self._index.mailbox.ask(CheckPlaces(live_id))
        except ConflictError as error:
            return str(error)
        except (RetryableError, PermanentError):
            return ""  # It is asked again before they change places.
        return ""

    async def _sources(self, live_id: int) -> tuple[Sequence[SourceRecord], str]:
        """Return the sources of a collection, and why they cannot fill a shadow of it, or ''."""
        live, obstacle, found = await self._store.collections.by_id(live_id), "", list[SourceRecord]()
        for source_id in await self._store.shadows.sources_of(live_id):
            source = await self._store.sources.get(source_id)
            if source is None:
                obstacle = "it holds documents of a removed source: give them to another one or purge them (syncd sources remove)"
            elif not source.keeps_place(live.target):
                obstacle = f"it holds documents of {source.name or source.type} that no watch or schedule brings again"
            else:
                found.append(source)
        if len({source.embedding for source in found}) > 1:
            obstacle = "its sources are set to different embeddings: set them alike"
        if len(live.target.collection) > MAX_STEM:
            obstacle = f"its name is longer than {MAX_STEM} characters"
        return found, obstacle

    async def _tend(self, shadow: Shadow) -> None:
        now = time.time()
        if shadow.state in (ShadowState.BUILDING, ShadowState.REFUSED):
            await self._tend_following(shadow)
        elif shadow.state is ShadowState.SWITCHING:
            await self._index.mailbox.ask(ChangePlaces(shadow.collection_id))
            self._wake()
        elif shadow.state is ShadowState.FORMER and now >= shadow.since + self._settings.keep_s:
            await self._store.shadows.discard(shadow, decide=False)
        elif shadow.state is ShadowState.DISCARDED and now >= shadow.since + QUIET_AFTER_S:
            while await self._store.shadows.remove_some(shadow.collection_id):
                pass
            await self._index.mailbox.ask(DropCollection(shadow.collection_id))

    async def _tend_following(self, shadow: Shadow) -> None:
        """Go on with a shadow that is being filled, or drop one that nobody wants any more: another may follow it."""
        sources, obstacle = await self._sources(shadow.live_id)
        is_wanted = shadow.live_id in await self._store.shadows.changed()
        if obstacle or not is_wanted or not shadow.is_of(sources[0].embedding):
            log.info("shadow.discarded", collection=shadow.live.collection, reason=obstacle or "settings changed again")
            await self._store.shadows.discard(shadow, decide=False)
            return self._wake()
        built = await self._store.shadows.built(shadow, [source.id for source in sources])
        if shadow.state is ShadowState.BUILDING and not built.lacks and not await self._is_run(shadow.live, sources):
            await self._index.mailbox.ask(CheckPlaces(shadow.collection_id))
            if reason := await self._store.shadows.partly_seen(shadow.live, [source.id for source in sources]):
                # Only a run that sees all can tell what is gone from what that one kept because it may still be there.
                raise RetryableError(f"the latest run into {shadow.live.collection} saw only a part: {reason}")
            comparison = await self._compare(shadow.live, shadow.target)
            report = ShadowReport.of(comparison, built, self._settings.max_loss)
            state = ShadowState.REFUSED if report.refusal else ShadowState.BUILDING
            await self._store.shadows.judged(shadow.collection_id, state, report_json(report))
            if report.refusal:
                return log.warning("shadow.refused", collection=shadow.live.collection, reason=report.refusal)
            await self._change_places(shadow)
        return None

    async def _is_run(self, live: Target, sources: Sequence[SourceRecord]) -> bool:
        """Return whether a run into the one that answers is to find first what the sources lack by now: it may hold deletes."""
        return any([await self._store.invocations.is_begun(source.id, live) for source in sources])

    async def _change_places(self, shadow: Shadow) -> None:
        # One that is gone from the vector store does not change places, which the index says.
        with suppress(NotFoundError):
            await self._index.foreign.look_through(await self._store.collections.by_id(shadow.live_id))
        await self._index.mailbox.ask(ChangePlaces(shadow.collection_id))
        self._wake()

    async def switch(self, target: Target) -> None:
        """Let the shadow of a collection take its place, however it compares. Waits for that.

        Raises NotFoundError, ConflictError while it is not complete or documents would be lost by it, RetryableError.
        """
        shadow = await self._of(target, ShadowState.REFUSED, ShadowState.BUILDING)
        _, obstacle = await self._sources(shadow.live_id)
        if obstacle:
            raise ConflictError(f"the shadow of {target.collection} cannot take its place: {obstacle}")
        built = await self._store.shadows.built(shadow, await self._store.shadows.sources_of(shadow.live_id))
        if built.is_unfinished:
            raise ConflictError(
                f"the shadow of {target.collection} is not complete: {built.share:.0%} built; wait for it"
            )
        await self._change_places(shadow)

    async def discard(self, target: Target) -> None:
        """Remove the shadow of a collection, which stays as it is until the settings change again. Raises NotFoundError."""
        await self._store.shadows.discard(
            await self._of(target, ShadowState.REFUSED, ShadowState.BUILDING), decide=True
        )
        self._wake()

    async def rollback(self, target: Target) -> None:
        """Let the collection that answered before answer again; its sources then bring what changed meanwhile. Waits for the first.

        Raises NotFoundError, ConflictError while what no source brings again would be lost by it, RetryableError.
        """
        await self._change_places(await self._of(target, ShadowState.FORMER))

    async def _of(self, target: Target, *states: ShadowState) -> Shadow:
        for shadow in await self._store.shadows.all():
            if shadow.live == target and shadow.state in states:
                return shadow
        kind = "kept collection to go back to" if ShadowState.FORMER in states else "shadow"
        raise NotFoundError(f"collection {target.collection!r} has no {kind}; syncd status lists those there are")
