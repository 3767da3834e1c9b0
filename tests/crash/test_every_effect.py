"""Death before and after every single effect, one after the other: the collection always equals the folder.

The same check must refuse a protocol that acknowledges first, one that keeps no intent, and one with random ids.
"""

import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

import pytest
from chromadb import Collection, GetResult

from syncd.index.flush import OutboxFlush
from syncd.model import Document, Target
from syncd.pipeline.prepare.preparer import DocumentPreparer
from syncd.sources.folder.source import FolderTreeSource
from syncd.store.outbox import Outbox
from tests.daemon import client_at, held
from tests.pipeline.parts import Manner, Parts, running, with_prefix, write

BEFORE = {
    "stays.py": "def stays():\n    return 1\n",
    "changes.md": "# One\n\nfirst text of some length here\n\n# Two\n\nsecond text of some length here\n",
    "goes.md": "# Gone\n\nsoon\n",
}
AFTER = {
    "changes.md": "# Zero\n\nput in front, so that all moves down\n\n# Two\n\nsecond text of some length here\n",
    "goes.md": None,
    "comes.py": "def comes():\n    return 2\n",
}


class Death(BaseException):
    """The process is gone."""


class Mortal:
    """Counts effects and dies at one of them."""

    def __init__(self, dies_at: int) -> None:
        self.dies_at = dies_at
        self.effects = 0

    def moment(self) -> None:
        self.effects += 1
        if self.effects == self.dies_at:
            raise Death

    def take(self, parts: Parts) -> None:
        for owner, name in (
            (parts.store.database, "write"),
            (parts.chroma, "write"),
            (parts.chroma, "open_collection"),
        ):
            setattr(owner, name, self.mortal(getattr(owner, name)))

    def mortal(self, call):
        async def effect(*args, **options):
            self.moment()
            result = await call(*args, **options)
            self.moment()
            return result

        return effect


def is_death(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return any(is_death(inner) for inner in error.exceptions)
    return isinstance(error, Death)


@dataclass(frozen=True)
class Beginning:
    """A folder, and the state and the rows that its first sync left; the folder has changed since. One second sync after another begins here."""

    folder: Path
    state: Path
    collection: Collection
    rows: GetResult

    @classmethod
    async def make(cls, tmp_path: Path, server, manner: Manner) -> "Beginning":
        """Sync a folder, then change it."""
        folder, state, name = tmp_path / "folder", tmp_path / "begun", f"test-{uuid.uuid4().hex[:12]}"
        write(folder, BEFORE)
        async with running(state, server, manner=manner) as parts:
            await parts.sync(folder, Target("default_database", name))
        write(folder, AFTER)
        collection = client_at(server.host, server.port).get_collection(name)
        return cls(folder, state, collection, collection.get(include=["documents", "metadatas", "embeddings"]))

    def again(self, state: Path) -> None:
        """Make `state` and the collection what they were in the beginning."""
        shutil.copytree(self.state, state)
        if there := self.collection.get(include=[])["ids"]:
            self.collection.delete(there)
        rows = self.rows
        self.collection.add(rows["ids"], rows["embeddings"], rows["metadatas"], rows["documents"])

    async def sync(self, state: Path, server, manner: Manner, prepare=lambda parts: None) -> None:
        """Sync the changed folder."""
        async with running(state, server, prepare, manner) as parts:
            await parts.sync(self.folder, Target("default_database", self.collection.name))


async def live_and_die(begun: Beginning, state: Path, server, dies_at: int, manner: Manner) -> tuple[bool, dict]:
    """Die at an effect of the second sync, start again; return (died, held)."""
    begun.again(state)
    died = False
    try:
        await begun.sync(state, server, manner, Mortal(dies_at).take)
    except BaseException as error:
        if not is_death(error):
            raise
        died = True
    await begun.sync(state, server, manner)
    return died, held(server.host, server.port, begun.collection.name).rows


async def expected(tmp_path: Path, server, manner: Manner) -> dict:
    """Return what a collection holds after the same two syncs when nobody dies."""
    folder, name = tmp_path / "calm-folder", f"test-{uuid.uuid4().hex[:12]}"
    write(folder, BEFORE)
    async with running(tmp_path / "calm", server, manner=manner) as parts:
        await parts.sync(folder, Target("default_database", name))
        write(folder, AFTER)
        await parts.sync(folder, Target("default_database", name))
    return held(server.host, server.port, name).rows


async def first_difference(tmp_path: Path, server) -> int | None:
    """Die at effect 1, 2, 3 … until a run gets through; return the first effect after which the collection is wrong."""
    async with DocumentPreparer() as preparer:
        manner = Manner(preparer, gather_s=0.01)
        wanted = await expected(tmp_path, server, manner)
        begun = await Beginning.make(tmp_path, server, manner)
        for dies_at in range(1, 200):
            died, found = await live_and_die(begun, tmp_path / f"state-{dies_at}", server, dies_at, manner)
            if found != wanted:
                return dies_at
            if not died:
                assert dies_at > 15, "too few effects were seen to mean anything"
                return None
    raise AssertionError("it never got through")


async def test_no_death_at_any_effect_loses_doubles_or_orphans_anything(tmp_path, chroma_server):
    assert await first_difference(tmp_path, chroma_server) is None


async def test_acknowledging_first_is_caught(tmp_path, chroma_server, monkeypatch):
    async def flush_after_clearing(self, record, chunk_ids):
        waiting = await self._store.outbox.waiting(record.id, chunk_ids)
        await self._store.outbox.clear(record.id, waiting)
        if waiting:
            await self._write(record, waiting)

    monkeypatch.setattr(OutboxFlush, "flush", flush_after_clearing)
    assert await first_difference(tmp_path, chroma_server) is not None


async def test_keeping_no_intent_is_caught(tmp_path, chroma_server, monkeypatch):
    async def nothing_left(self):
        return []

    monkeypatch.setattr(Outbox, "left_behind", nothing_left)
    assert await first_difference(tmp_path, chroma_server) is not None


async def test_random_ids_are_caught(tmp_path, chroma_server, monkeypatch):
    changes = FolderTreeSource.changes

    async def with_random_ids(self, run):
        async for item in changes(self, run):
            yield with_prefix(item, uuid.uuid4().hex) if isinstance(item, Document) and item.body else item

    monkeypatch.setattr(FolderTreeSource, "changes", with_random_ids)
    assert await first_difference(tmp_path, chroma_server) is not None


@pytest.fixture(autouse=True)
def _quiet(caplog):
    caplog.set_level("CRITICAL")
