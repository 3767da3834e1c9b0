"""Resources: the sources as a client lists them, and the documents that it may name by a template (RFC 6570)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import unquote

from syncd.errors import NotFoundError
from syncd.mcp.replies import MAX_TOKENS
from syncd.mcp.tools import Toolbox
from syncd.model import SourceRecord, Target
from syncd.quoting import shown
from syncd.search.passages import Selection
from syncd.search.reading import read_text

SOURCE_URIS = "syncd://sources/"
DOCUMENT_URIS = "syncd://documents/"
DOCUMENT_TEMPLATE = DOCUMENT_URIS + "{database}/{collection}/{+key}"
SOURCES_PER_PAGE = 50
_TEXT_TOKENS = MAX_TOKENS - 200
"""What a document's text may have, beside the sentence that says how to read on."""


@dataclass(frozen=True, slots=True)
class SourceResource:
    """A source as it is listed."""

    uri: str
    name: str
    description: str


async def source_resources(tools: Toolbox, offset: int) -> Sequence[SourceResource]:
    """Return up to `SOURCES_PER_PAGE` of the caller's sources, oldest first, from `offset` on."""
    found = await tools.services.store.sources.list(
        databases=tools.databases, limit=SOURCES_PER_PAGE, offset=offset, newest_first=False
    )
    return [
        SourceResource(
            SOURCE_URIS + source.id, source.name or source.settings.place, f"{source.type}: {source.settings.place}"
        )
        for source in found
    ]


async def resource_text(tools: Toolbox, uri: str) -> str:
    """Return a source's description, or a document's text as far as a reply may go. Raises NotFoundError, PermanentError."""
    if uri.startswith(SOURCE_URIS):
        source = await tools.services.store.sources.get(uri.removeprefix(SOURCE_URIS))
        if source is not None and (tools.databases is None or source.database in tools.databases):
            return await _described(tools, source)
    database, _, rest = uri.removeprefix(DOCUMENT_URIS).partition("/")
    collection, _, key = rest.partition("/")
    if uri.startswith(DOCUMENT_URIS) and key and (tools.databases is None or unquote(database) in tools.databases):
        return await _document(tools, Target(unquote(database), unquote(collection)), unquote(key))
    raise NotFoundError(
        f"there is no resource {shown(uri)}; list the resources, or name a document as {DOCUMENT_TEMPLATE}"
    )


async def _document(tools: Toolbox, target: Target, key: str) -> str:
    part = (await read_text(tools.services.store, target, key, Selection(), _TEXT_TOKENS)).passage
    if part.next_line is None:
        return part.text
    return f"{part.text}\n\n[It goes on: read from line {part.next_line} with the tool `read` (first_byte={part.next_byte}).]"


async def _described(tools: Toolbox, source: SourceRecord) -> str:
    """Return what a source is and what each collection holds of it, as Markdown."""
    store, lines = tools.services.store, defaultdict[str, list[str]](list)
    for record in await store.collections.answering():
        for held in await store.texts.holdings(record.id):
            newest = datetime.fromtimestamp(held.recorded_at, UTC).strftime("%Y-%m-%d %H:%MZ")
            target = record.target
            lines[held.source_id].append(
                f"- {target.collection} ({target.database}): {held.documents} documents, newest indexed {newest}"
            )
    held_by = lines[source.id] or ["- nothing indexed yet"]
    return "\n".join([f"# {source.name or source.id}", "", f"{source.type}: {source.settings.place}", "", *held_by])
