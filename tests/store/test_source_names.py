import uuid
from datetime import UTC, datetime

import pytest

from syncd.errors import ConflictError
from syncd.model import Chunking, Embedding, Origin, State, Target
from syncd.model.notifications import WebhookFilter
from syncd.model.watching import WatchState
from syncd.sources.registry import TYPES
from syncd.sources.web.settings import WebSourceSettings
from syncd.store import Store
from tests.store.test_store import source
from tests.store.test_webhook_outbox import types

TARGET = Target("db", "docs")


@pytest.fixture
async def store(tmp_path):
    opened = await Store.open(tmp_path, TYPES)
    yield opened
    await opened.close()


async def made(store: Store, name: str | None, database: str = "db"):
    """A source as the API makes it."""
    settings = WebSourceSettings(starting_url=f"https://{uuid.uuid4()}.example/")
    return await store.sources.create(
        "web_scrape", database, settings, Embedding(), Chunking(), unique=True, given_name=name
    )


async def test_a_name_is_unique_in_its_database_and_makes_no_source_a_declared_one(store):
    docs = await made(store, "docs")
    assert (docs.name, docs.is_declared) == ("docs", False)
    assert docs.id_root == docs.id
    assert await store.sources.declared() == {}
    with pytest.raises(ConflictError, match="'docs' already exists"):
        await made(store, "docs")
    other = await made(store, "docs", "other")
    assert await store.source_names.ids("docs", None) == [docs.id, other.id]
    assert await store.source_names.ids("docs", frozenset({"other"})) == [other.id]
    assert await store.source_names.ids("docs", frozenset()) == []


async def test_the_name_of_a_declared_source_is_its_own_everywhere(store):
    code = await source(store, "code")
    assert code.is_declared
    with pytest.raises(ConflictError):
        await made(store, "code", "other")
    docs = await made(store, "docs", "other")
    with pytest.raises(ConflictError):
        await store.source_names.rename(docs.id, "code")
    declared_later = await source(store, "docs")
    assert await store.source_names.ids("docs", None) == [declared_later.id]
    assert await store.source_names.ids("docs", frozenset({"other"})) == [docs.id]


async def test_a_source_is_renamed_and_keeps_its_name_when_its_settings_change(store):
    docs, unnamed = await made(store, "docs"), await made(store, None)
    await store.source_names.rename(docs.id, "docs")
    await store.source_names.rename(docs.id, "handbook")
    await store.source_names.rename(unnamed.id, "docs")
    record = await store.sources.get(docs.id)
    await store.sources.replace(record, "db", record.settings, Embedding("other"), Chunking())
    assert [(await store.sources.get(it.id)).name for it in (docs, unnamed)] == ["handbook", "docs"]
    await store.source_names.rename(docs.id, None)
    assert (await store.sources.get(docs.id)).name is None


async def test_what_is_asked_of_a_paused_source_is_kept_and_due_when_it_is_resumed(store):
    paused, other = await made(store, "paused"), await made(store, "other")
    for _ in range(2):
        await store.source_names.pause(paused.id)
    since = (await store.sources.get(paused.id)).paused_at
    assert since is not None
    runs = [await store.invocations.create(it.id, TARGET, Origin.EVENT) for it in (paused, other)]
    await store.source_names.pause(paused.id)
    assert (await store.sources.get(paused.id)).paused_at == since
    assert await store.source_names.paused() == {paused.id}
    assert [run.id for run in await store.invocations.due(10)] == [runs[1].id]
    await store.source_names.resume(paused.id)
    assert {run.id for run in await store.invocations.due(10)} == {run.id for run in runs}
    assert (await store.invocations.get(runs[0].id)).state is State.PENDING


async def test_a_source_that_is_paused_is_not_in_order_again_and_not_late(store):
    await store.webhooks.subscribe([WebhookFilter("all")])
    record = await made(store, "docs")
    await store.watch_failures.note({(record.id, "look"): WatchState(datetime.now(UTC), "away")})
    await store.webhooks.note_late({record.id: {}})
    await store.source_names.pause(record.id)
    await store.watch_failures.note({})
    await store.webhooks.note_late({})
    assert await types(store) == ["source.failing", "source.late"]
    await store.database.write(
        lambda c: c.execute("UPDATE sources SET settings = json_set(settings, '$.max_lag_s', 60)")
    )
    (waiting,) = await store.freshness.waiting()
    assert (waiting.name, waiting.max_lag_s) == ("docs", None)
    await store.source_names.resume(record.id)
    assert (await store.freshness.waiting())[0].max_lag_s == 60
