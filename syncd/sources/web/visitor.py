"""One visit: from a queue entry to what became of its page, over redirects, canonical links and soft errors."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Protocol

from syncd.errors import PermanentError
from syncd.model import Known
from syncd.sources.web.admission import Admission, plain_url
from syncd.sources.web.client import Client, Failed
from syncd.sources.web.extract import Page, resolved
from syncd.sources.web.fetch import REDIRECTS, Response
from syncd.sources.web.head import header_canonical, header_directives
from syncd.sources.web.media import kind_of, room_for
from syncd.sources.web.robots import location
from syncd.sources.web.settings import WebSettings
from syncd.sources.web.softerror import SoftErrors
from syncd.sources.web.urls import Url, pattern_of, same_place
from syncd.store.crawl import CrawlState, Entry, Visit

FULL_READ_EVERY_S = 30 * 86400.0
"""A server that answers 304 for ever, rightly or not, is asked for the whole page once in so long."""
MAX_CANONICAL_HOPS = 3
SIMILAR_LENGTH = 0.3
"""A whole site that names its home page as canonical by mistake often has one title for all pages, but not one length."""
GIVE_UP_FAILURES = 3
"""A page that failed in so many crawls and never was read does not keep a crawl from being complete."""


class Extract(Protocol):
    """Reads one page in a process of its own."""

    async def extract(self, data: bytes, url: str, content_type: str) -> Page:
        """Raises PermanentError when it cannot be read."""
        ...


class Render(Protocol):
    """Loads one page in a browser."""

    async def render(self, url: Url) -> bytes:
        """Return the page's HTML once its scripts have run. Raises PermanentError."""
        ...


@dataclass(frozen=True, slots=True)
class Found:
    """A visit and, for a document read in it, its content."""

    visit: Visit
    page: Page | None = None
    data: bytes = b""
    suffix: str = ".md"
    transient: bool = False
    """It failed in a way that may be the whole site's."""


@dataclass(frozen=True, slots=True)
class Refused:
    """An address that may not be asked, or a redirect that leads nowhere. `spoils`: it might be allowed later."""

    reason: str
    spoils: bool = False


