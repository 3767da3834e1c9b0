"""One SQS queue; an `objects.event_queue.EventQueue`."""

from __future__ import annotations

import json
from collections.abc import Sequence

import anyio

from syncd.sources.objects.event_queue import Message, PollerSettings, QueueKind
from syncd.sources.s3.answers import BatchAnswer, BatchEntry, ReceivedMessage
from syncd.sources.s3.calls import SqsClient
from syncd.sources.s3.client import Connection
from syncd.sources.s3.events import parse_message

SQS = QueueKind(batch_size=10, longest_hidden_s=43200, read=parse_message)
"""The limits of one call (Amazon SQS API Reference)."""
POLL_MARGIN_S = 15.0
"""A long poll that is this much overdue is abandoned."""


class SqsQueue:
    """Calls about one queue over one connection; none is about more than ten messages."""

    def __init__(self, queue_url: str, connection: Connection[SqsClient]) -> None:
        self.connection = connection
        self._queue_url = queue_url

    async def receive(self, count: int, settings: PollerSettings) -> Sequence[Message]:
        """Poll for up to `wait_s`. Raises RetryableError, PermanentError."""

        async def ask(client: SqsClient) -> Sequence[Message]:
            with anyio.fail_after(settings.wait_s + POLL_MARGIN_S):
                answer = await client.receive_message(
                    QueueUrl=self._queue_url,
                    MaxNumberOfMessages=count,
                    WaitTimeSeconds=settings.wait_s,
                    VisibilityTimeout=settings.visibility_s,
                    AttributeNames=["ApproximateReceiveCount"],
                )
            return [sqs_message(message) for message in answer.get("Messages", ())]

        return await self.connection.once(ask, self._queue_url)

    async def hide(self, messages: Sequence[Message], timeout_s: int) -> Sequence[str]:
        """Change the messages' visibility timeout."""
        entries = numbered(messages, timeout_s)

        async def ask(client: SqsClient) -> BatchAnswer:
            return await client.change_message_visibility_batch(QueueUrl=self._queue_url, Entries=entries)

        return not_done(await self.connection.call(ask, self._queue_url))

    async def delete(self, messages: Sequence[Message]) -> Sequence[str]:
        """Delete the messages."""
        entries = numbered(messages)

        async def ask(client: SqsClient) -> BatchAnswer:
            return await client.delete_message_batch(QueueUrl=self._queue_url, Entries=entries)

        return not_done(await self.connection.call(ask, self._queue_url))

    async def puts_aside(self, message: Message) -> bool:
        """Return whether the queue has a dead-letter queue."""
        del message

        async def ask(client: SqsClient) -> bool:
            answer = await client.get_queue_attributes(QueueUrl=self._queue_url, AttributeNames=["RedrivePolicy"])
            policy = json.loads(answer.get("Attributes", {}).get("RedrivePolicy") or "{}")
            return bool(policy.get("deadLetterTargetArn"))

        return await self.connection.call(ask, self._queue_url)


def sqs_message(answer: ReceivedMessage) -> Message:
    """Return an entry of ReceiveMessage's answer."""
    receives = int(answer.get("Attributes", {}).get("ApproximateReceiveCount", 1))
    return Message(answer["MessageId"], answer["ReceiptHandle"], answer["Body"], receives)


def numbered(messages: Sequence[Message], visibility_s: int | None = None) -> Sequence[BatchEntry]:
    """Return messages as a call about several has them."""
    entries: list[BatchEntry] = []
    for number, message in enumerate(messages):
        entry: BatchEntry = {"Id": str(number), "ReceiptHandle": message.receipt}
        if visibility_s is not None:
            entry["VisibilityTimeout"] = visibility_s
        entries.append(entry)
    return entries


def not_done(answer: BatchAnswer) -> Sequence[str]:
    """Return why parts of a batch failed."""
    return [failed.get("Code", "") for failed in answer.get("Failed", ())]
