"""How events share invocations, and when nobody waits for one any more."""

from dataclasses import replace
from pathlib import Path

from syncd.model import Chunking, Counts, Embedding, OneObject, Origin, WholeSource
from syncd.sources.objects.event_store import PUT_OFF_S, CheckQueue
from syncd.sources.registry import TYPES
from syncd.store import Store
from tests.sources.s3.buckets import STORED


async def test_an_invocation_put_off_for_long_is_not_waited_for_and_serves_later_events_too(tmp_path: Path):
    store = await Store.open(tmp_path, TYPES)
    checks = CheckQueue(store.database)
    source = await store.sources.create("s3", "db", STORED, Embedding(), Chunking())

    async def asked(key: str | None) -> str:
        request = OneObject(key) if key else WholeSource(fan_out=True)
        return await checks.ask(source.id, "docs", Origin.EVENT, request)

    first = await asked("a")
    assert await asked("a") == first
    await store.invocations.start(first)
    assert await asked("a") != first, "its look may have begun"
    await store.invocations.postpone(first, 5.0, "busy", Counts())
    assert not await checks.is_over(first)
    other = await asked("b")
    await store.invocations.start(other)
    await store.invocations.postpone(other, 2 * PUT_OFF_S, "its key is refused", Counts())
    assert await checks.is_over(other)
    assert await asked("b") == other
    listing = await asked(None)
    await store.invocations.start(listing)
    await store.invocations.postpone(listing, 5.0, "busy", Counts())
    assert await asked(None) != listing, "it goes on where it was, not from the start"
    await store.sources.replace(source, "db", replace(source.settings, region="mended"), Embedding(), Chunking())
    assert other in [invocation.id for invocation in await store.invocations.due(10)]
    await store.close()