class Seen:
    """An address that this crawl has visited already."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """Where a chain of redirects ended."""

    url: Url
    answer: Response | Failed | Refused | Seen
    passed: tuple[Url, ...] = ()


class Visitor:
    """Visits entries of one crawl; several at once are safe."""

    def __init__(
        self,
        settings: WebSettings,
        client: Client,
        admission: Admission,
        extractor: Extract,
        state: CrawlState,
        known: Known,
        rules: str,
        crawl_id: int,
        renderer: Render | None = None,
    ) -> None:
        self._settings = settings
        self._client = client
        self._admission = admission
        self._extractor = extractor
        self._state = state
        self._known = known
        self.rules = rules
        self._crawl_id = crawl_id
        self._renderer = renderer
        self._soft = SoftErrors(client, extractor)

    async def visit(self, entry: Entry, hops: int = 0) -> list[Found]:
        """Return what became of `entry` and of pages visited on the way, in the order they are to be settled.

        Waits for the host's pace. Raises DeferredError.
        """
        url = plain_url(entry.url)
        blank = Visit(entry.url, "skipped", entry.depth, pattern=pattern_of(url), chain=chain_of(entry, url))
        if reason := await self._maze(blank):
            return [Found(replace(blank, outcome="bounded", reason=reason))]
        arrival = await self._arrive(entry, url)
        if isinstance(arrival.answer, Seen):
            return aliases(blank, arrival)
        if isinstance(arrival.answer, Refused | Failed):
            return self._nothing(entry, blank, arrival, arrival.answer)
        if arrival.passed:
            entry = await self._entry_at(arrival.url, entry.depth)
            landed = replace(blank, url=entry.url)
        else:
            landed = blank
        found = await self._read(entry, arrival.url, landed, arrival.answer, hops)
        return [*found, *aliases(blank, arrival)]

    async def _maze(self, blank: Visit) -> str:
        limits = self._settings.limits
        if blank.chain > limits.chain_links:
            return "one of an endless chain of pages alike"
        if blank.pattern and await self._state.alike(self._crawl_id, blank.pattern) >= limits.alike_pages:
            return "one of too many pages alike"
        return ""

    async def _entry_at(self, url: Url, depth: int) -> Entry:
        known = await self._state.page(url.text)
        return replace(known, depth=depth) if known else Entry(-1, 0, url.text, depth)

    # --- asking ------------------------------------------------------------------------------------------------------

    async def _arrive(self, entry: Entry, url: Url) -> Arrival:
        """Ask for `url` and wherever it redirects; scope and robots decide about every hop."""
        passed: list[Url] = []
        headers = await self._conditions(entry)
        while True:
            if refused := await self._refusal(entry, url, first=not passed):
                return Arrival(url, refused, tuple(passed))
            if passed and await self._state.visited(self._crawl_id, url.text):
                return Arrival(url, Seen(), tuple(passed))
            answer = await self._ask(url, headers)
            if isinstance(answer, Failed) or answer.status not in REDIRECTS:
                return Arrival(url, answer, tuple(passed))
            moved = location(answer)
            passed.append(url)
            if moved is None:
                return Arrival(url, Refused("it redirects to nothing that can be requested"), tuple(passed))
            if moved in passed:
                return Arrival(moved, Refused("its redirects run in a circle"), tuple(passed))
            if len(passed) > self._settings.limits.redirects:
                return Arrival(moved, Refused("it redirects too often"), tuple(passed))
            if entry.ord == 0 and same_place(url, moved):
                self._admission.site.add(moved.host)
            url, headers = moved, {}
            headers = await self._conditions(await self._entry_at(url, entry.depth))

    async def _refusal(self, entry: Entry, url: Url, *, first: bool) -> Refused | None:
        # The starting page is read for its links even where include_path_regexes leave it out.
        start = entry.ord == 0 and self._admission.site.holds(url)
        if not start and (reason := self._admission.refusal(url)):
            return Refused(reason if first else f"it redirects to {url.text}: {reason}")
        rules = await self._client.rules(url)
        if not rules.reachable:
            return Refused("robots.txt could not be read", spoils=True)
        return None if rules.allows(url) else Refused("robots.txt disallows it")

    async def _ask(self, url: Url, headers: Mapping[str, str]) -> Response | Failed:
        def room(media_type: str, asked: Url) -> int | str:
            return room_for(media_type, asked, self._settings.limits)

        return await self._client.ask(url, room, headers)

    async def _conditions(self, entry: Entry) -> dict[str, str]:
        """Return the conditional headers for a page whose stored state is what the index holds."""
        if not (entry.etag or entry.modified) or not await self._stands(entry):
            return {}
        if time.time() - entry.read_at > FULL_READ_EVERY_S:
            return {}
        headers = {"If-None-Match": entry.etag} if entry.etag else {}
        return {**headers, "If-Modified-Since": entry.modified} if entry.modified else headers

    async def _stands(self, entry: Entry) -> bool:
        """Return whether what the last visit learned still holds if the page's bytes are the same."""
        if not entry.version or not entry.has_links or entry.rules != self.rules:
            return False
        return await self._known.version(entry.alias_of or entry.url) == entry.version

    # --- understanding -----------------------------------------------------------------------------------------------

    def _nothing(self, entry: Entry, blank: Visit, arrival: Arrival, answer: Refused | Failed) -> list[Found]:
        """Record an address, or a chain of redirects, that gave no page."""
        first, *rest = [*arrival.passed, arrival.url] if not arrival.passed else arrival.passed
        status = answer.status if isinstance(answer, Failed) else 0
        if isinstance(answer, Failed) or answer.spoils:
            lasting = isinstance(answer, Failed) and answer.lasting
            hopeless = lasting or entry.failures + 1 >= GIVE_UP_FAILURES or entry.has_links
            spoils = "" if hopeless else f"{entry.url}: {answer.reason}"
            failed = replace(blank, outcome="failed", status=status, reason=answer.reason, spoils=spoils)
            return [Found(failed, transient=not lasting)]
        skipped = replace(blank, status=status, reason=answer.reason, links=[])
        return [Found(replace(skipped, url=url.text)) for url in (first, *rest)]

    async def _read(self, entry: Entry, url: Url, blank: Visit, answer: Response, hops: int) -> list[Found]:
        """Make a visit of a final answer."""
        visit = replace(blank, status=answer.status, links=[])
        said = header_directives(answer.headers.getall("X-Robots-Tag", []))
        if answer.status == 304:
            return (
                [Found(unchanged(entry, visit))] if entry.version else self._refuse(entry, visit, "status 304 unasked")
            )
        if answer.status in (404, 410):
            return [Found(await self._gone(entry, url, visit))]
        if answer.status != 200:
            return self._refuse(entry, visit, f"status {answer.status}")
        if answer.unread or not answer.body:
            return [Found(replace(visit, reason=answer.unread or "it is empty"))]
        body_hash = sha256(answer.body).hexdigest()
        visit = replace(
            visit,
            etag=answer.headers.get("ETag", "")[:200],
            modified=answer.headers.get("Last-Modified", "")[:60],
            body_hash=body_hash,
            whole_read=True,
        )
        if body_hash == entry.body_hash and not said and await self._stands(entry):
            return [Found(replace(unchanged(entry, visit), etag=visit.etag, modified=visit.modified))]
        kind, detail = kind_of(answer.media_type, url, answer.body)
        if kind == "nothing":
            return [Found(replace(visit, reason=detail))]
        if kind == "document":
            return [self._document(visit, answer.body, detail, said)]
        return await self._page(entry, url, visit, answer, said, hops)

    def _refuse(self, entry: Entry, visit: Visit, reason: str) -> list[Found]:
        """Record an answer that is no page but does not say that the page is gone."""
        return [Found(replace(visit, outcome="failed", reason=reason, links=None))]

    async def _gone(self, entry: Entry, url: Url, visit: Visit) -> Visit:
        """Believe a 404 about a page that was indexed when it is given twice."""
        if entry.version and visit.status == 404:
            again = await self._ask(url, {})
            if isinstance(again, Failed) or again.status not in (404, 410):
                return replace(visit, outcome="failed", reason="status 404, then not", links=None)
        return replace(visit, outcome="gone", reason=f"status {visit.status}")

    def _document(self, visit: Visit, body: bytes, suffix: str, said: frozenset[str]) -> Found:
        """Make a document of a body that the parse pipeline reads."""
        if "noindex" in said:
            return Found(replace(visit, reason="X-Robots-Tag says noindex"))
        if not self._indexable(visit):
            return Found(replace(visit, reason="no include_path_regexes matches it"))
        return Found(replace(visit, outcome="document", version=visit.body_hash), None, body, suffix)

    async def _page(
        self, entry: Entry, url: Url, visit: Visit, answer: Response, said: frozenset[str], hops: int
    ) -> list[Found]:
        """Make a visit of an HTML page."""
        content_type = answer.headers.get("Content-Type", "")
        try:
            page = await self._extractor.extract(answer.body, url.text, content_type)
            if self._renderer and (self._settings.render == "always" or page.scripted):
                html = await self._renderer.render(url)
                page = await self._extractor.extract(html, url.text, "text/html; charset=utf-8")
                # The shell's validators say nothing about what scripts put into it.
                visit = replace(visit, etag="", modified="", body_hash="")
        except PermanentError as error:
            return [Found(replace(visit, reason=str(error)))]
        nofollow = page.nofollow or "nofollow" in said
        links = [] if nofollow else self._admission.admitted(page.links)
        data = page.markdown.encode()
        visit = replace(visit, links=links, title=page.title, version=version_of(data), size_bytes=len(data))
        if page.refresh and page.refresh != url.text:
            target = self._admission.admitted([page.refresh])
            return [Found(replace(visit, outcome="alias", version="", alias_of=page.refresh, links=[*target, *links]))]
        if page.noindex or "noindex" in said:
            return [Found(replace(visit, version="", reason="it says noindex"))]
        if not page.markdown:
            return [Found(replace(visit, version="", reason="it has no text"))]
        if await self._soft.is_error(url, page):
            return [Found(replace(visit, outcome="gone", version="", reason="it says that it was not found", links=[]))]
        if not self._indexable(visit):
            return [Found(replace(visit, version="", reason="no include_path_regexes matches it"))]
        document = Found(replace(visit, outcome="document"), page, data)
        canonical = page.canonical or resolved(header_canonical(answer.headers.getall("Link", [])), url.text)
        return await self._at_canonical(canonical, url, document, hops)

    def _indexable(self, visit: Visit) -> bool:
        return self._admission.path_refusal(plain_url(visit.url)) is None

    # --- other names -------------------------------------------------------------------------------------------------

    async def _at_canonical(self, canonical: str, url: Url, document: Found, hops: int) -> list[Found]:
        """Give way to the canonical page where there is one and it is the same page; a wrong claim is ignored."""
        if not canonical or canonical == url.text or hops >= MAX_CANONICAL_HOPS:
            return [document]
        if not self._admission.admitted([canonical]):
            return [document]
        visited = await self._state.visited(self._crawl_id, canonical)
        found: list[Found] = []
        if visited is None:
            target = await self._entry_at(plain_url(canonical), document.visit.depth)
            found = await self.visit(target, hops + 1)
        twin = await self._twin(canonical, found)
        if twin is None or not same_page(document.visit, twin):
            return [*found, document]
        alias = replace(document.visit, outcome="alias", version="", alias_of=twin.url)
        return [*found, Found(alias)]

    async def _twin(self, canonical: str, found: list[Found]) -> Visit | None:
        """Return the indexed page that `canonical` stands for, or None where that is none."""
        for one in found:
            if one.visit.outcome in ("document", "unchanged"):
                return one.visit
        page = await self._state.page(canonical)
        if page is not None and page.alias_of:
            page = await self._state.page(page.alias_of)
        if page is None or not page.version:
            return None
        return Visit(
            page.url, "unchanged", page.depth, version=page.version, title=page.title, size_bytes=page.size_bytes
        )


