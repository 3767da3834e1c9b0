"""Tells which collection a Chroma server dies of, from the calls that were under way when it died."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass

from syncd.model import Target

DEADLY = 3
WITHIN_S = 600.0
"""So many deaths within that time, during calls for rows of one collection, are not chance: its index files are damaged."""


@dataclass(frozen=True, slots=True)
class _Death:
    at: float
    doubt: str | None
    """The sort of call, if others were under way as well: when such a call succeeds, another one was to blame."""


class Deaths:
    """Counts the deaths, or hangs, of the server during calls for rows of each collection.

    A call that succeeds proves little by itself: a query may pass a torn record by, and counting rows reads none.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._under_way: Counter[Target] = Counter()
        self._deaths: dict[Target, list[_Death]] = {}
        self._counted: set[Target] = set()
        self._alone = False

    @contextmanager
    def during(self, target: Target) -> Generator[None]:
        """Note that a call for rows of the collection is under way."""
        self._under_way[target] += 1
        try:
            yield
        finally:
            self._under_way[target] -= 1
            self._under_way += Counter()  # without what is zero

    def died(self, target: Target, sort: str) -> bool:
        """Record, during such a call, that the server died; return whether it dies of the collection. Several calls count once."""
        now = self._now()
        if not self._counted:
            self._alone = len(self._under_way) == 1
        deaths = [death for death in self._deaths.get(target, []) if death.at > now - WITHIN_S]
        if target not in self._counted:
            deaths.append(_Death(now, None if self._alone else sort))
            self._counted.add(target)
        self._deaths[target] = deaths
        return len(deaths) >= DEADLY

    def lives_again(self) -> None:
        """Record that the server answers again: its next death is another one."""
        self._counted.clear()

    def succeeded(self, target: Target, sort: str) -> None:
        """Record that such a call succeeded. Twice is safe."""
        if target in self._deaths:
            self._deaths[target] = [death for death in self._deaths[target] if death.doubt != sort]

    def forget(self, target: Target) -> None:
        """Forget a collection, because it was deleted. Twice is safe."""
        self._deaths.pop(target, None)
