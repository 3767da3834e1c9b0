"""One queue of Azure Queue Storage through its REST API; an `objects.event_queue.EventQueue`.

Sources: Azure Storage REST API, "Get Messages", "Update Message", "Delete Message", "Queue service error codes".
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from urllib.parse import quote
from xml.etree import ElementTree

import anyio

from syncd.errors import MisconfiguredError, NotFoundError, PermanentError, RetryableError, SyncdError
from syncd.sources.azure_blob.errors import azure_error, code_of
from syncd.sources.azure_blob.events import read_event_grid
from syncd.sources.objects.event_queue import Message, PollerSettings, QueueKind
from syncd.sources.objects.http import Asking, HttpConnection, RefusedAnswer, address_of

STORAGE_QUEUES = QueueKind(batch_size=32, longest_hidden_s=604_800, read=read_event_grid)
"""As many messages as one "Get Messages" returns; hiding and deleting take a call each, which are made at once."""
IDLE_PAUSE_S = 2.0
"""After finding nothing: the service answers at once, and has no long polls."""


class StorageQueue:
    """One queue with one credential."""

    def __init__(self, queue_url: str, connection: HttpConnection) -> None:
        self._url = queue_url
        self._connection = connection

    async def receive(self, count: int, settings: PollerSettings) -> Sequence[Message]:
        """Return what is there or, after a pause, nothing. Raises RetryableError, PermanentError."""
        wanted = {"numofmessages": str(count), "visibilitytimeout": str(settings.visibility_s)}
        asking = Asking(address_of(f"{self._url}/messages", wanted))
        messages = await self._connection.once(asking, self._url, read_messages)
        if not messages:
            await anyio.sleep(min(settings.wait_s, IDLE_PAUSE_S))
        return messages

    async def hide(self, messages: Sequence[Message], timeout_s: int) -> Sequence[str]:
        """Change the messages' visibility timeouts, and so their receipts."""
        return await each(messages, partial(self._hide, timeout_s=timeout_s))

    async def delete(self, messages: Sequence[Message]) -> Sequence[str]:
        """Delete the messages."""
        return await each(messages, self._delete)

    async def puts_aside(self, message: Message) -> bool:
        """Return False: such queues deliver a message until somebody deletes it."""
        del message
        return False

    async def _hide(self, message: Message, timeout_s: int) -> None:
        asking = self._about(message, "PUT", {"visibilitytimeout": str(timeout_s)})
        # Once only: a second attempt would have to know the receipt that the first one got.
        async with self._connection.answer(asking, self._url) as response:
            message.receipt = response.headers.get("x-ms-popreceipt", message.receipt)

    async def _delete(self, message: Message) -> None:
        await self._connection.call(self._about(message, "DELETE", {}), self._url, bytes)

    def _about(self, message: Message, method: str, query: Mapping[str, str]) -> Asking:
        place = f"{self._url}/messages/{quote(message.id, safe='')}"
        return Asking(address_of(place, {"popreceipt": message.receipt, **query}), method=method)


async def each(messages: Sequence[Message], call: Callable[[Message], Awaitable[None]]) -> Sequence[str]:
    """Call with every message at once, and return why calls failed. Raises MisconfiguredError where a key may not."""
    reasons: list[str] = []
    refusals: list[MisconfiguredError] = []

    async def one(message: Message) -> None:
        try:
            await call(message)
        except MisconfiguredError as error:
            refusals.append(error)
        except (RetryableError, PermanentError) as error:
            reasons.append(str(error))

    async with anyio.create_task_group() as group:
        for message in messages:
            group.start_soon(one, message)
    if refusals:
        raise refusals[0]
    return reasons


def read_messages(body: bytes) -> Sequence[Message]:
    """Return the messages of "Get Messages". Raises ValueError."""
    try:
        root = ElementTree.fromstring(body)  # noqa: S314 - expat bounds entity expansion and fetches nothing
    except ElementTree.ParseError as error:
        raise ValueError("no XML") from error
    if root.tag != "QueueMessagesList":
        raise ValueError("no messages")
    return [queue_message(entry) for entry in root.iterfind("QueueMessage")]


def queue_message(entry: ElementTree.Element) -> Message:
    """Return one message. Raises ValueError."""
    number, receipt = entry.findtext("MessageId"), entry.findtext("PopReceipt")
    if not number or not receipt:
        raise ValueError("a message without an id or a receipt")
    return Message(number, receipt, entry.findtext("MessageText") or "", int(entry.findtext("DequeueCount") or 1))


def storage_queue_error(refusal: RefusedAnswer, what: str) -> SyncdError:
    """Return the error of ours; `what` is the queue's URL."""
    ours, said = azure_error(refusal, what), code_of(refusal) or str(refusal.status)
    if said in ("MessageNotFound", "PopReceiptMismatch"):
        return PermanentError(f"{what}: the message was delivered to somebody else meanwhile ({said})")
    if isinstance(ours, NotFoundError):
        return NotFoundError(
            f"{what} does not exist ({said}); create the queue and an event subscription that delivers to it, or correct queue_url"
        )
    if isinstance(ours, MisconfiguredError):
        return MisconfiguredError(
            f"{what}: access denied ({said}); events need an account key, or a SAS token of the account for its queues, too "
            "(ss=bq, sp=rlup), and its firewall must let this machine in"
        )
    return ours
