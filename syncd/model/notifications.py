"""What webhooks can be told, and which of it one wants."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

NotifiedEvent = Literal[
    "run.settled", "source.failing", "source.late", "source.recovered", "deletes.held", "damage.healed"
]
"""A run ended; a source cannot be looked at or brought in step, has changes that wait for longer than `max_lag_s`, or is in order
again; a run holds deletes; a collection has again what was damaged, lost or changed in it.
"""


@dataclass(frozen=True, slots=True)
class WebhookFilter:
    """What a webhook is told; an empty filter lets everything through."""

    webhook: str
    events: Collection[str] = ()
    databases: Collection[str] = ()
    sources: Collection[str] = ()
    """Names or ids; with some, nothing is told that concerns no source."""

    def covers(self, event: str, database: str, source: Collection[str]) -> bool:
        """Return whether an event is told. `source`: the id and the name of the one that it concerns, if it does."""
        is_asked = (not self.events or event in self.events) and (not self.databases or database in self.databases)
        return is_asked and (not self.sources or any(name in self.sources for name in source))
