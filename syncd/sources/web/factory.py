"""Opens web sources; they share the processes that read pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from syncd.model import SourceRecord
from syncd.sources.web.extractor import Extractor
from syncd.sources.web.settings import Rendering, WebSettings, validate_settings
from syncd.sources.web.source import WebSource
from syncd.store.database import Database


@dataclass(frozen=True, slots=True)
class CrawlLimits:
    """How this machine crawls, whatever the site."""

    contact: str = ""
    concurrency: int = 4
    rate_per_s: float = 10.0
    allow_private_addresses: tuple[str, ...] = ()


class SiteFactory:
    """The web sources of the daemon; an async context manager."""

    def __init__(self, rules: CrawlLimits, database: Database) -> None:
        self._rules = rules
        self._database = database
        self._extractor = Extractor()

    async def __aenter__(self) -> Self:
        await self._extractor.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._extractor.__aexit__(None, None, None)

    def open(self, record: SourceRecord) -> WebSource:
        """Return the source of a record. Raises PermanentError naming the setting that is wrong."""
        return WebSource(self._settings(record.settings), self._database, record.id, self._extractor)

    def check(self, settings: Mapping[str, Any]) -> None:
        """Raise PermanentError where a site's settings cannot work."""
        validate_settings(self._settings(settings))

    def _settings(self, given: Mapping[str, Any]) -> WebSettings:
        render: Rendering = given.get("render") or "never"
        return WebSettings(
            starting_url=given["starting_url"],
            page_limit=given.get("page_limit"),
            max_depth=given.get("max_depth"),
            include_path_regexes=tuple(given.get("include_path_regexes") or ()),
            exclude_path_regexes=tuple(given.get("exclude_path_regexes") or ()),
            allow_subdomains=bool(given.get("allow_subdomains")),
            extra_hosts=tuple(given.get("extra_hosts") or ()),
            respect_robots=given.get("respect_robots") is not False,
            render=render,
            contact=self._rules.contact,
            concurrency=self._rules.concurrency,
            rate_per_s=self._rules.rate_per_s,
            allow_private_addresses=self._rules.allow_private_addresses,
        )
