"""Which URLs a crawl may request: on the site, matching the path patterns, not in a crawler trap."""

from __future__ import annotations

from collections.abc import Iterable

from syncd.runtime.linear import LinearPattern
from syncd.sources.web.settings import WebSettings
from syncd.sources.web.urls import Site, Url, normal, trap_reason

SOURCES = "/_sources/"
"""Where Sphinx publishes what it makes pages of: the same words once more."""


class CrawlScope:
    """The rules of one source. Pure, except that a moved starting page may widen `site`."""

    def __init__(self, settings: WebSettings) -> None:
        self.start = normal(settings.starting_url)
        self.site = Site(self.start, allow_subdomains=settings.allow_subdomains, extra_hosts=settings.extra_hosts)
        self._include = [LinearPattern("include_path_regexes", text) for text in settings.include_path_regexes]
        self._exclude = [LinearPattern("exclude_path_regexes", text) for text in settings.exclude_path_regexes]

    def refusal(self, url: Url) -> str | None:
        """Return why `url` may not be visited, or None."""
        if not self.site.holds(url):
            return "outside the site"
        return self.path_refusal(url) or trap_reason(url) or self._source_refusal(url)

    def path_refusal(self, url: Url) -> str | None:
        """Return which pattern keeps `url` out, or None; patterns are searched in the path, and in the path with its query."""
        for pattern in self._exclude:
            if is_found(pattern, url):
                return f"matches exclude_path_regexes {pattern.text!r}"
        if self._include and not any(is_found(pattern, url) for pattern in self._include):
            return "matches none of include_path_regexes"
        return None

    def _source_refusal(self, url: Url) -> str | None:
        """Return why the text that Sphinx made a page of is left out beside the page, or None where a pattern asks for such texts."""
        if (
            SOURCES not in url.path
            or SOURCES in self.start.path
            or any("_sources" in one.text for one in self._include)
        ):
            return None
        return "the source text of a page that is read itself: include_path_regexes can ask for _sources"

    def admitted(self, links: Iterable[str]) -> list[str]:
        """Return those of `links`, which are normalised, that may be visited."""
        return [link for link in links if self.refusal(plain_url(link)) is None]


def is_found(pattern: LinearPattern, url: Url) -> bool:
    """Return whether a pattern matches a URL's path, or its path and query."""
    return pattern.found_in(url.path) or (bool(url.query) and pattern.found_in(f"{url.path}?{url.query}"))


def plain_url(text: str) -> Url:
    """Split a normalised URL; several times faster than parsing it again."""
    scheme, _, rest = text.partition("://")
    host, slash, local = rest.partition("/")
    path, _, query = (slash + local).partition("?")
    return Url(text, scheme, host, path, query)
