"""What requests of Chroma's clients do, by their paths and bodies: the rules of `chroma_gateway`."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator

from aiohttp import StreamReader

from syncd.api.errors import bad_request

_READS = frozenset({"get", "query", "search"})
"""What is asked of a collection by POST and changes nothing."""
_FILTERED = _READS | {"delete"}
OPERATIONS = _READS | {"add", "count", "delete", "fork", "fork_count", "indexing_status", "update", "upsert"}
MAX_OBJECTS = 2000
"""JSON objects in a request that filters: a thousand conditions, and chromadb 1.5.9 computes fewer. Of some 8,000 its process dies."""

ChromaPath = tuple[str, ...]
"""Below `/api/v2`."""


def only_reads(method: str, path: ChromaPath) -> bool:
    """Return whether a request changes nothing; databases and collections may be called as operations are."""
    match path:
        case ("tenants", _, "databases", _, "collections", _, operation) if method == "POST":
            return operation in _READS
        case _:
            return method == "GET"


def id_in(named: str) -> str:
    """Return the id that a collection is named by, in whatever form of it Chroma reads, '' where it is no id."""
    try:
        return str(uuid.UUID(named))
    except ValueError:
        return ""


async def bounded(body: StreamReader, path: ChromaPath) -> AsyncGenerator[bytes]:
    """Yield a body as it arrives. Raises RefusedError (400) where it filters by too many conditions: it has few other objects then."""
    is_filter, objects = not _FILTERED.isdisjoint(path[-1:]), 0
    async for block in body.iter_any():
        objects += block.count(b"{") if is_filter else 0
        if objects > MAX_OBJECTS:
            raise bad_request(f"a filter may have {MAX_OBJECTS // 2:,} conditions; ask for less at once")
        yield block
