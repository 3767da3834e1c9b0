"""How many sources a token that is limited to databases may make there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from syncd.model import SourceSettings


@dataclass(frozen=True, slots=True)
class Quotas:
    """How many sources there may be in the databases of such a token, and how many of them the daemon looks at by itself."""

    sources: int = 200
    watched: int = 50

    def refusal(self, others: Sequence[SourceSettings], new: SourceSettings) -> str:
        """Return why there may be no new source beside the others, '' if there may."""
        if len(others) >= self.sources:
            return _words("sources", self.sources, "api.max_sources")
        if is_watched(new) and sum(map(is_watched, others)) >= self.watched:
            return _words(
                "sources that are watched, scheduled or follow events", self.watched, "api.max_watched_sources"
            )
        return ""


def is_watched(settings: SourceSettings) -> bool:
    """Return whether the daemon looks at a source without being asked."""
    return settings.watch is not None or settings.schedule is not None or settings.follows_events


def _words(what: str, limit: int, key: str) -> str:
    return f"the token's databases have {limit} {what}, as many as {key} allows: remove some, or ask who runs the daemon for more"