def chain_of(entry: Entry, url: Url) -> int:
    """Return how many pages in a row led here whose addresses differ in digits only."""
    pattern = pattern_of(url)
    if pattern is None or not entry.parent_url or pattern_of(plain_url(entry.parent_url)) != pattern:
        return 0
    return (entry.parent_chain or 0) + 1


def aliases(blank: Visit, arrival: Arrival) -> list[Found]:
    """Record the addresses that redirected to `arrival.url`."""
    return [
        Found(replace(blank, url=url.text, outcome="alias", alias_of=arrival.url.text, links=[]))
        for url in arrival.passed
    ]


def unchanged(entry: Entry, visit: Visit) -> Visit:
    """Carry over what the last visit learned."""
    return replace(
        visit,
        outcome="unchanged",
        etag=entry.etag,
        modified=entry.modified,
        body_hash=entry.body_hash,
        version=entry.version,
        title=entry.title,
        size_bytes=entry.size_bytes,
        links=None,
    )


def same_page(one: Visit, other: Visit) -> bool:
    """Return whether a canonical link is credible: the same text, or the same title over text of similar length."""
    if one.version == other.version:
        return True
    alike = abs(one.size_bytes - other.size_bytes) <= SIMILAR_LENGTH * max(one.size_bytes, other.size_bytes)
    return alike and bool(one.title) and one.title.casefold() == other.title.casefold()


def version_of(markdown: bytes) -> str:
    """Return the version of a page: the hash of its Markdown, '' where it has none."""
    return sha256(markdown).hexdigest() if markdown else ""
