"""The messages of one queue in flight: kept invisible while they are processed, then deleted or released."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

import anyio
import structlog

from syncd.errors import PermanentError, RetryableError
from syncd.runtime.containment import contained
from syncd.sources.objects.event_queue import EventQueue, Message, PollerSettings, QueueKind

log = structlog.get_logger()

GIVE_BACK_S = 5.0


class InFlight:
    """Holds up to `messages_in_hand` messages. `keep_hidden` and `delete_done` run concurrently with the tasks that process them."""

    def __init__(self, queue_url: str, queue: EventQueue, kind: QueueKind, settings: PollerSettings) -> None:
        self._queue_url = queue_url
        self._queue = queue
        self._kind = kind
        self._settings = settings
        self._held: dict[Message, None] = {}
        self._done: list[Message] = []
        self._calling = anyio.Lock()
        """Hiding a message may change its receipt, and deleting it needs the latest."""
        self._changed = anyio.Event()
        self._crowded = anyio.Event()
        self._finished = anyio.Event()

    @property
    def count(self) -> int:
        """The number of messages in flight, including those that wait to be deleted."""
        return len(self._held)

    async def room(self) -> int:
        """Wait until there is room for another message; return the room."""
        while len(self._held) >= self._settings.messages_in_hand:
            self._changed = anyio.Event()
            self._crowded.set()
            await self._changed.wait()
        self._crowded = anyio.Event()
        return self._settings.messages_in_hand - len(self._held)

    async def crowded(self) -> None:
        """Wait until somebody waits for room."""
        await self._crowded.wait()

    def take(self, message: Message) -> None:
        """Add a message that was just received."""
        self._held[message] = None

    def finish(self, message: Message) -> None:
        """Schedule a message for deletion; call only after everything it caused is durable. Never waits."""
        self._done.append(message)
        self._finished.set()

    async def give_back(self, message: Message, delay_s: float) -> None:
        """Release a message, to be delivered again after `delay_s`. Waits for the queue."""
        self._release(message)
        await self._hide([message], min(int(delay_s), self._kind.longest_hidden_s))

    async def give_all_back(self) -> None:
        """Release every unfinished message at once; gives up after a few seconds, since the queue redelivers them later anyway."""
        with anyio.move_on_after(GIVE_BACK_S, shield=True):
            await self._delete(self._done)
            messages = list(self._held)
            self._held.clear()
            await self._hide(messages, 0)

    async def keep_hidden(self) -> None:
        """Extend the visibility timeout of all messages in flight, three times per timeout, until cancelled."""
        while True:
            await anyio.sleep(self._settings.visibility_s / 3)
            await self._hide(list(self._held), self._settings.visibility_s)

    async def delete_done(self) -> None:
        """Delete finished messages, in batches where possible, until cancelled."""
        while True:
            await self._finished.wait()
            self._finished = anyio.Event()
            while self._done:
                size = self._kind.batch_size
                batch, self._done = self._done[:size], self._done[size:]
                await self._delete(batch)

    def _release(self, message: Message) -> None:
        self._held.pop(message, None)
        self._changed.set()

    async def _delete(self, messages: Sequence[Message]) -> None:
        """Delete messages. One that cannot be deleted is delivered again and finds its work done, so that is not an error."""
        for batch in self._batches(messages):
            async with self._calling:
                await self._called("delete", self._queue.delete(batch))
            for message in batch:
                self._release(message)

    async def _hide(self, messages: Sequence[Message], timeout_s: int) -> None:
        for batch in self._batches(messages):
            async with self._calling:
                await self._called("hide", self._queue.hide(batch, timeout_s))

    def _batches(self, messages: Sequence[Message]) -> Sequence[Sequence[Message]]:
        size = self._kind.batch_size
        return [messages[start : start + size] for start in range(0, len(messages), size)]

    async def _called(self, what: str, answer: Awaitable[Sequence[str]]) -> None:
        try:
            with contained("queue", queue=self._queue_url):
                for reason in await answer:
                    log.info("queue.not_acknowledged", queue=self._queue_url, call=what, reason=reason)
        except (RetryableError, PermanentError) as error:
            log.warning("queue.not_acknowledged", queue=self._queue_url, call=what, reason=str(error))
