"""One subscription of Google Cloud Pub/Sub through its REST API; an `objects.event_queue.EventQueue`.

Sources: Pub/Sub REST reference, "projects.subscriptions.pull", ".acknowledge" and ".modifyAckDeadline"; "Error codes".
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import anyio
from pydantic import BaseModel, Field
from yarl import URL

from syncd.errors import MisconfiguredError, NotFoundError, PermanentError, RetryableError, SyncdError
from syncd.json_types import JsonObject
from syncd.sources.gcs.errors import said
from syncd.sources.gcs.notifications import read_notification
from syncd.sources.objects.event_queue import Message, PollerSettings, QueueKind
from syncd.sources.objects.http import Asking, HttpConnection, RefusedAnswer
from syncd.sources.objects.transport import ThrottledError

SUBSCRIPTIONS = QueueKind(batch_size=500, longest_hidden_s=600, read=read_notification)
"""Acknowledgement ids of a call may be 512 KiB; a deadline may be ten minutes away."""


class PublishedMessage(BaseModel):
    """A message as it was published, as far as it is read."""

    messageId: str  # noqa: N815 - the service's name
    attributes: dict[str, str] = Field(default_factory=dict)
    data: str = ""


class PulledMessage(BaseModel):
    """One delivery."""

    ackId: str  # noqa: N815 - the service's name
    message: PublishedMessage
    deliveryAttempt: int = 0  # noqa: N815 - the service's name
    """0 where the subscription has no dead-letter topic."""

    def delivered(self) -> Message:
        """Return the delivery as pollers know it; its body without the object's metadata, which nobody reads."""
        body = json.dumps(
            {"attributes": self.message.attributes, "data": "" if self.message.attributes else self.message.data}
        )
        return Message(self.message.messageId, self.ackId, body, self.deliveryAttempt)


class PulledMessages(BaseModel):
    """The answer to a pull."""

    receivedMessages: tuple[PulledMessage, ...] = ()  # noqa: N815 - the service's name


class Subscription:
    """One subscription with one credential."""

    def __init__(self, queue_url: str, connection: HttpConnection) -> None:
        self._url = queue_url
        self._connection = connection

    async def receive(self, count: int, settings: PollerSettings) -> Sequence[Message]:
        """Wait up to `wait_s` for messages. Raises RetryableError, PermanentError.

        What was on its way when that was over is delivered again, as what is not acknowledged always is.
        """
        messages: Sequence[Message] = ()
        with anyio.move_on_after(settings.wait_s):
            messages = await self._connection.once(self._asking("pull", {"maxMessages": count}), self._url, read_pulled)
        if messages:
            # Until then the subscription's own deadline holds, which may be ten seconds.
            await self.hide(messages, settings.visibility_s)
        return messages

    async def hide(self, messages: Sequence[Message], timeout_s: int) -> Sequence[str]:
        """Set the time by which the messages must be acknowledged."""
        wanted: JsonObject = {"ackIds": [message.receipt for message in messages], "ackDeadlineSeconds": timeout_s}
        await self._connection.call(self._asking("modifyAckDeadline", wanted), self._url, bytes)
        return ()

    async def delete(self, messages: Sequence[Message]) -> Sequence[str]:
        """Acknowledge the messages."""
        wanted: JsonObject = {"ackIds": [message.receipt for message in messages]}
        await self._connection.call(self._asking("acknowledge", wanted), self._url, bytes)
        return ()

    async def puts_aside(self, message: Message) -> bool:
        """Return whether there is a dead-letter topic: only then does the service count deliveries."""
        return message.receives > 0

    def _asking(self, verb: str, wanted: JsonObject) -> Asking:
        headers = {"Content-Type": "application/json"}
        return Asking(URL(f"{self._url}:{verb}"), headers, "POST", json.dumps(wanted).encode())


def read_pulled(body: bytes) -> Sequence[Message]:
    """Return the messages of a pull. Raises ValueError."""
    return [one.delivered() for one in PulledMessages.model_validate_json(body).receivedMessages]


def pubsub_error(refusal: RefusedAnswer, what: str) -> SyncdError:
    """Return the error of ours; `what` is the subscription's URL."""
    _, message = said(refusal)
    status, wait_s = refusal.status, refusal.retry_after_s
    if status in (429, 503):
        return ThrottledError(f"{what}: throttled by the service ({status})", wait_s)
    if status in (408, 499) or status >= 500:
        return RetryableError(f"{what}: the service failed ({status})", wait_s)
    if status in (401, 403):
        return MisconfiguredError(
            f"{what}: access denied ({message or status}); the account needs the role Pub/Sub Subscriber on the subscription"
        )
    if status == 404:
        return NotFoundError(
            f"{what} does not exist; create the subscription to the topic of the bucket's notifications, or correct queue_url"
        )
    return PermanentError(f"{what}: refused by Pub/Sub ({message or status})")
