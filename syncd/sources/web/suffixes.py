"""What addresses with the suffixes of pictures, archives and programs lead to, learned by asking for the first of them.

`/wiki/Node.js` and `/man/tar.gz` are pages, so no suffix decides; but a folder of ten thousand pictures is not asked for one by one.
"""

from __future__ import annotations

from syncd.sources.web.media import url_suffix
from syncd.sources.web.urls import Url

SAMPLES = 5
"""After so many addresses of one folder and suffix that were nothing to index, the others are not asked for."""
MAX_FOLDERS = 10_000
DOUBTFUL_SUFFIXES = frozenset(
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


class SuffixSamples:
    """One run's experience with doubtful suffixes; lost with it, which costs a few requests."""

    def __init__(self) -> None:
        self._unwanted: dict[tuple[str, str, str], int | None] = {}
        """By host, folder and suffix: how many were nothing to index, None once one was a page."""

    def refusal(self, url: Url) -> str | None:
        """Return why `url` need not be asked for, or None."""
        place = suffix_place(url)
        if place is None or (self._unwanted.get(place) or 0) < SAMPLES:
            return None
        return f"not asked for: the first {SAMPLES} addresses in {place[1]} that end in {place[2]} were no documents"

    def note(self, url: Url, *, is_wanted: bool) -> None:
        """Note whether an address led to something to index."""
        place = suffix_place(url)
        if place is None or (place not in self._unwanted and len(self._unwanted) >= MAX_FOLDERS):
            return
        count = self._unwanted.get(place, 0)
        self._unwanted[place] = None if is_wanted or count is None else count + 1


def suffix_place(url: Url) -> tuple[str, str, str] | None:
    """Return host, folder and suffix of an address whose suffix is doubtful, else None."""
    suffix = url_suffix(url)
    return (url.host, url.path.rpartition("/")[0] + "/", suffix) if suffix in DOUBTFUL_SUFFIXES else None
