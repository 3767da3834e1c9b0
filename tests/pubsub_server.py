"""A strict Pub/Sub service over HTTP, as Google's REST reference describes it: PyPI has no emulator of it.

It wants access tokens for Pub/Sub, leases messages until their deadlines, and knows the acknowledgement ids that it gave out.
"""

import asyncio
import base64
import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web

from tests.gcs_server import Gcs
from tests.serving import serve

SCOPE = "https://www.googleapis.com/auth/pubsub"
LONGEST_WAIT_S = 0.5
"""How long a pull waits for a message; the reference says: bounded."""


@dataclass
class Published:
    attributes: dict[str, str]
    data: bytes = b""
    id: str = field(default_factory=lambda: str(uuid.uuid4().int)[:16])
    leased_until: float = 0.0
    ack_id: str = ""
    deliveries: int = 0


@dataclass
class Subscribed:
    """One subscription. With `most_deliveries` it has a dead-letter topic."""

    deadline_s: float = 10.0
    most_deliveries: int = 0
    messages: list[Published] = field(default_factory=list)
    dead: list[Published] = field(default_factory=list)
    given: set[str] = field(default_factory=set)
    """Every acknowledgement id so far."""
    extended: int = 0


@dataclass
class PubSub:
    """One running server, which believes the tokens of a GCS server."""

    tokens: Gcs
    url: str = ""
    subscriptions: dict[str, Subscribed] = field(default_factory=dict)

    def subscribe(self, name: str, **settings: Any) -> str:
        """Make a subscription and return its URL."""
        self.subscriptions[name] = Subscribed(**settings)
        return self.subscription_url(name)

    def subscription_url(self, name: str) -> str:
        return f"{self.url}/v1/projects/acme/subscriptions/{name}"

    def publish(self, name: str, attributes: dict[str, str], data: bytes = b"") -> None:
        self.subscriptions[name].messages.append(Published(attributes, data))

    async def handle(self, request: web.Request) -> web.Response:
        assert (request.method, request.content_type) == ("POST", "application/json")
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if bearer not in self.tokens.tokens:
            return refusal(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
        if self.tokens.tokens[bearer] != SCOPE:
            return refusal(403, "PERMISSION_DENIED", "Request had insufficient authentication scopes.")
        place, _, verb = request.path.rpartition(":")
        subscription = self.subscriptions.get(place.removeprefix("/v1/projects/acme/subscriptions/"))
        if subscription is None:
            return refusal(404, "NOT_FOUND", "Resource not found.")
        wanted = await request.json()
        if verb == "pull":
            return await self._pull(subscription, wanted["maxMessages"])
        if not wanted["ackIds"] or not subscription.given.issuperset(wanted["ackIds"]):
            return refusal(400, "INVALID_ARGUMENT", "You have passed an invalid ack ID to the service.")
        held = [one for one in subscription.messages if one.ack_id in wanted["ackIds"] and is_leased(one)]
        if verb == "acknowledge":
            subscription.messages = [one for one in subscription.messages if one not in held]
            return web.json_response({})
        assert verb == "modifyAckDeadline"
        if not 0 <= wanted["ackDeadlineSeconds"] <= 600:
            return refusal(400, "INVALID_ARGUMENT", "ackDeadlineSeconds")
        subscription.extended += len(held)
        for message in held:
            message.leased_until = time.monotonic() + wanted["ackDeadlineSeconds"]
        return web.json_response({})

    async def _pull(self, subscription: Subscribed, count: int) -> web.Response:
        assert count > 0
        until = time.monotonic() + LONGEST_WAIT_S
        while not (found := self._leased(subscription, count)) and time.monotonic() < until:  # noqa: ASYNC110 - the tests' thread publishes
            await asyncio.sleep(0.02)
        counts = bool(subscription.most_deliveries)
        received = [
            {
                "ackId": one.ack_id,
                "message": {
                    **({"attributes": one.attributes} if one.attributes else {}),
                    **({"data": base64.b64encode(one.data).decode()} if one.data else {}),
                    "messageId": one.id,
                    "publishTime": datetime.now(UTC).isoformat(),
                },
                **({"deliveryAttempt": one.deliveries} if counts else {}),
            }
            for one in found
        ]
        return web.json_response({"receivedMessages": received} if received else {})

    def _leased(self, subscription: Subscribed, count: int) -> list[Published]:
        found: list[Published] = []
        for message in [one for one in subscription.messages if not is_leased(one)][:count]:
            if subscription.most_deliveries and message.deliveries >= subscription.most_deliveries:
                subscription.messages.remove(message)
                subscription.dead.append(message)
                continue
            message.ack_id = uuid.uuid4().hex
            message.leased_until = time.monotonic() + subscription.deadline_s
            message.deliveries += 1
            subscription.given.add(message.ack_id)
            found.append(message)
        return found


def is_leased(message: Published) -> bool:
    return message.leased_until > time.monotonic()


def refusal(status: int, name: str, message: str) -> web.Response:
    return web.json_response({"error": {"code": status, "message": message, "status": name}}, status=status)


def notification(bucket: str, key: str, kind: str = "OBJECT_FINALIZE", generation: int | None = None) -> dict[str, str]:
    """Return the attributes of a bucket's notification."""
    return {
        "notificationConfig": f"projects/_/buckets/{bucket}/notificationConfigs/1",
        "eventType": kind,
        "payloadFormat": "JSON_API_V1",
        "bucketId": bucket,
        "objectId": key,
        "objectGeneration": str(generation or time.monotonic_ns()),
        "eventTime": datetime.now(UTC).isoformat(),
    }


def as_json(attributes: dict[str, str]) -> str:
    """Return a message as pollers hand it on."""
    return json.dumps({"attributes": attributes, "data": ""})


@pytest.fixture(scope="session")
def pubsub_server(gcs_server: Gcs) -> Iterator[PubSub]:
    running = PubSub(gcs_server)
    with serve(running.handle) as running.url:
        yield running
