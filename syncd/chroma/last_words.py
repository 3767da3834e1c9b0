"""Tells which collection a server dies of from the last that it printed, whoever asked: clients of its own are not seen here."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable, Iterable

from syncd.chroma.deaths import DEADLY, WITHIN_S

# Chroma 1.5.9 prints the path of the first request about each collection after a start, before it opens the index files.
_COLLECTION = re.compile(r"/collections/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/")
_CRASHES = frozenset(f"signal {name}" for name in ("SIGSEGV", "SIGBUS", "SIGABRT", "SIGILL", "SIGFPE"))
"""What damaged files make of it; others who end it send other signals."""


class LastWords:
    """Counts crashes by the collection of the last request that was printed."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._crashes: deque[tuple[float, str]] = deque(maxlen=DEADLY)

    def died(self, how: str, output: Iterable[str]) -> str | None:
        """Record how the server ended; return Chroma's id of the collection that it dies of again and again, or None."""
        found = _COLLECTION.findall("\n".join(output))
        if how not in _CRASHES or not found:
            return None
        self._crashes.append((self._now(), found[-1]))
        is_deadly = (
            len(self._crashes) == DEADLY
            and self._crashes[0][0] > self._now() - WITHIN_S
            and {collection_id for _, collection_id in self._crashes} == {found[-1]}
        )
        return found[-1] if is_deadly else None
