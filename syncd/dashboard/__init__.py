"""The dashboard: the files that a browser gets. Nothing builds them, and they need no other host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

MEDIA_TYPES: Mapping[str, str] = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class PageFile:
    """A file as it is served. `tag` identifies its bytes."""

    body: bytes
    media_type: str
    tag: str


@cache
def page_files() -> Mapping[str, PageFile]:
    """Return the files by name. They are read once."""
    found: dict[str, PageFile] = {}
    for path in sorted(Path(__file__).parent.iterdir()):
        if media_type := MEDIA_TYPES.get(path.suffix):
            body = path.read_bytes()
            found[path.name] = PageFile(body, media_type, sha256(body).hexdigest()[:16])
    return found
