"""Pages of one run that their host asks to be left alone for longer than a run waits."""

from __future__ import annotations

from syncd.sources.web.client import DeferredError

DEFERRED_IN_A_ROW = 5
"""So many pages put off without an answer in between, and the host means the whole site."""


class Deferrals:
    """Counts them, and says when the rest of the site has to wait, too."""

    def __init__(self) -> None:
        self.again_after_s: float | None = None
        """When all of them may be asked for again, where there are any."""
        self._pages = 0
        self._in_a_row = 0
        self._reason = ""

    def note(self, error: DeferredError, *, is_last: bool) -> None:
        """Count one more; `is_last`: it is not asked for again in this crawl."""
        self._pages += not is_last
        self._in_a_row += 1
        self._reason = str(error)
        self.again_after_s = max(self.again_after_s or 0.0, error.seconds)

    def answered(self) -> None:
        """Note that the host answered for another page."""
        self._in_a_row = 0

    @property
    def covers_site(self) -> bool:
        """Return whether the host asks that nothing more be asked now."""
        return self._in_a_row >= DEFERRED_IN_A_ROW

    @property
    def reason(self) -> str:
        """Return why the crawl is not over, or ''."""
        if self.covers_site:
            return f"{self._reason}; the crawl goes on from here with the next run"
        return f"pages put off: {self._pages} ({self._reason})" if self._pages else ""
