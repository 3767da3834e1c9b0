"""A collection whose source is set to something else: built beside, compared, switched or refused, kept, removed."""

from contextlib import asynccontextmanager
from dataclasses import replace
from hashlib import sha256

import anyio
import numpy as np
import pytest

from syncd.errors import ConflictError, NotFoundError
from syncd.model import (
    NOTHING,
    Checkpoint,
    Chunking,
    Comparison,
    ConfirmDeletes,
    Document,
    Embedding,
    Origin,
    Rows,
    SourceWatch,
    State,
    Suspicion,
    Target,
)
from syncd.model.sources import chunk_prefix
from syncd.search import Answer, SearchHit
from syncd.search.compared import compared
from syncd.sources.folder.settings import FolderSourceSettings
from syncd.store.changes import Removal, Replacement
from syncd.store.shadow_rows import ShadowState
from syncd.sync.shadow_keeper import ShadowKeeper, ShadowSettings
from syncd.sync.shadow_reports import shadow_views
from tests.models import in_its_own_task
from tests.pipeline.parts import running
from tests.sync.syncing import Text, syncing

ONE, OTHER = Embedding(model="one"), Embedding(model="other")
COARSE, FINE = Chunking(target_size_bytes=3000), Chunking(type="lines", max_size_bytes=120, max_lines=1)


class Notes:
    """A source that says what it holds whenever it is asked."""

    def __init__(self) -> None:
        self.texts = {f"{name}.md": f"# All about the {name}\n\nIt is a {name}.\n" for name in ("lamp", "fox", "kite")}

    async def changes(self, run):
        for key, text in self.texts.items():
            yield Document(key, sha256(text.encode()).hexdigest(), Text(text), chunk_prefix(key))
        yield Checkpoint("end", absent_are_gone=True)


class Watched:
    """The collection, its one source, and what searches of each collection find."""

    def __init__(self, parts, target: Target, notes: Notes) -> None:
        self.parts, self.store, self.target, self.notes = parts, parts.store, target, notes
        self.blind: bool = False
        """Whether searches of shadows find nothing."""

    async def search(self, query) -> Answer:
        if self.blind and query.target != self.target:
            return Answer([])
        keys = [key for key, text in self.notes.texts.items() if query.text in text]
        return Answer([SearchHit(key, 1.0, "", {"key": key}, dense_rank=1) for key in keys])

    async def compare(self, first: Target, second: Target) -> Comparison:
        return await compared(self.store, self.search, first, second)

    async def declare(self, embedding: Embedding, chunking: Chunking) -> None:
        """Set the source so; what its watch asks for at once is asked."""
        name = self.target.collection
        settings = FolderSourceSettings(
            path="/notes", collection_name=name, watch=SourceWatch(target_collection_name=name)
        )
        source = await self.store.sources.by_name("notes")
        if source is None:
            source = await self.store.sources.create(
                "folder", self.target.database, settings, embedding, chunking, "notes"
            )
        else:
            await self.store.sources.replace(source, self.target.database, settings, embedding, chunking)
        await self.store.invocations.create_or_join(source.id, self.target, Origin.WATCH)
        self.syncer.wake()

    async def until(self, *states: ShadowState) -> None:
        """Wait until nothing is left to do and there are shadows in these states, no others."""
        with anyio.fail_after(60):
            while True:
                self.keeper.look()
                self.syncer.wake()
                shadows = await self.store.shadows.all()
                idle = not await self.store.invocations.due(1)
                if idle and sorted(one.state for one in shadows) == sorted(states):
                    return
                await anyio.sleep(0.05)

    async def rows(self) -> set[str]:
        """Return what is found under the name."""
        return {row.document for row in await self.parts.chroma.get(self.target)}


@pytest.fixture
async def parts(tmp_path, chroma_server):
    async with in_its_own_task(running(tmp_path / "state", chroma_server)) as opened:
        yield opened


@asynccontextmanager
async def watching(parts, name: str, settings: ShadowSettings):
    """Yield a collection that is filled already, with a keeper that looks after it."""
    watched = Watched(parts, Target("default_database", name), notes := Notes())
    async with syncing(parts, notes) as watched.syncer, anyio.create_task_group() as group:
        watched.keeper = ShadowKeeper(parts.store, parts.index, watched.compare, settings, watched.syncer.wake)
        await group.start(watched.keeper.run)
        await watched.declare(ONE, COARSE)
        await watched.until()
        yield watched
        group.cancel_scope.cancel()


