"""Pages of one run whose host sent a Retry-After longer than a run waits."""

from __future__ import annotations

from syncd.sources.web.client import DeferredError

DEFERRED_IN_A_ROW = 5
"""After this many deferred pages in a row, the whole site is deferred."""


class Deferrals:
    """Counts deferred pages, and decides when the rest of the site is deferred too."""

    def __init__(self) -> None:
        self.again_after_s: float | None = None
        """When all of them may be requested again, if there are any."""
        self._pages = 0
        self._in_a_row = 0
        self._reason = ""

    def note(self, error: DeferredError, *, is_last: bool) -> None:
        """Count a deferred page; `is_last`: it is not requested again in this crawl."""
        self._pages += not is_last
        self._in_a_row += 1
        self._reason = str(error)
        self.again_after_s = max(self.again_after_s or 0.0, error.seconds)

    def answered(self) -> None:
        """Note that the host answered for another page."""
        self._in_a_row = 0

    @property
    def covers_site(self) -> bool:
        """Return whether the rest of the site has to wait."""
        return self._in_a_row >= DEFERRED_IN_A_ROW

    @property
    def reason(self) -> str:
        """Return why the crawl is not over, or ''."""
        if self.covers_site:
            return f"{self._reason}; the next run continues from here"
        return f"pages deferred: {self._pages} ({self._reason})" if self._pages else ""
