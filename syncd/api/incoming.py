"""Webhooks that come in: whoever signs with a secret of the configuration announces a change, and runs start at once.

Nothing is believed but that it is worth a look: a run compares the source as ever, so what is sent twice, or again years later, does
no harm, and what never arrives is found by polling.
"""

from __future__ import annotations

from urllib.parse import parse_qs

import structlog
from aiohttp import web

from syncd.api.announcements import Announcement, read_announcement
from syncd.api.errors import RefusedError
from syncd.api.incoming_signatures import IncomingWebhook
from syncd.api.requests import loads, read_body
from syncd.api.route import Access, Route, json_answer
from syncd.api.run_request import of_watched_branch
from syncd.api.services import SERVICES, Services
from syncd.model import Origin, Target, WholeSource
from syncd.schema import INT64_MAX, Model

log = structlog.get_logger()

UNKNOWN_WEBHOOK = IncomingWebhook("", "")
"""Stands for one that is not configured: it is answered as one with a wrong signature."""
FORM_TYPE = "application/x-www-form-urlencoded"
"""As GitHub sends it where that is chosen; the JSON is in the field `payload`."""


class AnnouncedResponse(Model):
    """It was signed as it should be. Whether it concerns a source is not said."""

    accepted: bool = True


async def announce(request: web.Request) -> web.Response:
    """Start runs of the sources that a signed message concerns; they are durable before it is answered."""
    services = request.app[SERVICES]
    body = await read_body(request)
    webhook = services.incoming.get(request.match_info["webhook_name"], UNKNOWN_WEBHOOK)
    is_signed = webhook.signed(request.headers, body)
    if not is_signed or webhook is UNKNOWN_WEBHOOK:
        raise RefusedError(
            401, "no webhook of this name, or the signature is not of its secret; see [[incoming_webhooks]]"
        )
    said = body
    if request.content_type == FORM_TYPE:
        said = parse_qs(body.decode("utf-8", "replace")).get("payload", [""])[0].encode()
    announcement = read_announcement(request.headers, loads(said, "the message"))
    if not announcement.is_ping:
        await _start_runs(services, webhook, announcement)
    return json_answer({"accepted": True}, 202)


async def _start_runs(services: Services, webhook: IncomingWebhook, announcement: Announcement) -> None:
    databases, started = webhook.databases or None, 0
    for source in await services.store.sources.list(databases=databases, limit=INT64_MAX):
        collection = source.settings.kept_collection
        if not collection or not announcement.concerns(source, services.sources.repository(source)):
            continue
        asked = of_watched_branch(source, WholeSource())
        await services.store.invocations.create_or_join(
            source.id, Target(source.database, collection), Origin.WATCH, asked
        )
        started += 1
    log.info("webhook.received", webhook=webhook.name, runs=started)
    if started:
        services.wake()


ROUTES = (
    Route(
        "POST",
        "/hooks/{webhook_name}",
        announce,
        "announce_change",
        "Webhook",
        "Announce a change",
        {202: AnnouncedResponse},
        errors=(400, 401, 500),
        raw_body={
            "required": True,
            "content": {"application/json": {"schema": {"type": "object"}}, FORM_TYPE: {"schema": {"type": "object"}}},
        },
        access=Access.SIGNED,
        own=True,
        description="As GitHub, GitLab, Gitea, Forgejo and Bitbucket send it, or "
        '`{"source": "its name or id"}` or `{"repository": "its URL"}`, signed with the secret of an `[[incoming_webhooks]]`.',
    ),
)
