"""Settings of a web source: as stored, in the API, in the configuration file, and as a crawl needs them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from syncd import __version__
from syncd.model import SecretsPolicy, SourceSchedule, SourceSettings
from syncd.schema import ExtendedModel, Int32, Table, UniqueStrings
from syncd.sources import shapes
from syncd.sources.table import SourceTable, checked_with, interval
from syncd.sources.web.addresses import check_network

PRODUCT_TOKEN = "syncd"  # noqa: S105 - the name robots.txt groups are matched by, not a password

Rendering = Literal["never", "auto", "always"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSourceSettings(SourceSettings):
    """A website. A field that is None has its default in `WebSettings`."""

    starting_url: str
    page_limit: int | None = None
    max_depth: int | None = None
    include_path_regexes: tuple[str, ...] | None = None
    exclude_path_regexes: tuple[str, ...] | None = None
    allow_subdomains: bool | None = None
    extra_hosts: tuple[str, ...] | None = None
    respect_robots: bool | None = None
    render: Rendering | None = None

    @property
    def place(self) -> str:
        """Return the starting page."""
        return self.starting_url


class WebSource(ExtendedModel):
    """A website, crawled from a starting page along its links."""

    ADDITIONS = frozenset({"schedule", "max_lag_s", "secrets"})

    starting_url: Annotated[str, Field(max_length=2048)]
    page_limit: Int32 | None = None
    max_depth: Int32 | None = None
    include_path_regexes: Annotated[UniqueStrings, Field(max_length=100)] | None = None
    exclude_path_regexes: Annotated[UniqueStrings, Field(max_length=100)] | None = None
    schedule: shapes.Schedule | None = None
    max_lag_s: shapes.MaxLag = None
    secrets: SecretsPolicy | None = None


class WebTable(SourceTable):
    """A website; `interval_s` is how often it is crawled again."""

    type: Literal["web_scrape"]
    starting_url: str
    page_limit: Annotated[int, Field(ge=0)] | None = None
    max_depth: Annotated[int, Field(ge=0)] | None = None
    include_path_regexes: tuple[str, ...] = ()
    exclude_path_regexes: tuple[str, ...] = ()
    allow_subdomains: bool = False
    extra_hosts: tuple[str, ...] = ()
    respect_robots: bool = True
    render: Rendering = "never"
    interval_s: Annotated[float | None, Field(ge=0), interval(60)] = None

    def own_settings(self) -> WebSourceSettings:
        """Return the settings that only this type has."""
        schedule = (
            SourceSchedule(interval_s=self.interval_s, target_collection_name=self.collection)
            if self.interval_s
            else None
        )
        return WebSourceSettings(
            starting_url=self.starting_url,
            page_limit=self.page_limit,
            max_depth=self.max_depth,
            include_path_regexes=self.include_path_regexes,
            exclude_path_regexes=self.exclude_path_regexes,
            allow_subdomains=self.allow_subdomains,
            extra_hosts=self.extra_hosts,
            respect_robots=self.respect_robots,
            render=self.render,
            schedule=schedule,
        )


class WebSection(Table):
    """How all websites are crawled."""

    contact: str = ""
    """A URL or email address for site owners, sent in the User-Agent header."""
    concurrency: Annotated[int, Field(ge=1, le=64)] = 4
    """Requests in flight to one host."""
    rate_per_s: Annotated[float, Field(ge=0)] = 10.0
    """Requests per second to one host; 0: as fast as it answers."""
    allow_private_addresses: tuple[Annotated[str, checked_with(check_network)], ...] = ()
    """Private networks or addresses that may be crawled: '10.0.0.0/8', '127.0.0.1:8000'."""


@dataclass(frozen=True, slots=True)
class WebLimits:
    """Limits of a single response and of a whole site; sizes are after decompression."""

    page_size_bytes: int = 5 << 20
    document_size_bytes: int = 50 << 20
    sitemap_size_bytes: int = 50 << 20
    robots_size_bytes: int = 500 << 10
    """RFC 9309 section 2.5 asks crawlers to read at least 500 KiB; what lies beyond is ignored."""
    request_s: float = 30.0
    """From the first byte sent to the last byte read, redirects not included."""
    connect_s: float = 10.0
    redirects: int = 10
    attempts: int = 3
    retry_after_s: float = 60.0
    """A longer Retry-After defers the page until the next run; a few in a row defer the rest of the site."""
    crawl_delay_s: float = 30.0
    """A longer Crawl-delay is cut to this."""
    slowest_interval_s: float = 10.0
    """How far a struggling host slows the crawl down, between two requests."""
    links_per_page: int = 100_000
    """Links followed per page; a page with more makes the crawl incomplete."""
    chain_links: int = 100
    """The longest chain of pages whose addresses differ only in digits (such as a list's 'next page')."""
    calendar_links: int = 24
    """The same for days, months and years, of which there is always a next one."""
    facet_pages: int = 100
    """The most pages per crawl that are combinations of parameters of which each was met so often."""
    alike_pages: int = 10_000
    """The most pages per crawl whose addresses differ only in digits."""
    sitemaps: int = 100
    fetches: int = 1_000_000
    fetches_per_page: int = 5
    """With a page limit the crawl may fetch so many times as much, and 50 more."""


@dataclass(frozen=True, slots=True)
class WebSettings:
    """The settings of one web source, which `validate_settings` checks."""

    starting_url: str
    page_limit: int | None = None
    """Counts indexed documents, not requests."""
    max_depth: int | None = None
    """Links away from the starting page; 0 is that page alone. Sitemaps add pages only without it."""
    include_path_regexes: tuple[str, ...] = ()
    """RE2, searched in the URL's path and query; if there are any, a page must match one of them to be fetched."""
    exclude_path_regexes: tuple[str, ...] = ()
    """RE2, searched in the URL's path and query; wins over include."""
    allow_subdomains: bool = False
    extra_hosts: tuple[str, ...] = ()
    """Further hosts (`host` or `host:port`) that count as the same site; each, as the starting page's, with and without `www.`"""
    contact: str = ""
    """URL or email address of this crawler's operator, sent in the User-Agent header."""
    respect_robots: bool = True
    sitemaps: bool = True
    concurrency: int = 4
    """Requests in flight to one host."""
    rate_per_s: float = 10.0
    """Requests per second to one host; 0 means no limit of our own."""
    allow_private_addresses: tuple[str, ...] = ()
    """Private networks (`10.0.0.0/8`, `127.0.0.1`, `127.0.0.1:8080`) that may be dialled."""
    ports: tuple[int, ...] = (80, 443)
    """Allowed ports, besides those of `starting_url` and `extra_hosts`."""
    render: Rendering = "never"
    limits: WebLimits = WebLimits()

    @property
    def reads_sitemaps(self) -> bool:
        """Return whether sitemaps may add pages: they say nothing about how far a page is from the start."""
        return self.sitemaps and self.max_depth is None

    @property
    def user_agent(self) -> str:
        """Return the User-Agent header, with the operator's contact if configured."""
        return f"{PRODUCT_TOKEN}/{__version__} ({'+' + self.contact if self.contact else 'self-hosted indexer'})"
