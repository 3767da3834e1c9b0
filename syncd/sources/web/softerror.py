"""Pages that say 'not found' with status 200: recognised by their words, confirmed by requesting a page that cannot exist."""

from __future__ import annotations

import re
from hashlib import sha256

from syncd.errors import PermanentError
from syncd.sources.web.client import FetchFailed, PoliteClient
from syncd.sources.web.extract import HtmlPage
from syncd.sources.web.urls import Url, normal
from syncd.sources.web.visit_result import PageExtractor

WORDS = re.compile(
    r"\b(?:404|not found|page (?:not|cannot be|could not be) found|no longer (?:exists|available)|does(?:n't| not) exist|"
    r"nicht gefunden|existiert nicht|introuvable|n'existe pas|no encontrad[oa]|não encontrad[oa]|non trovat[oa]|"
    r"niet gevonden|nie znaleziono|не найден[ао]?|見つかりません|找不到|未找到)",  # noqa: RUF001 - Russian words
    re.IGNORECASE,
)
MAX_CHARS = 1500
DIGITS = re.compile(r"\d+")
PROBE_BYTES = 1 << 20


class SoftErrors:
    """One crawl's memory of how its hosts answer for pages that do not exist."""

    def __init__(self, client: PoliteClient, reader: PageExtractor) -> None:
        self._client = client
        self._reader = reader
        self._titles: dict[str, str | None] = {}

    async def is_error(self, url: Url, page: HtmlPage) -> bool:
        """Return whether `page` is the host's way of saying 'not found'. At most one extra request per host."""
        if len(page.markdown) > MAX_CHARS or not WORDS.search(f"{page.title}\n{page.markdown[:200]}"):
            return False
        if url.host not in self._titles:
            self._titles[url.host] = await self._title_of_nothing(url)
        return self._titles[url.host] == shape(page)

    async def _title_of_nothing(self, url: Url) -> str | None:
        probe = normal(f"/{sha256(url.host.encode()).hexdigest()[:24]}.html", url.text)
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


def shape(page: HtmlPage) -> str:
    """Return what two error pages of one site share: the title without numbers, or the first line without a title."""
    text = page.title or page.markdown.partition("\n")[0]
    return DIGITS.sub("#", text).casefold()
