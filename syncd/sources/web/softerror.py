"""Pages that say 'not found' with status 200: recognised by their words, confirmed by requesting a page that cannot exist."""

from __future__ import annotations

import re
from hashlib import sha256

from syncd.errors import PermanentError
from syncd.sources.web.client import FetchFailed, PoliteClient
from syncd.sources.web.extract import HtmlPage
from syncd.sources.web.media import url_suffix
from syncd.sources.web.urls import DIGITS, Url, normal
from syncd.sources.web.visit_result import PageExtractor

WORDS = re.compile(
    r"\b(?:404|not found|page (?:not|cannot be|could not be) found|no longer (?:exists|available)|does(?:n't| not) exist|"
    r"nicht gefunden|existiert nicht|introuvable|n'existe pas|no encontrad[oa]|não encontrad[oa]|non trovat[oa]|"
    r"niet gevonden|nie znaleziono|не найден[ао]?|見つかりません|找不到|未找到)",  # noqa: RUF001 - Russian words
    re.IGNORECASE,
)
MAX_CHARS = 1500
PROBE_BYTES = 1 << 20
MAX_PROBES = 20


class SoftErrors:
    """One crawl's memory of how its hosts answer for pages that do not exist."""

    def __init__(self, client: PoliteClient, reader: PageExtractor) -> None:
        self._client = client
        self._reader = reader
        self._shapes: dict[str, dict[str, str | None]] = {}
        """By host and address asked for: what the page there looks like, None for an honest error."""

    async def is_error(self, url: Url, page: HtmlPage) -> bool:
        """Return whether `page` is the host's way of saying 'not found', at its root or beside the page: applications below one
        host say it each in their own. At most `MAX_PROBES` extra requests per host.
        """
        if len(page.markdown) > MAX_CHARS or not WORDS.search(f"{page.title}\n{page.markdown[:200]}"):
            return False
        known = self._shapes.setdefault(url.host, {})
        name, wanted = sha256(url.host.encode()).hexdigest()[:24], shape(page)
        for probe in (normal(f"/{name}.html", url.text), normal(f"{name}{ending(url)}", url.text)):
            if probe.text not in known:
                if len(known) >= MAX_PROBES:
                    return wanted in known.values()
                known[probe.text] = await self._shape_of_nothing(probe)
            if known[probe.text] == wanted:
                return True
        return False

    async def _shape_of_nothing(self, probe: Url) -> str | None:
        if not (await self._client.rules(probe)).allows(probe):
            return None
        answer = await self._client.ask(probe, PROBE_BYTES)
        if isinstance(answer, FetchFailed) or answer.status != 200 or not answer.body:
            return None
        try:
            page = await self._reader.extract(answer.body, probe.text, answer.headers.get("Content-Type", ""), 0)
        except PermanentError:
            return None
        return shape(page)


def ending(url: Url) -> str:
    """Return how the page's address ends: what does not exist must be asked for in the same form."""
    return "/" if url.path.endswith("/") else url_suffix(url)


def shape(page: HtmlPage) -> str:
    """Return what two error pages of one site share: the title without numbers, or the first line without a title."""
    text = page.title or page.markdown.partition("\n")[0]
    return DIGITS.sub("#", text).casefold()
