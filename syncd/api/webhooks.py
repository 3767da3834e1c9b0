"""Webhooks of the configuration file: how they are doing, and a test. Their secrets and whole addresses are never shown."""

from __future__ import annotations

from aiohttp import web

from syncd.api.route import Access, Route, json_answer
from syncd.api.services import SERVICES
from syncd.api.views import rfc3339
from syncd.json_types import JsonObject
from syncd.redaction import redacted
from syncd.schema import Model, Moment
from syncd.store.webhook_outbox import WebhookState


class LastDelivery(Model):
    """The notification that was delivered or given up last."""

    id: str
    """What the receiver got as `webhook-id`."""
    event: str
    at: Moment
    error: str | None = None
    """Why it was given up; null if it was delivered."""


class WebhookView(Model):
    """A webhook without its secret."""

    name: str
    events: list[str]
    """What it is told; all when empty, as with the other two."""
    databases: list[str]
    sources: list[str]
    waiting: int
    """Notifications that are not delivered yet; each is tried for a day."""
    given_up: int
    """Of the last seven days."""
    failing_since: Moment | None
    error: str | None
    """Why delivering fails."""
    last: LastDelivery | None


class WebhookTestResponse(Model):
    """How the receiver answered a notification of type `test`."""

    delivered: bool
    status: int | None
    """Null if it did not answer."""
    error: str | None


async def index(request: web.Request) -> web.Response:
    """List the webhooks, by name."""
    return json_answer([webhook_view(state) for state in await request.app[SERVICES].store.webhooks.states()])


async def test(request: web.Request) -> web.Response:
    """Send a test to a webhook at once, and return how it answered; it is not sent again. Waits for the answer."""
    attempt = await request.app[SERVICES].try_webhook(request.match_info["webhook_name"])
    error = redacted(attempt.error) or None
    return json_answer({"delivered": error is None, "status": attempt.status, "error": error})


def webhook_view(state: WebhookState) -> JsonObject:
    """Return a webhook as the API and the status show it."""
    asked, last = state.wants, state.last
    return {
        "name": asked.webhook,
        "events": sorted(asked.events),
        "databases": sorted(asked.databases),
        "sources": sorted(asked.sources),
        "waiting": state.waiting,
        "given_up": state.given_up,
        "failing_since": rfc3339(state.failing_since) if state.failing_since else None,
        "error": redacted(state.error) or None,
        "last": last
        and {"id": last.id, "event": last.event, "at": rfc3339(last.at), "error": redacted(last.error) or None},
    }


ROUTES = (
    Route(
        "GET",
        "/api/v1/webhooks",
        index,
        "list_webhooks",
        "Webhook",
        "List webhooks",
        {200: [WebhookView]},
        access=Access.ADMIN,
        own=True,
    ),
    Route(
        "POST",
        "/api/v1/webhooks/{webhook_name}/test",
        test,
        "test_webhook",
        "Webhook",
        "Send a test to a webhook",
        {200: WebhookTestResponse},
        access=Access.ADMIN,
        own=True,
    ),
)
