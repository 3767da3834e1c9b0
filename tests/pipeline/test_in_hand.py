"""Who is blamed when the daemon dies, and who never is."""

from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import anyio
import pytest

from syncd.model import Chunking, Embedding
from syncd.pipeline.in_hand import InHand
from syncd.sources.folder.settings import FolderSourceSettings
from syncd.sources.registry import TYPES
from syncd.store import Store
from syncd.store.marks import DEATHS_MAX, DeathRecord, Mark, mark_of


@pytest.fixture
async def store(tmp_path: Path):
    opened = await Store.open(tmp_path, TYPES)
    yield opened
    await opened.close()


@pytest.fixture
async def source_id(store: Store) -> str:
    return (await store.sources.create("folder", "db", FolderSourceSettings(path="/x"), Embedding(), Chunking())).id


@asynccontextmanager
async def life(store: Store):
    """Live for the length of the block, and end politely."""
    async with InHand(store.marks) as hand:
        yield hand


async def pieces(count: int = 1, begun: anyio.Event | None = None, until: anyio.Event | None = None):
    """Yield so many pieces, each made when `until` allows."""
    for number in range(count):
        if begun:
            begun.set()
        if until:
            await until.wait()
        yield number


async def gather(hand: InHand, mark: Mark, work) -> list[int]:
    async with aclosing(hand.steps(mark, work)) as steps:
        return [item async for item in steps]


async def die_with(store: Store, *marks: Mark) -> None:
    """Live, take these documents in hand, and die: the marks are left to the next life."""
    await InHand(store.marks).__aenter__()
    await store.marks.write(dict.fromkeys(marks, True))


async def test_a_document_alone_in_hand_at_three_deaths_is_set_aside(store, source_id):
    mark = mark_of(source_id, "a", "1")
    for _ in range(DEATHS_MAX):
        async with life(store) as hand:
            assert not await hand.is_set_aside(mark)
        await die_with(store, mark)
    async with life(store) as hand:
        assert await hand.is_set_aside(mark)
        assert not await hand.is_set_aside(mark_of(source_id, "a", "2"))
        assert not await hand.is_set_aside(mark_of(source_id, "b", "1"))
    async with life(store) as hand:
        assert await hand.is_set_aside(mark)


async def test_company_is_never_blamed_however_often_the_daemon_dies(store, source_id):
    marks = [mark_of(source_id, name, "1") for name in "ab"]
    for _ in range(2 * DEATHS_MAX):
        await die_with(store, *marks)
    async with life(store) as hand:
        assert not any([await hand.is_set_aside(mark) for mark in marks])


async def test_a_polite_end_counts_against_nobody(store, source_id):
    mark = mark_of(source_id, "a", "1")
    async with life(store):
        await store.marks.write({mark: True})
    async with life(store):
        assert await store.marks.record(mark) == DeathRecord()


async def test_one_that_gets_through_is_cleared(store, source_id):
    mark = mark_of(source_id, "a", "1")
    for _ in range(DEATHS_MAX - 1):
        await die_with(store, mark)
    async with life(store) as hand:
        assert await gather(hand, mark, pieces(3)) == [0, 1, 2]
        assert (await store.marks.record(mark)).deaths == DEATHS_MAX - 1
        await hand.survived(mark)
        assert await store.marks.record(mark) == DeathRecord()


async def test_one_that_gets_through_beside_others_is_cleared(store, source_id):
    mark, other = (mark_of(source_id, name, "1") for name in ("a", "other"))
    begun, until = anyio.Event(), anyio.Event()
    await die_with(store, mark)
    async with life(store) as hand, anyio.create_task_group() as group:
        group.start_soon(gather, hand, other, pieces(1, begun, until))
        await begun.wait()
        assert await gather(hand, mark, pieces()) == [0]
        await hand.survived(mark)
        assert await store.marks.record(mark) == DeathRecord()
        until.set()
    assert await store.database.read(lambda c: c.execute("SELECT count(*) FROM in_hand").fetchone()) == (0,)


async def test_one_that_is_in_hand_for_another_collection_keeps_its_record(store, source_id):
    mark, begun, until = mark_of(source_id, "a", "1"), anyio.Event(), anyio.Event()
    await die_with(store, mark)
    async with life(store) as hand, anyio.create_task_group() as group:
        group.start_soon(gather, hand, mark, pieces(1, begun, until))
        await begun.wait()
        await hand.survived(mark)
        assert (await store.marks.record(mark)).deaths == 1
        until.set()


async def test_a_retry_or_a_new_version_gives_it_another_chance(store, source_id):
    mark = mark_of(source_id, "a", "1")
    for _ in range(DEATHS_MAX):
        await die_with(store, mark)
    async with life(store) as hand:
        await store.marks.forgive(source_id, ["b"])
        assert await hand.is_set_aside(mark)
        await store.marks.forgive(source_id, ["a"])
        assert not await hand.is_set_aside(mark)


async def test_a_document_is_marked_while_it_is_made_and_not_while_its_taker_is_busy(store, source_id):
    mark, begun, until = mark_of(source_id, "a\udcff", "1"), anyio.Event(), anyio.Event()

    async def held() -> int:
        return await store.database.read(lambda c: c.execute("SELECT count(*) FROM in_hand WHERE held").fetchone()[0])

    async with (
        life(store) as hand,
        anyio.create_task_group() as group,
        aclosing(hand.steps(mark, pieces(1, begun, until))) as steps,
    ):
        group.start_soon(let_go_when, begun, held, until)
        assert await anext(steps) == 0
        assert await held() == 0


async def let_go_when(begun, held, until) -> None:
    await begun.wait()
    assert await held() == 1
    until.set()


async def test_a_suspect_waits_for_the_others_and_they_for_it(store, source_id):
    suspect, other, late = (mark_of(source_id, name, "1") for name in ("suspect", "other", "late"))
    for _ in range(DEATHS_MAX - 1):
        await die_with(store, suspect)
    order: list[str] = []
    begun, until = anyio.Event(), anyio.Event()

    async def take(hand: InHand, name: str, mark: Mark, work) -> None:
        await gather(hand, mark, work)
        order.append(name)

    async with life(store) as hand, anyio.create_task_group() as group:
        group.start_soon(take, hand, "other", other, pieces(1, begun, until))
        await begun.wait()
        alone = anyio.Event()
        group.start_soon(take, hand, "suspect", suspect, pieces(1, alone, until))
        while not hand._suspects:
            await anyio.lowlevel.checkpoint()
        group.start_soon(take, hand, "late", late, pieces())
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        assert not alone.is_set()
        assert order == []
        until.set()
    assert order == ["other", "suspect", "late"]


async def test_one_between_its_steps_may_go_on_while_a_suspect_is_taken(store, source_id):
    suspect, other = (mark_of(source_id, name, "1") for name in ("suspect", "other"))
    for _ in range(DEATHS_MAX - 1):
        await die_with(store, suspect)
    begun, until = anyio.Event(), anyio.Event()
    async with (
        life(store) as hand,
        anyio.create_task_group() as group,
        aclosing(hand.steps(other, pieces(5))) as steps,
    ):
        assert await anext(steps) == 0
        group.start_soon(gather, hand, suspect, pieces(1, begun, until))
        await begun.wait()
        with anyio.fail_after(120):
            assert [item async for item in steps] == [1, 2, 3, 4]
        until.set()
