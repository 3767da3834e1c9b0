"""The messages of one queue in flight: kept invisible while they are processed, then deleted or released."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import anyio
import structlog

from syncd.errors import PermanentError, RetryableError
from syncd.runtime.containment import contained
from syncd.sources.s3.answers import BatchAnswer, BatchEntry, ReceivedMessage
from syncd.sources.s3.calls import SqsClient
from syncd.sources.s3.client import Caller

log = structlog.get_logger()

SQS_BATCH_SIZE = 10
"""SQS's limit for one call (Amazon SQS API Reference)."""
LONGEST_VISIBILITY_S = 43200
GIVE_BACK_S = 5.0


@dataclass(frozen=True, slots=True)
class Message:
    """One delivery of one message."""

    id: str
    receipt: str
    body: str
    receives: int

    @classmethod
    def of(cls, answer: ReceivedMessage) -> Message:
        """Build a Message from an entry of ReceiveMessage's answer."""
        receives = int(answer.get("Attributes", {}).get("ApproximateReceiveCount", 1))
        return cls(answer["MessageId"], answer["ReceiptHandle"], answer["Body"], receives)


class InFlight:
    """Holds up to `capacity` messages. `keep_hidden` and `delete_done` run concurrently with the tasks that process them."""

    def __init__(self, queue_url: str, connection: Caller, capacity: int, visibility_s: int) -> None:
        self._queue_url = queue_url
        self._connection = connection
        self._capacity = capacity
        self._visibility_s = visibility_s
        self._held: dict[str, Message] = {}
        self._done: list[Message] = []
        self._changed = anyio.Event()
        self._crowded = anyio.Event()
        self._finished = anyio.Event()

    @property
    def count(self) -> int:
        """The number of messages in flight, including those that wait to be deleted."""
        return len(self._held)

    async def room(self) -> int:
        """Wait until there is room for another message; return the room."""
        while len(self._held) >= self._capacity:
            self._changed = anyio.Event()
            self._crowded.set()
            await self._changed.wait()
        self._crowded = anyio.Event()
        return self._capacity - len(self._held)

    async def crowded(self) -> None:
        """Wait until somebody waits for room."""
        await self._crowded.wait()

    def take(self, message: Message) -> None:
        """Add a message that was just received."""
        self._held[message.receipt] = message

    def finish(self, message: Message) -> None:
        """Schedule a message for deletion; call only after everything it caused is durable. Never waits."""
        self._done.append(message)
        self._finished.set()

    async def give_back(self, message: Message, delay_s: float) -> None:
        """Release a message, to be delivered again after `delay_s`. Waits for SQS."""
        self._release(message)
        await self._set_visibility([message], min(int(delay_s), LONGEST_VISIBILITY_S))

    async def give_all_back(self) -> None:
        """Release every unfinished message at once; gives up after a few seconds, since SQS redelivers them later anyway."""
        with anyio.move_on_after(GIVE_BACK_S, shield=True):
            await self._delete(self._done)
            messages = list(self._held.values())
            self._held.clear()
            await self._set_visibility(messages, 0)

    async def keep_hidden(self) -> None:
        """Extend the visibility timeout of all messages in flight, three times per timeout, until cancelled."""
        while True:
            await anyio.sleep(self._visibility_s / 3)
            await self._set_visibility(list(self._held.values()), self._visibility_s)

    async def delete_done(self) -> None:
        """Delete finished messages, in batches where possible, until cancelled."""
        while True:
            await self._finished.wait()
            self._finished = anyio.Event()
            while self._done:
                batch, self._done = self._done[:SQS_BATCH_SIZE], self._done[SQS_BATCH_SIZE:]
                await self._delete(batch)

    def _release(self, message: Message) -> None:
        self._held.pop(message.receipt, None)
        self._changed.set()

    async def _delete(self, messages: Sequence[Message]) -> None:
        """Delete messages. One that cannot be deleted is delivered again and finds its work done, so that is not an error."""
        for batch in sqs_batches(messages):
            entries = numbered(batch)
            await self._in_batch(
                "delete_message_batch",
                lambda client, entries=entries: client.delete_message_batch(QueueUrl=self._queue_url, Entries=entries),
            )
            for message in batch:
                self._release(message)

    async def _set_visibility(self, messages: Sequence[Message], timeout_s: int) -> None:
        for batch in sqs_batches(messages):
            entries = numbered(batch, timeout_s)
            await self._in_batch(
                "change_message_visibility_batch",
                lambda client, entries=entries: client.change_message_visibility_batch(
                    QueueUrl=self._queue_url, Entries=entries
                ),
            )

    async def _in_batch(self, method: str, call: Callable[[SqsClient], Awaitable[BatchAnswer]]) -> None:
        try:
            with contained("queue", queue=self._queue_url):
                answer = await self._connection.call(call, self._queue_url)
                for failed in answer.get("Failed", ()):
                    log.info("sqs.not_acknowledged", queue=self._queue_url, call=method, reason=failed.get("Code"))
        except (RetryableError, PermanentError) as error:
            log.warning("sqs.not_acknowledged", queue=self._queue_url, call=method, reason=str(error))


def numbered(messages: Sequence[Message], visibility_s: int | None = None) -> Sequence[BatchEntry]:
    """Return messages as a call about several has them."""
    entries: list[BatchEntry] = []
    for number, message in enumerate(messages):
        entry: BatchEntry = {"Id": str(number), "ReceiptHandle": message.receipt}
        if visibility_s is not None:
            entry["VisibilityTimeout"] = visibility_s
        entries.append(entry)
    return entries


def sqs_batches(messages: Sequence[Message]) -> Sequence[Sequence[Message]]:
    """Cut messages into batches that SQS takes."""
    return [messages[i : i + SQS_BATCH_SIZE] for i in range(0, len(messages), SQS_BATCH_SIZE)]
