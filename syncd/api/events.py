"""Runs as they change, as server-sent events. An addition to the published API."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

import anyio
from aiohttp import web

from syncd.api.auth import TOKEN, is_still_allowed, scope
from syncd.api.route import Route
from syncd.api.run_feed import FeedEntry, RunFeed
from syncd.api.upload_file import Slots
from syncd.errors import SyncdError

STREAMS_PER_TOKEN = 32
HEARTBEAT_S = 15.0
"""So often a stream says something, and looks whether its token is good still."""
WRITE_LIMIT_S = 20.0
"""Whoever takes nothing for that long is gone."""

RUN_FEED = web.AppKey("run_feed", RunFeed)
STREAMS = web.AppKey("streams", Slots)


async def stream(request: web.Request) -> web.StreamResponse:
    """Follow runs: an event `runs` has the latest ones and those that have not ended (an array of `Job`), each `changed` those that
    differ since. After `Last-Event-ID` of a stream of this start of the daemon only what is newer comes. Comments are heartbeats.
    """
    feed = request.app[RUN_FEED]
    with request.app[STREAMS].one(request[TOKEN].id):
        known = feed.version_at(request.headers.get("last-event-id", ""))
        await feed.latest()
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await response.prepare(request)
        # What is away, or has gone away, a new stream is told of before it begins.
        with suppress(SyncdError, ConnectionError, TimeoutError):
            await _follow(request, feed, response, known)
        return response


async def _follow(request: web.Request, feed: RunFeed, response: web.StreamResponse, known: int | None) -> None:
    """Say what changes until the server stops or the caller's token is not good any more. Raises TimeoutError, ConnectionError."""
    databases, seen = scope(request), known or 0
    kind, checked_at = ("runs" if known is None else "changed"), anyio.current_time()
    is_going_on = True
    while is_going_on:
        hidden = await feed.ended_of(databases) if kind == "runs" and databases is not None else ()
        entries = (await feed.latest()).values()
        news = [it for it in entries if it.version > seen and (databases is None or it.database in databases)]
        news = [*hidden, *news]
        seen, message = feed.version, b""
        if news or kind == "runs":
            message, kind = _event(feed.mark, kind, news), "changed"
        if anyio.current_time() - checked_at >= HEARTBEAT_S:
            message += b":\n\n"
            checked_at, is_going_on = anyio.current_time(), await is_still_allowed(request)
        if message:
            with anyio.fail_after(WRITE_LIMIT_S):
                await response.write(message)
        is_going_on = is_going_on and await feed.next_look()


def _event(mark: str, kind: str, entries: Iterable[FeedEntry]) -> bytes:
    jobs = ",".join(entry.text for entry in entries)
    return f"id: {mark}\nevent: {kind}\ndata: [{jobs}]\n\n".encode()


ROUTES = (
    Route(
        "GET",
        "/api/v1/events",
        stream,
        "follow_runs",
        "Invocation",
        "Follow runs as server-sent events",
        {200: None},
        errors=(400, 401, 403, 500),
        own=True,
    ),
)
