"""Documents of which something was guessed, approximated or left out. An addition to the published API."""

from __future__ import annotations

from aiohttp import web

from syncd.api.auth import named_source, require_database, scope
from syncd.api.requests import read_query
from syncd.api.route import Route, json_answer
from syncd.api.services import SERVICES
from syncd.api.sources import MAX_PAGE
from syncd.api.views import rfc3339
from syncd.json_types import JsonObject
from syncd.model.warnings import WarningCode, warning_values
from syncd.redaction import redacted_json
from syncd.schema import Model, Moment, QueryCount, Uuid
from syncd.store.document_warnings import WarnedDocument, WarnedQuery


class WarningsQuery(Model):
    """Which documents to list: of a source, a database, a collection; with a warning of one kind, or of any."""

    source_id: str | None = None
    database_name: str | None = None
    collection_name: str | None = None
    code: WarningCode | None = None
    limit: QueryCount = 100
    offset: QueryCount = 0


class WarningView(Model):
    """One kind of warning. `message` tells of the first place in the document, `count` how many there were."""

    code: str
    message: str
    count: int


class WarnedDocumentView(Model):
    """A document with its warnings."""

    source_id: Uuid
    database_name: str
    collection_name: str
    key: str
    version: str
    stage: str
    """`written` to the vector store, `prepared` for it, or `skipped`: left out whole."""
    at: Moment
    warnings: list[WarningView]


async def index(request: web.Request) -> web.Response:
    """List documents with warnings by collection and key."""
    query = read_query(request, WarningsQuery)
    source_id = None if query.source_id is None else (await named_source(request, query.source_id)).id
    if query.database_name is not None:
        require_database(request, query.database_name)
    wanted = WarnedQuery(source_id, query.database_name, query.collection_name, query.code, scope(request))
    found = await request.app[SERVICES].store.warnings.list(wanted, min(query.limit, MAX_PAGE), query.offset)
    return json_answer([view(document) for document in found])


def view(document: WarnedDocument) -> JsonObject:
    """Return a document in the form of `WarnedDocumentView`."""
    return {
        "source_id": document.source_id,
        "database_name": document.target.database,
        "collection_name": document.target.collection,
        "key": document.key,
        "version": document.version,
        "stage": document.stage,
        "at": rfc3339(document.at),
        "warnings": redacted_json(warning_values(document.warnings)),
    }


ROUTES = (
    Route(
        "GET",
        "/api/v1/documents/warnings",
        index,
        "list_document_warnings",
        "Collection",
        "List documents of which something was guessed or left out",
        {200: [WarnedDocumentView]},
        query=WarningsQuery,
        own=True,
    ),
)
