"""How the watch of a source is doing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

Report = Callable[[str, float], None]
"""Called after each look at a source: why it failed ('': it did not), and after how many seconds the next one comes."""


def unreported(reason: str, retry_s: float) -> None:
    """Stand in for whoever wants to hear of looks."""
    del reason, retry_s


@dataclass(frozen=True, slots=True)
class WatchState:
    """A source is watched as it should be, or looking at it, or bringing what was seen, has been failing for `reason`."""

    failing_since: datetime | None = None
    reason: str = ""
    next_try_at: datetime | None = None

    @property
    def problem(self) -> str | None:
        """What to tell of it, in a sentence; None: nothing."""
        if self.failing_since is None:
            return None
        until = f"; tried again at {self.next_try_at:%Y-%m-%d %H:%M:%S} UTC" if self.next_try_at else ""
        return f"failing since {self.failing_since:%Y-%m-%d %H:%M:%S} UTC: {self.reason}{until}"
