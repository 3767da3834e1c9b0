"""The queues that events arrive in, whichever service holds them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from syncd.sources.objects.events import Parsed


@dataclass(slots=True, eq=False)
class Message:
    """One delivery of one message; another delivery of the same one is not equal to it."""

    id: str
    receipt: str
    """What it is hidden and deleted by; some services give another one whenever it is hidden."""
    body: str
    receives: int
    """How often it was delivered; 0: the service does not count."""


@dataclass(frozen=True, slots=True)
class QueueKind:
    """What all queues of a service have in common."""

    batch_size: int
    """How many messages one call may be about."""
    longest_hidden_s: int
    """For how long a message can be hidden at once."""
    read: Callable[[str], Parsed]
    """Returns the events in a message's body; never raises."""


@dataclass(frozen=True, slots=True)
class PollerSettings:
    """Limits of one queue's poller."""

    wait_s: int = 20
    """Duration of a long poll; SQS allows at most 20."""
    visibility_s: int = 120
    """Visibility timeout: how long a message stays invisible after each heartbeat."""
    messages_in_hand: int = 100
    """Backpressure: no more messages are received while this many are in flight."""
    hand_over_s: float = 300.0
    """A message whose work is durable but takes longer is deleted, and the journal alone carries the work."""
    patience_s: float = 5.0
    """The same, while there is no room for further messages."""
    max_receives: int = 5
    """On a queue that does not put poison aside by itself, a poison message is deleted after this many deliveries."""
    retry_cap_s: float = 300.0
    """The longest delay before a message that failed temporarily is delivered again."""


class EventQueue(Protocol):
    """One queue, reached with one key. Calls wait for the network, and raise RetryableError or PermanentError."""

    async def receive(self, count: int, settings: PollerSettings) -> Sequence[Message]:
        """Wait for messages, up to about `wait_s`, and return up to `count`, hidden for `visibility_s`; one attempt."""
        ...

    async def hide(self, messages: Sequence[Message], timeout_s: int) -> Sequence[str]:
        """Hide received messages for `timeout_s` from now; 0: they are delivered again. Return why some could not be. Twice is safe."""
        ...

    async def delete(self, messages: Sequence[Message]) -> Sequence[str]:
        """Delete received messages; return why some could not be. Twice is safe."""
        ...

    async def puts_aside(self, message: Message) -> bool:
        """Return whether the service puts a message aside by itself after some deliveries."""
        ...
