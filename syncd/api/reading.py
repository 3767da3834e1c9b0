"""Reading documents from the store. An addition to the published API."""

from __future__ import annotations

from typing import Annotated

from aiohttp import web
from pydantic import Field

from syncd.api.auth import require_database, source_id_of
from syncd.api.requests import read_json
from syncd.api.route import Route
from syncd.api.services import SERVICES
from syncd.model import Target
from syncd.schema import Model, OwnModel
from syncd.search.passages import Selection
from syncd.search.reading import ReadText, read_text

Number = Annotated[int, Field(ge=1, le=1 << 31)]
Offset = Annotated[int, Field(ge=0, le=1 << 40)]


class ReadRequest(OwnModel):
    """A part of one document: what is on these lines and pages, both ends included, and in this section."""

    database_name: str
    collection_name: str
    key: Annotated[str, Field(min_length=1, max_length=4096)]
    """The document's key, as hits have it in their metadata."""
    source_id: str | None = None
    """Whose document, where several sources have one of this key; omitted: the oldest source's."""
    first_line: Number = 1
    last_line: Number | None = None
    first_page: Number | None = None
    last_page: Number | None = None
    heading: Annotated[str, Field(max_length=1000)] = ""
    """The title of a section, or the name of a definition."""
    first_byte: Offset = 0
    """Only lines, or pieces of long ones, that begin at this byte of the document's text or later: `next_byte` of the answer before, or
    `start_byte` of a hit."""
    max_tokens: Annotated[int, Field(ge=100, le=100_000)] = 8000
    """About how much is returned at most; the answer says where to read on."""


class ReadResponse(Model):
    """The text, and its lines."""

    key: str
    source_id: str
    text: str
    first_line: int
    last_line: int
    next_line: int | None
    """The line to read on from; null at the end. A line that is longer than a chunk may have been returned in part: see `next_byte`."""
    next_byte: int | None
    """Where to read on, as `first_byte` with the other limits unchanged; null at the end."""
    documents: int
    """How many documents of this key the collection has, one of each source."""


async def read_document(request: web.Request) -> web.Response:
    """Return a part of a document's text as it was indexed last."""
    wanted = await read_json(request, ReadRequest)
    require_database(request, wanted.database_name)
    target = Target(wanted.database_name, wanted.collection_name)
    store = request.app[SERVICES].store
    source_id = wanted.source_id and await source_id_of(request, wanted.source_id)
    found = await read_text(store, target, wanted.key, selection_of(wanted), wanted.max_tokens, source_id)
    return web.json_response(text=shown_text(found).model_dump_json())


def selection_of(wanted: ReadRequest) -> Selection:
    """Return the part of a document that a request asks for."""
    return Selection(
        wanted.first_line, wanted.last_line, wanted.first_page, wanted.last_page, wanted.heading, wanted.first_byte
    )


def shown_text(found: ReadText) -> ReadResponse:
    """Return what was read in the API's format."""
    part = found.passage
    return ReadResponse(
        key=found.key,
        source_id=found.source_id,
        text=part.text,
        first_line=part.first_line,
        last_line=part.last_line,
        next_line=part.next_line,
        next_byte=part.next_byte,
        documents=found.documents,
    )


ROUTES = (
    Route(
        "POST",
        "/api/v1/read",
        read_document,
        "read_document",
        "Search",
        "Read a part of a document",
        {200: ReadResponse},
        body=ReadRequest,
        only_reads=True,
        own=True,
    ),
)
