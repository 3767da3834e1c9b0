"""What a web source is told: as it is stored, as the API and the configuration file have it, and as a crawl needs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from syncd import __version__
from syncd.model import SourceSchedule, SourceSettings
from syncd.schema import ExtendedModel, Int32, Table, UniqueStrings
from syncd.sources import shapes
from syncd.sources.table import SourceTable, interval

PRODUCT_TOKEN = "syncd"  # noqa: S105 - the name robots.txt groups are matched by, not a password

Rendering = Literal["never", "auto", "always"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSourceSettings(SourceSettings):
    """A site. What is None is as in `WebSettings`."""

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
    """A site, from a starting page along its links."""

    ADDITIONS = frozenset({"schedule"})

    starting_url: Annotated[str, Field(max_length=2048)]
    page_limit: Int32 | None = None
    max_depth: Int32 | None = None
    include_path_regexes: Annotated[UniqueStrings, Field(max_length=100)] | None = None
    exclude_path_regexes: Annotated[UniqueStrings, Field(max_length=100)] | None = None
    schedule: shapes.Schedule | None = None


class WebTable(SourceTable):
    """A site; with `interval_s` it is crawled again that often."""

    type: Literal["web_scrape"]
    starting_url: str
    page_limit: Annotated[int, Field(ge=1)] | None = None
    max_depth: Annotated[int, Field(ge=0)] | None = None
    include_path_regexes: tuple[str, ...] = ()
    exclude_path_regexes: tuple[str, ...] = ()
    allow_subdomains: bool = False
    extra_hosts: tuple[str, ...] = ()
    respect_robots: bool = True
    render: Rendering = "never"
    interval_s: Annotated[float | None, Field(ge=0), interval(60)] = None

    def own_settings(self) -> WebSourceSettings:
        """Return what only web sources are told."""
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
    """How sites are crawled, whatever the site."""

    contact: str = ""
    """A URL or mail address for site owners, sent in the user agent."""
    concurrency: Annotated[int, Field(ge=1, le=64)] = 4
    """Requests in flight to one host."""
    rate_per_s: Annotated[float, Field(ge=0)] = 10.0
    """Requests a second to one host; 0: as fast as it answers."""
    allow_private_addresses: tuple[str, ...] = ()
    """Networks or addresses that may be crawled although they are not public: '10.0.0.0/8', '127.0.0.1:8000'."""


@dataclass(frozen=True, slots=True)
class WebLimits:
    """Bounds on what a single response or a whole site may cost; sizes after decompression."""

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
    """A longer Retry-After puts the page off until the next run; a few in a row, the rest of the site."""
    crawl_delay_s: float = 30.0
    """A longer Crawl-delay is cut to this."""
    slowest_interval_s: float = 10.0
    """How far a struggling host slows the crawl down, between two requests."""
    links_per_page: int = 100_000
    """Only so many are followed; a page with more makes the crawl incomplete."""
    chain_links: int = 100
    """So many pages in a row whose addresses differ in digits only (a calendar's 'next'), then no further."""
    alike_pages: int = 10_000
    """So many pages whose addresses differ in digits only, in one crawl."""
    sitemaps: int = 100
    fetches: int = 1_000_000
    fetches_per_page: int = 5
    """With a page limit the crawl may fetch so many times as much, and 50 more."""


@dataclass(frozen=True, slots=True)
class WebSettings:
    """One web source. Raises nothing itself: `validate_settings` says what is wrong."""

    starting_url: str
    page_limit: int | None = None
    """Counts indexed documents, not requests."""
    max_depth: int | None = None
    """Links away from the starting page; 0 is that page alone. Sitemaps add pages only without it."""
    include_path_regexes: tuple[str, ...] = ()
    """RE2, searched in the URL's path; a page must match one of them, where there are any, to be fetched."""
    exclude_path_regexes: tuple[str, ...] = ()
    """RE2, searched in the URL's path; wins over include."""
    allow_subdomains: bool = False
    extra_hosts: tuple[str, ...] = ()
    """Further hosts (`host` or `host:port`) that count as the same site."""
    contact: str = ""
    """URL or mail address of whoever runs this crawler, told to site owners in the user agent."""
    respect_robots: bool = True
    sitemaps: bool = True
    concurrency: int = 4
    """Requests in flight to one host."""
    rate_per_s: float = 10.0
    """Requests a second to one host; 0 means no limit of our own."""
    allow_private_addresses: tuple[str, ...] = ()
    """Networks (`10.0.0.0/8`, `127.0.0.1`, `127.0.0.1:8080`) that may be dialled although they are not public."""
    ports: tuple[int, ...] = (80, 443)
    """Besides these, the port of `starting_url` and of `extra_hosts`."""
    render: Rendering = "never"
    limits: WebLimits = WebLimits()

    @property
    def reads_sitemaps(self) -> bool:
        """Return whether sitemaps may add pages: they say nothing about how far a page is from the start."""
        return self.sitemaps and self.max_depth is None

    @property
    def user_agent(self) -> str:
        """Return who is asking and, where configured, whom a site owner can turn to."""
        return f"{PRODUCT_TOKEN}/{__version__} ({'+' + self.contact if self.contact else 'self-hosted indexer'})"