async def test_it_takes_the_place_by_itself_with_what_changed_meanwhile_and_gives_it_back(
    parts, fresh_name, monkeypatch
):
    monkeypatch.setattr("syncd.sync.shadow_keeper.QUIET_AFTER_S", 0.0)
    async with watching(parts, fresh_name, ShadowSettings(keep_s=3600.0)) as watched:
        before = await watched.rows()
        # The comparison waits, so that it is built and not yet compared while the source changes.
        may_go_on, compare = anyio.Event(), watched.compare

        async def waiting(first, second):
            await may_go_on.wait()
            return await compare(first, second)

        watched.keeper._compare = waiting
        await watched.declare(OTHER, FINE)
        await watched.until(ShadowState.BUILDING)
        assert await watched.rows() == before
        del watched.notes.texts["fox.md"]
        watched.notes.texts["owl.md"] = "# All about the owl\n\nIt is an owl.\n"
        await watched.declare(OTHER, FINE)
        source = await parts.store.sources.by_name("notes")
        await parts.store.invocations.create_or_join(source.id, watched.target, Origin.WATCH)
        await watched.until(ShadowState.BUILDING)
        changed = await watched.rows()
        assert "# All about the owl\n\nIt is an owl.\n" in changed
        assert not any("fox" in text for text in changed)
        (view,) = await shadow_views(parts.store, {}, watched.keeper.waiting, 0.0)
        assert (view["state"], view["built"]) == ("building", 1.0)
        may_go_on.set()
        await watched.until(ShadowState.FORMER)
        after = await watched.rows()
        assert "It is an owl.\n" in after
        assert not any("fox" in text for text in after)
        assert (await parts.store.collections.find(watched.target)).embedding == OTHER

        await watched.keeper.rollback(watched.target)
        await watched.until(ShadowState.FORMER)
        assert await watched.rows() == changed
        watched.notes.texts["owl.md"] = "# All about the owl\n\nIt is asleep.\n"
        source = await parts.store.sources.by_name("notes")
        await parts.store.invocations.create_or_join(source.id, watched.target, Origin.WATCH)
        await watched.until(ShadowState.FORMER)
        assert "# All about the owl\n\nIt is asleep.\n" in await watched.rows()
        await watched.keeper.rollback(watched.target)
        await watched.until(ShadowState.FORMER)
        assert "It is asleep.\n" in await watched.rows()

        (former,) = await parts.store.shadows.all()
        watched.keeper._settings = ShadowSettings(keep_s=0.0)
        await watched.until()
        assert await parts.chroma.collection_id(former.target) is None
        with pytest.raises(NotFoundError, match="no kept collection to go back to"):
            await watched.keeper.rollback(watched.target)


async def test_one_that_finds_less_waits_for_somebody_who_decides(parts, fresh_name, monkeypatch):
    monkeypatch.setattr("syncd.sync.shadow_keeper.QUIET_AFTER_S", 0.0)
    async with watching(parts, fresh_name, ShadowSettings(keep_s=3600.0)) as watched:
        before, watched.blind = await watched.rows(), True
        await watched.declare(ONE, FINE)
        await watched.until(ShadowState.REFUSED)
        (view,) = await shadow_views(parts.store, {}, watched.keeper.waiting, 0.0)
        assert view["reason"] == (
            "nDCG of what is read of hybrid searches falls from 1.000 to 0.000, and search.max_quality_loss allows 10%"
        )
        assert [one["way"] for one in view["figures"]] == ["sparse", "dense", "hybrid"]
        assert await watched.rows() == before
        await watched.keeper.discard(watched.target)
        await watched.until()
        await watched.declare(ONE, FINE)
        await watched.until()
        assert await watched.rows() == before

        await watched.declare(ONE, replace(FINE, max_lines=2))
        await watched.until(ShadowState.REFUSED)
        await watched.keeper.switch(watched.target)
        await watched.until(ShadowState.FORMER)
        assert await watched.rows() != before


