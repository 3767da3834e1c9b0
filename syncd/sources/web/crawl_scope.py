"""Which URLs a crawl may request: on the site, matching the path patterns, not in a crawler trap."""

from __future__ import annotations

from collections.abc import Iterable

from syncd.sources.web.media import url_suffix
from syncd.sources.web.patterns import PathPattern
from syncd.sources.web.settings import WebSettings
from syncd.sources.web.urls import Site, Url, normal, trap_reason

UNREADABLE_SUFFIXES = frozenset(
    [
        ".png",
        ".jpg",
        ".jpeg",
        ".gif",
        ".webp",
        ".svg",
        ".ico",
        ".bmp",
        ".tif",
        ".tiff",
        ".avif",
        ".mp3",
        ".mp4",
        ".m4a",
        ".m4v",
        ".mov",
        ".avi",
        ".mkv",
        ".webm",
        ".ogg",
        ".wav",
        ".flac",
        ".zip",
        ".gz",
        ".tgz",
        ".bz2",
        ".xz",
        ".zst",
        ".7z",
        ".rar",
        ".tar",
        ".jar",
        ".war",
        ".iso",
        ".img",
        ".dmg",
        ".exe",
        ".msi",
        ".deb",
        ".rpm",
        ".apk",
        ".whl",
        ".css",
        ".js",
        ".mjs",
        ".map",
        ".woff",
        ".woff2",
        ".ttf",
        ".otf",
        ".eot",
        ".rss",
        ".atom",
        ".wasm",
        ".bin",
        ".dll",
        ".so",
        ".dylib",
    ]
)


class CrawlScope:
    """The rules of one source. Pure, except that a moved starting page may widen `site`."""

    def __init__(self, settings: WebSettings) -> None:
        self.start = normal(settings.starting_url)
        self.site = Site(self.start, allow_subdomains=settings.allow_subdomains, extra_hosts=settings.extra_hosts)
        self._include = [PathPattern("include_path_regexes", text) for text in settings.include_path_regexes]
        self._exclude = [PathPattern("exclude_path_regexes", text) for text in settings.exclude_path_regexes]

    def refusal(self, url: Url) -> str | None:
        """Return why `url` may not be visited, or None."""
        if not self.site.holds(url):
            return "outside the site"
        if url_suffix(url) in UNREADABLE_SUFFIXES:
            return "unsupported file type"
        return self.path_refusal(url) or trap_reason(url)

    def path_refusal(self, url: Url) -> str | None:
        """Return which path pattern keeps `url` out, or None."""
        for pattern in self._exclude:
            if pattern.found_in(url.path):
                return f"matches exclude_path_regexes {pattern.text!r}"
        if self._include and not any(pattern.found_in(url.path) for pattern in self._include):
            return "matches none of include_path_regexes"
        return None

    def admitted(self, links: Iterable[str]) -> list[str]:
        """Return those of `links`, which are normalised, that may be visited."""
        return [link for link in links if self.refusal(plain_url(link)) is None]


def plain_url(text: str) -> Url:
    """Split a normalised URL; several times faster than parsing it again."""
    scheme, _, rest = text.partition("://")
    host, slash, local = rest.partition("/")
    path, _, query = (slash + local).partition("?")
    return Url(text, scheme, host, path, query)
