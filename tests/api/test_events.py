"""Runs as they change: whole at first, then what differs, for those who may see them and as long as they may."""

import json
from contextlib import asynccontextmanager

import aiohttp
import anyio

from syncd.api import ConnectionLimits, events, run_feed
from syncd.api.run_feed import RunFeed
from syncd.model import Counts, State
from tests.api.conftest import serving
from tests.api.test_invocations import settled

LIMIT_S = 30


@asynccontextmanager
async def followed(api, token=None, **headers):
    """Follow as a browser does; yield what returns the next message as (id, event, runs by id), or None at the end."""
    async with aiohttp.ClientSession() as browser:
        headers = {"x-chroma-token": token or api.token, **headers}
        async with browser.get(api.url + "/api/v1/events", headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            assert answer.content_type == "text/event-stream"

            async def following():
                with anyio.fail_after(LIMIT_S):
                    fields = {}
                    async for line in answer.content:
                        name, _, value = line.decode().rstrip("\n").partition(": ")
                        if name and value:
                            fields[name] = value
                        elif fields and not name:
                            return fields["id"], fields["event"], {run["id"]: run for run in json.loads(fields["data"])}
                return None

            yield following


async def test_all_come_first_and_then_those_that_change(api):
    run = await api.make_invocation()
    async with followed(api, await api.store.tokens.create("reader", access="read")) as following:
        mark, kind, runs = await following()
        assert (kind, set(runs)) == ("runs", {run})
        assert runs[run] == (await api.get(f"/api/v1/invocations/{run}"))[1]

        another = await settled(api, State.FAILED, "<img src=x>")
        while another not in runs or runs[another]["status"] == "pending":
            mark, kind, runs = await following()
        assert kind == "changed"
        assert runs[another]["status"] == {"failed": {"error": "<img src=x>"}}
        assert run not in runs

        await api.call("PUT", f"/api/v1/invocations/{run}")
        later, _, runs = await following()
        assert {it["status"] for it in runs.values()} == {"cancelled"}

    async with followed(api, **{"last-event-id": mark}) as following:
        again, kind, runs = await following()
        assert (again, kind, set(runs)) == (later, "changed", {run})
    for stale in ("x", "00000000-1", f"{mark.split('-')[0]}-99999999"):
        async with followed(api, **{"last-event-id": stale}) as following:
            assert (await following())[1] == "runs"


async def test_a_limited_token_follows_its_databases_only(api, store, chroma):
    await chroma.create_database("api-tests-other")
    ours = await api.make_invocation()
    await api.make_invocation(await api.make_source(database="api-tests-other"))
    async with followed(api, await store.tokens.create("scoped", frozenset({api.database}))) as following:
        assert set((await following())[2]) == {ours}


async def test_how_a_run_ended_is_told_however_many_newer_ones_there_are(api, store, monkeypatch):
    monkeypatch.setattr(run_feed, "NEWEST", 2)
    long = await api.make_invocation()
    await store.invocations.start(long)
    async with followed(api) as following:
        mark, _, runs = await following()
        assert runs[long]["status"] == "processing"
        newer = [await settled(api, State.COMPLETE) for _ in range(3)]
        while newer[-1] not in runs:
            _, _, runs = await following()
        await store.invocations.settle(long, State.COMPLETE, Counts(indexed=1))
        while long not in runs:
            _, _, runs = await following()
        assert "complete" in runs[long]["status"]
    async with followed(api, **{"last-event-id": mark}) as following:
        assert "complete" in (await following())[2][long]["status"], "it is told to who comes back, too"


async def test_what_is_kept_of_runs_behind_the_newest_is_bounded(api, store, monkeypatch):
    monkeypatch.setattr(run_feed, "READ_EVERY_S", 0.0)
    for limit, runs in (("NEWEST", 1), ("UNFINISHED", 1), ("BEHIND", 2)):
        monkeypatch.setattr(run_feed, limit, runs)
    feed, made = RunFeed(api.services), list[str]()
    for _ in range(6):
        made.append(await api.make_invocation())
        shown = await feed.latest()
    assert set(shown) == {made[-1], made[-2], made[-3]}
    for run in made:
        await store.invocations.cancel(run)
        shown = await feed.latest()
    assert set(shown) == {made[-1], made[-2], made[-3]}
    assert all(entry.is_over for entry in shown.values())


async def test_a_limited_token_is_told_of_its_latest_runs_however_busy_other_databases_are(api, store, monkeypatch):
    for limit in ("NEWEST", "UNFINISHED"):
        monkeypatch.setattr(run_feed, limit, 2)
    ended, waiting = await settled(api, State.COMPLETE), await api.make_invocation()
    for _ in range(3):
        await api.make_invocation(await api.make_source("default_database"))
    async with followed(api, await store.tokens.create("scoped", frozenset({api.database}))) as following:
        _, kind, runs = await following()
        assert (kind, set(runs)) == ("runs", {ended, waiting})
        await store.invocations.cancel(waiting)
        _, kind, runs = await following()
        assert (kind, {run: it["status"] for run, it in runs.items()}) == ("changed", {waiting: "cancelled"})


async def test_many_who_follow_cost_no_more_reads_than_one(api, store, monkeypatch):
    await api.make_invocation()
    reads = 0
    read = RunFeed._read

    async def counted(self):
        nonlocal reads
        reads += 1
        await read(self)

    monkeypatch.setattr(RunFeed, "_read", counted)
    monkeypatch.setattr("syncd.api.run_feed.READ_EVERY_S", 1e9)
    async with anyio.create_task_group() as group:

        async def follow_once():
            async with followed(api) as following:
                assert await following()

        for _ in range(20):
            group.start_soon(follow_once)
    assert reads == 1


async def test_a_stream_ends_when_its_token_is_revoked(api, store, monkeypatch):
    monkeypatch.setattr(events, "HEARTBEAT_S", 0.0)
    token = await store.tokens.create("short-lived")
    async with followed(api, token) as following:
        assert await following()
        await store.tokens.revoke(token.split("_")[1])
        assert await following() is None


async def test_streams_are_limited_and_end_when_the_server_stops(api):
    ends = []

    async def to_the_end(*, task_status):
        async with followed(api) as following:
            await following()
            task_status.started()
            ends.append(await following())

    server = serving(api.services, ConnectionLimits(shutdown_s=1e9))
    # Leaving stops the server first, which would wait for each of them, and then cut them off.
    async with anyio.create_task_group() as group, server as sockets:
        api.url = sockets.url
        for _ in range(events.STREAMS_PER_TOKEN):
            await group.start(to_the_end)
        assert (await api.get("/api/v1/events"))[0] == 429
    assert ends == [None] * events.STREAMS_PER_TOKEN