async def test_settings_that_change_back_have_it_dropped_and_an_incomplete_one_never_answers(
    parts, fresh_name, monkeypatch
):
    monkeypatch.setattr("syncd.sync.shadow_keeper.QUIET_AFTER_S", 0.0)
    async with watching(parts, fresh_name, ShadowSettings()) as watched:
        before = await watched.rows()
        source = await parts.store.sources.by_name("notes")
        live = await parts.store.collections.find(watched.target)
        await parts.store.sources.replace(source, source.database, source.settings, OTHER, COARSE)
        await parts.store.shadows.begin(live.id, watched.target, OTHER, [source])
        with pytest.raises(ConflictError, match="not complete: 0% built"):
            await watched.keeper.switch(watched.target)
        (shadow,) = await parts.store.shadows.all()
        for run in await parts.store.invocations.list(state=State.PENDING):
            if run.target == shadow.target:
                await parts.store.invocations.start(run.id)
                await parts.store.invocations.postpone(run.id, 3600.0, "the source is away", run.counts)
        assert (await parts.store.shadows.built(shadow, [source.id])).lacks == "the source is away"
        with pytest.raises(ConflictError, match="not complete: 0% built"):
            await watched.keeper.switch(watched.target)
        await watched.declare(ONE, COARSE)
        await watched.until()
        assert await watched.rows() == before


async def test_rows_of_somebodys_own_stay_while_chunks_are_cut_anew_in_place_and_another_model_waits(parts, fresh_name):
    async with watching(parts, fresh_name, ShadowSettings()) as watched:
        own = Rows(["own"], [{"mine": True}], ["my own note"], [np.eye(1, 8, dtype=np.float32)[0]])
        await parts.chroma.write(watched.target, [], own, NOTHING)
        before = await watched.rows()
        with anyio.fail_after(60):
            while await watched.rows() == before:
                await watched.declare(ONE, FINE)
                await watched.until()
        assert "my own note" in await watched.rows()
        await watched.declare(OTHER, FINE)
        with anyio.fail_after(60):
            while not watched.keeper.blocked:
                await watched.until()
        assert "move rows of your own to another collection" in watched.keeper.blocked[watched.target]
        await parts.chroma.write(watched.target, ["own"], NOTHING, NOTHING)
        await watched.until(ShadowState.FORMER)


async def replace_one(parts, target: Target) -> None:
    """Put a row of somebody's own where one of ours was: the number of rows stays."""
    first, *_ = [row.id for row in await parts.chroma.get(target)]
    own = Rows(["own"], [{"mine": True}], ["my own note"], [np.eye(1, 8, dtype=np.float32)[0]])
    await parts.chroma.write(target, [first], own, NOTHING)


async def test_rows_of_somebodys_own_are_found_though_as_many_of_ours_are_missing(parts, fresh_name, monkeypatch):
    monkeypatch.setattr("syncd.sync.shadow_keeper.QUIET_AFTER_S", 0.0)
    async with watching(parts, fresh_name, ShadowSettings()) as watched:
        await replace_one(parts, watched.target)
        await watched.declare(OTHER, COARSE)
        with anyio.fail_after(60):
            while not watched.keeper.blocked:
                await watched.until()
        assert "holds 1 rows that syncd does not know" in watched.keeper.blocked[watched.target]
        await parts.chroma.write(watched.target, ["own"], NOTHING, NOTHING)
        watched.blind = True
        await watched.until(ShadowState.REFUSED)
        await replace_one(parts, watched.target)
        with pytest.raises(ConflictError, match="holds 1 rows that syncd does not know"):
            await watched.keeper.switch(watched.target)
        assert "my own note" in await watched.rows()


class Suspected(Notes):
    """It shows all but one note once `lacks` names it, and suspects then that this is an accident."""

    lacks = ""

    def __init__(self) -> None:
        self.texts = {f"{number}.md": f"# All about {number}\n\nIt is number {number}.\n" for number in range(20)}

    async def changes(self, run):
        for key, text in self.texts.items():
            if key != self.lacks:
                yield Document(key, sha256(text.encode()).hexdigest(), Text(text), chunk_prefix(key))
        suspicion = Suspicion("another folder is mounted", (self.lacks.removesuffix(".md"),)) if self.lacks else None
        yield Checkpoint("end", absent_are_gone=True, suspicion=suspicion)


