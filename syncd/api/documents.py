"""The documents of a collection. An addition to the published API."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Literal

from aiohttp import web

from syncd.api import patterns as rules
from syncd.api.auth import require_database, source_id_of
from syncd.api.requests import read_query
from syncd.api.route import Route, json_answer
from syncd.api.services import SERVICES
from syncd.api.sources import MAX_PAGE
from syncd.api.views import rfc3339
from syncd.json_types import JsonObject
from syncd.model import Target
from syncd.redaction import redacted
from syncd.schema import Model, Moment, QueryCount, Uuid
from syncd.search.reading import no_collection, stored_documents
from syncd.store.document_list import ListedDocument, ListedPart

MAX_CHUNKS_OF_PAGE = 200
"""Of up to 16 KB each."""


class DocumentListQuery(Model):
    """Whose documents to list, of one source or in one stage.

    To go on behind a page, give its last key as `from_key`, and as `offset` how many of its items have that key: every page then costs
    the same, however many come before it.
    """

    database_name: str
    collection_name: str
    source_id: str | None = None
    stage: Literal["written", "prepared", "skipped", "failed"] | None = None
    prefix: str = ""
    """Only documents whose keys begin so."""
    from_key: str = ""
    """Only documents with this key and later ones."""
    limit: QueryCount = 100
    offset: QueryCount = 0


class ListedDocumentView(Model):
    """A document of a collection."""

    source_id: Uuid
    key: str
    version: str
    stage: str
    """`written` to the vector store, `prepared` for it, `skipped` or `failed`."""
    reason: str
    chunks: int
    changed_at: Moment | None
    """When it changed, where its source says so."""
    at: Moment
    """When it came to its stage."""


class ChunkListQuery(Model):
    """Which chunks to list: of a document, of one source where several have one of this key."""

    database_name: str
    collection_name: str
    key: str
    source_id: str | None = None
    limit: QueryCount = 50
    offset: QueryCount = 0


class ChunkView(Model):
    """A chunk of a document. The texts of all chunks, one after the other, are the document's."""

    id: str
    text: str
    metadata: dict[str, object]
    """As hits have it: `start_line`, `end_line`, `page`, `heading_path`, …"""


async def list_chunks(request: web.Request) -> web.Response:
    """List a document's chunks in the order of its text, as they were indexed last or are about to be."""
    query, store = read_query(request, ChunkListQuery), request.app[SERVICES].store
    require_database(request, query.database_name)
    source_id = await _source_id(request, query.source_id)
    target = Target(query.database_name, query.collection_name)
    found, *_ = await stored_documents(store, target, query.key, source_id)
    chunks = await store.texts.page(found.id, query.offset, min(query.limit, MAX_CHUNKS_OF_PAGE))
    return json_answer([asdict(chunk) for chunk in chunks])


async def list_documents(request: web.Request) -> web.Response:
    """List a collection's documents by key; one that waits in a new version is there twice."""
    query, store = read_query(request, DocumentListQuery), request.app[SERVICES].store
    require_database(request, query.database_name)
    target = Target(query.database_name, query.collection_name)
    source_id = await _source_id(request, query.source_id)
    record = await store.collections.find(target)
    if record is None:
        raise await no_collection(store, target)
    limit = min(query.limit, MAX_PAGE)
    part = ListedPart(source_id, query.stage, query.prefix, query.from_key, limit, query.offset)
    found = await store.listed.page(record.id, part)
    return json_answer([listed_view(document) for document in found])


async def _source_id(request: web.Request, given: str | None) -> str | None:
    """Return the id of a source, which may be gone, given by id or by name."""
    return None if given is None else rules.uuid(await source_id_of(request, given), "source_id")


def listed_view(document: ListedDocument) -> JsonObject:
    """Return a document in the form of `ListedDocumentView`."""
    changed_at = document.changed_at
    return {
        "source_id": document.source_id,
        "key": document.key,
        "version": document.version,
        "stage": document.stage,
        "reason": redacted(document.reason),
        "chunks": document.chunks,
        "changed_at": None if changed_at is None else rfc3339(datetime.fromtimestamp(changed_at, UTC)),
        "at": rfc3339(datetime.fromtimestamp(document.at, UTC)),
    }


ROUTES = (
    Route(
        "GET",
        "/api/v1/documents",
        list_documents,
        "list_documents",
        "Collection",
        "List a collection's documents",
        {200: [ListedDocumentView]},
        query=DocumentListQuery,
        own=True,
    ),
    Route(
        "GET",
        "/api/v1/documents/chunks",
        list_chunks,
        "list_chunks",
        "Collection",
        "List a document's chunks",
        {200: [ChunkView]},
        query=ChunkListQuery,
        own=True,
    ),
)
