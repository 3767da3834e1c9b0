"""Opens web sources; they share the processes that read pages."""

from __future__ import annotations

from typing import Self

from syncd.errors import PermanentError
from syncd.model import SourceRecord
from syncd.sources.factory import Requester, SourceFactory
from syncd.sources.web.page_workers import PageWorkers
from syncd.sources.web.settings import WebSection, WebSettings, WebSourceSettings
from syncd.sources.web.source import SiteSource
from syncd.sources.web.validate import validate_settings
from syncd.store.database import Database


class SiteFactory(SourceFactory[WebSourceSettings]):
    """The web sources of the daemon."""

    def __init__(self, section: WebSection, database: Database) -> None:
        self._section = section
        self._database = database
        self._extractor = PageWorkers()

    async def __aenter__(self) -> Self:
        """Prepare the page readers; their processes start when first needed."""
        await self._extractor.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop the page readers."""
        await self._extractor.__aexit__(None, None, None)

    async def open(self, record: SourceRecord[WebSourceSettings]) -> SiteSource:
        """Return the source of a record. Raises PermanentError naming the setting that is wrong."""
        return SiteSource(self._settings(record.settings), self._database, record.id, self._extractor)

    def accept(self, settings: WebSourceSettings, requester: Requester) -> WebSourceSettings:
        """Check every setting that can be checked without a request. Raises PermanentError."""
        if settings.schedule and settings.schedule.target_collection_name is None:
            raise PermanentError("schedule needs target_collection_name")
        validate_settings(self._settings(settings))
        return settings

    def _settings(self, given: WebSourceSettings) -> WebSettings:
        return WebSettings(
            starting_url=given.starting_url,
            page_limit=given.page_limit,
            max_depth=given.max_depth,
            include_path_regexes=given.include_path_regexes or (),
            exclude_path_regexes=given.exclude_path_regexes or (),
            allow_subdomains=bool(given.allow_subdomains),
            extra_hosts=given.extra_hosts or (),
            respect_robots=given.respect_robots is not False,
            render=given.render or "never",
            contact=self._section.contact,
            concurrency=self._section.concurrency,
            rate_per_s=self._section.rate_per_s,
            allow_private_addresses=self._section.allow_private_addresses,
        )