async def test_it_does_not_take_the_place_while_deletes_are_held_of_what_it_lacks(parts, fresh_name, monkeypatch):
    monkeypatch.setattr("tests.sync.test_shadow_keeper.Notes", Suspected)
    async with watching(parts, fresh_name, ShadowSettings(keep_s=3600.0)) as watched:
        watched.notes.lacks = "7.md"
        await watched.declare(ONE, COARSE)
        await watched.until()
        await watched.declare(OTHER, FINE)
        with anyio.fail_after(60):
            while not watched.keeper.waiting:
                await watched.until(ShadowState.BUILDING)
        (view,) = await shadow_views(parts.store, {}, watched.keeper.waiting, 0.0)
        told = (
            f"deletes of 1 documents of {fresh_name} are held, and the one to take its place lacks these: confirm them"
        )
        assert (view["state"], view["built"]) == ("building", 0.95)
        assert told in view["reason"]
        held, *_ = await parts.store.progress.held_in(watched.target)
        with pytest.raises(ConflictError, match=f"syncd confirm-deletes {held}; --list"):
            await watched.keeper.switch(watched.target)
        assert any("number 7" in text for text in await watched.rows())
        source = await parts.store.sources.by_name("notes")
        await parts.store.invocations.create(source.id, watched.target, Origin.API, ConfirmDeletes(held))
        await watched.until(ShadowState.FORMER)
        assert not any("number 7" in text for text in await watched.rows())
        assert not watched.keeper.waiting


async def test_nor_while_held_deletes_were_discarded_and_no_run_has_seen_all_since(parts, fresh_name, monkeypatch):
    monkeypatch.setattr("tests.sync.test_shadow_keeper.Notes", Suspected)
    async with watching(parts, fresh_name, ShadowSettings(keep_s=3600.0)) as watched:
        watched.notes.lacks = "7.md"
        await watched.declare(OTHER, FINE)
        with anyio.fail_after(60):
            while not watched.keeper.waiting:
                await watched.until(ShadowState.BUILDING)
            for held in await parts.store.progress.held_in(watched.target):
                await parts.store.progress.release_deletes(held)
            while "another folder is mounted" not in "".join(watched.keeper.waiting.values()):
                await watched.until(ShadowState.BUILDING)
        watched.notes.lacks = ""
        source = await parts.store.sources.by_name("notes")
        await parts.store.invocations.create_or_join(source.id, watched.target, Origin.WATCH)
        await watched.until(ShadowState.FORMER)
        assert any("number 7" in text for text in await watched.rows())


async def test_an_upload_meanwhile_keeps_it_from_taking_the_place_and_from_being_gone_back_to(
    parts, fresh_name, monkeypatch
):
    monkeypatch.setattr("syncd.sync.shadow_keeper.QUIET_AFTER_S", 0.0)
    async with watching(parts, fresh_name, ShadowSettings(keep_s=3600.0)) as watched:
        comparing, may_go_on, compare = anyio.Event(), anyio.Event(), watched.compare

        async def waiting(first, second):
            comparing.set()
            await may_go_on.wait()
            return await compare(first, second)

        watched.keeper._compare = waiting
        await watched.declare(OTHER, FINE)
        with anyio.fail_after(60):
            await comparing.wait()
        live = await parts.store.collections.find(watched.target)
        upload = Replacement(live.id, "the-upload-source", "up.txt", "up", "1", "print", "hash", 10**9, [])
        await parts.store.documents.stage([upload])
        before = await watched.rows()
        with pytest.raises(ConflictError, match="cannot take its place: it holds documents of a removed source"):
            await watched.keeper.switch(watched.target)
        may_go_on.set()
        await watched.until()
        assert await watched.rows() == before

        gone = Removal(live.id, "the-upload-source", "up.txt", seen=10**9)
        await parts.store.documents.stage([gone])
        await watched.until(ShadowState.FORMER)
        live = await parts.store.collections.find(watched.target)
        await parts.store.documents.stage([replace(upload, collection_id=live.id)])
        with pytest.raises(ConflictError, match=r"such as 'up.txt'"):
            await watched.keeper.rollback(watched.target)


async def test_documents_that_nobody_brings_again_keep_it_from_being_built(parts, fresh_name):
    async with watching(parts, fresh_name, ShadowSettings()) as watched:
        live = await parts.store.collections.find(watched.target)
        orphan = Replacement(live.id, "a-removed-source", "old.md", "old", "1", "print", "hash", 1, [])
        await parts.store.documents.stage([orphan])
        await watched.declare(OTHER, COARSE)
        await watched.until()
        assert "removed source" in watched.keeper.blocked[watched.target]
        before = await watched.rows()
        await watched.declare(ONE, FINE)
        with anyio.fail_after(60):
            while await watched.rows() == before:
                await watched.declare(ONE, FINE)
                await watched.until()
        assert not watched.keeper.blocked
