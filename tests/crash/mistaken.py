"""The program with a mistake in it that the tests must notice.

python -m tests.crash.mistaken deletes-first|trusts-events run --config FILE
"""

import sys

import anyio

from syncd.cli import main
from syncd.sources.objects import queues
from syncd.sources.objects.events import EventKind
from syncd.sources.objects.poller import QueuePoller
from syncd.sources.s3.events import parse_message
from syncd.sources.s3.objects import gone_object
from syncd.sources.s3.source import BucketSource

PAUSE_S = 5.0
"""Time enough for the tests to see an empty queue and to kill, on a machine that has much else to do."""


class DeletesFirst(QueuePoller):
    """Deletes a message before its work is durable."""

    async def _handle(self, hand, message) -> None:
        hand.finish(message)
        await anyio.sleep(PAUSE_S)
        await self._work_off(hand, message)


class TrustsEvents(QueuePoller):
    """Believes that what an event says was removed is not there."""

    async def _work_off(self, hand, message) -> None:
        for event in parse_message(message.body).events:
            said[event.bucket, event.key] = event.kind
        await super()._work_off(hand, message)


said: dict[tuple[str, str], EventKind] = {}
"""What the last event said of a key."""
present = BucketSource.present


async def believed(self: BucketSource, key: str, collection: str):
    """Return what the last event said that `key` is."""
    if said.get((self.settings.bucket, key)) is EventKind.REMOVED:
        return gone_object(key)
    return await present(self, key, collection)


if __name__ == "__main__":
    mistake = sys.argv.pop(1)
    if mistake == "deletes-first":
        queues.QueuePoller = DeletesFirst
    else:
        queues.QueuePoller, BucketSource.present = TrustsEvents, believed
    main()
