import json
from datetime import UTC, datetime

import pytest

from syncd.model import Counts, Embedding, Origin, State, Target
from syncd.model.notifications import WebhookFilter
from syncd.model.watching import WatchState
from syncd.sources.registry import TYPES
from syncd.store import Store
from syncd.store.absent_sources import PURGE
from tests.asking import asked
from tests.store.test_store import source

TARGET = Target("db", "docs")


@pytest.fixture
async def store(tmp_path):
    opened = await Store.open(tmp_path, TYPES)
    await opened.webhooks.subscribe([WebhookFilter("all")])
    yield opened
    await opened.close()


async def told(store: Store, webhook: str = "all") -> list[dict]:
    """What waits for a webhook: each body, its type as `type`."""
    statement = "SELECT body FROM notifications WHERE webhook = ? AND ended_at IS NULL ORDER BY seq"
    rows = await store.database.read(lambda c: c.execute(statement, (webhook,)).fetchall())
    return [json.loads(body) for (body,) in rows]


async def types(store: Store, webhook: str = "all") -> list[str]:
    return [body["type"] for body in await told(store, webhook)]


async def run(store: Store, source_id: str, **more):
    return await store.invocations.create(source_id, TARGET, Origin.API, asked(**more))


async def test_each_end_of_a_run_is_told_once_with_what_it_did(store):
    code = await source(store, "code")
    done = await run(store, code.id)
    for _ in range(2):
        await store.invocations.settle(done.id, State.COMPLETE, Counts(indexed=3))
    (body,) = await told(store)
    assert body["type"] == "run.settled"
    assert datetime.fromisoformat(body["timestamp"]).tzinfo is not None
    data = body["data"]
    assert (data["database_name"], data["source_id"], data["source_name"]) == ("db", code.id, "code")
    assert (data["invocation_id"], data["collection_name"], data["origin"]) == (done.id, "docs", "api")
    assert (data["state"], data["error"], data["counts"]["indexed"]) == ("complete", None, 3)


async def test_runs_that_are_cancelled_by_whomever_end_too_but_dry_runs_are_nobodys_business(store):
    code = await source(store)
    await store.invocations.settle((await run(store, code.id, dry_run=True)).id, State.COMPLETE, Counts())
    by_hand, left = await run(store, code.id), await run(store, code.id)
    await store.invocations.cancel(by_hand.id)
    await store.sources.delete(code.id, PURGE)
    ends = [(body["data"]["invocation_id"], body["data"]["state"]) for body in await told(store)]
    assert ends == [(by_hand.id, "cancelled"), (left.id, "cancelled")]


async def test_a_source_is_told_to_fail_once_whatever_its_reasons_and_to_be_in_order_again(store):
    code = await source(store, "code")
    since = datetime(2026, 1, 2, tzinfo=UTC)
    refused, away = (WatchState(since, reason) for reason in ("refused with token ghp_0123456789abcdefXYZ", "away"))
    await store.watch_failures.note({(code.id, "look"): refused})
    await store.watch_failures.note({(code.id, "look"): away, (code.id, "run"): away})
    await store.watch_failures.note({(code.id, "run"): away})
    await store.watch_failures.note({})
    failing, recovered = await told(store)
    assert (failing["type"], failing["data"]["source_id"]) == ("source.failing", code.id)
    assert failing["data"]["since"].startswith("2026-01-02T00:00:00")
    assert "refused with token" in failing["data"]["reason"]
    assert "ghp_0123456789abcdefXYZ" not in failing["data"]["reason"]
    assert (recovered["type"], recovered["data"]["was"]) == ("source.recovered", "failing")


async def test_a_source_is_told_to_be_late_once_and_to_be_so_no_longer(store):
    code = await source(store)
    for _ in range(2):
        await store.webhooks.note_late({code.id: {"behind_s": 70.0, "max_lag_s": 60.0}, "removed": {}})
    await store.webhooks.note_late({})
    late, recovered = await told(store)
    assert (late["type"], late["data"]["behind_s"], late["data"]["max_lag_s"]) == ("source.late", 70.0, 60.0)
    assert (recovered["type"], recovered["data"]["was"]) == ("source.recovered", "late")


async def test_held_deletes_are_told_once_however_often_the_run_is_begun(store):
    invocation = await run(store, (await source(store)).id)
    for _ in range(2):
        await store.progress.hold_deletes(invocation.id, ["a", "b"], "suspiciously many")
    (body,) = await told(store)
    assert body["type"] == "deletes.held"
    assert body["data"]["invocation_id"] == invocation.id
    assert (body["data"]["documents"], body["data"]["reason"]) == (2, "suspiciously many")


async def test_a_collection_that_was_damaged_is_told_when_it_is_whole_again_and_one_that_was_rebuilt_is_not(store):
    record = await store.collections.open(TARGET, Embedding())
    await store.refills.begin(record.id, "{}", None)
    await store.refills.end(record.id)
    assert await told(store) == []
    await store.refills.begin(record.id, "{}", None, "the index is damaged")
    await store.refills.begin(record.id, '{"a": 1}', None, "it was not complete")
    assert await told(store) == []
    await store.refills.end(record.id)
    await store.outbox.want(record.id, ["a-0"], "1 rows were missing")
    filled, mended = [body["data"] for body in await told(store)]
    assert filled == {"database_name": "db", "collection_name": "docs", "damage": "the index is damaged"}
    assert mended["damage"] == "1 rows were missing"


async def test_a_webhook_is_told_what_it_asked_for(store):
    await store.webhooks.subscribe(
        [
            WebhookFilter("all"),
            WebhookFilter("ends", events=["run.settled"]),
            WebhookFilter("elsewhere", databases=["other"]),
            WebhookFilter("code", sources=["code"]),
        ]
    )
    code, other = await source(store, "code"), await source(store, "notes")
    for record in (code, other):
        await store.invocations.settle((await run(store, record.id)).id, State.COMPLETE, Counts())
    await store.webhooks.note_late({code.id: {}})
    collection = await store.collections.open(TARGET, Embedding())
    await store.outbox.want(collection.id, ["a-0"], "1 rows were missing")
    assert await types(store) == ["run.settled", "run.settled", "source.late", "damage.healed"]
    assert await types(store, "ends") == ["run.settled", "run.settled"]
    assert await types(store, "elsewhere") == []
    assert await types(store, "code") == ["run.settled", "source.late"]


async def test_nothing_is_kept_for_nobody_and_what_waits_goes_with_its_webhook(store):
    code = await source(store)
    await store.invocations.settle((await run(store, code.id)).id, State.COMPLETE, Counts())
    await store.webhooks.subscribe([WebhookFilter("other")])
    assert await types(store) == []
    await store.webhooks.subscribe([])
    await store.invocations.settle((await run(store, code.id)).id, State.COMPLETE, Counts())
    await store.webhooks.subscribe([WebhookFilter("all"), WebhookFilter("other")])
    assert await types(store) == await types(store, "other") == []
