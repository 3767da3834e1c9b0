"""Event messages that could not be processed. Only for tokens that are not limited to databases."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime

from aiohttp import web

from syncd.api.requests import read_query
from syncd.api.route import Access, Route, json_answer
from syncd.api.services import SERVICES
from syncd.api.sources import MAX_PAGE
from syncd.api.views import rfc3339
from syncd.redaction import redacted
from syncd.schema import Model, Moment, QueryCount
from syncd.sources.objects.event_store import DeadLetters


class DeadLettersQuery(Model):
    """Which dead letters to list."""

    queue_url: str | None = None
    limit: QueryCount = 100


class DeadLetter(Model):
    """One message that could not be processed; by now it is in the queue's dead-letter queue, if there is one."""

    queue_url: str
    message_id: str
    reason: str
    body: str
    receives: int
    at: Moment
    """When the message was last received."""


async def index(request: web.Request) -> web.Response:
    """List dead letters with their reasons, newest first."""
    query = read_query(request, DeadLettersQuery)
    letters = DeadLetters(request.app[SERVICES].store.database)
    found = await letters.list(query.queue_url, min(query.limit, MAX_PAGE))
    return json_answer(
        [
            {**asdict(it), "reason": redacted(it.reason), "at": rfc3339(datetime.fromtimestamp(it.at, UTC))}
            for it in found
        ]
    )


ROUTES = (
    Route(
        "GET",
        "/api/v1/dead-letters",
        index,
        "list_dead_letters",
        "Source",
        "List event messages that could not be processed",
        {200: [DeadLetter]},
        query=DeadLettersQuery,
        access=Access.ADMIN,
        own=True,
    ),
)
