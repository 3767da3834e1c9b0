"""The collections that syncd writes. An addition to the published API."""

from __future__ import annotations

from collections import Counter

from aiohttp import web

from syncd.api.auth import scope
from syncd.api.figures import Figures
from syncd.api.metrics import LATEST_FIGURES
from syncd.api.requests import read_query
from syncd.api.route import Route, json_answer
from syncd.api.services import SERVICES
from syncd.api.sources import MAX_PAGE
from syncd.json_types import JsonObject
from syncd.model import DocumentState, Target
from syncd.schema import Model, QueryCount
from syncd.store.refills import CollectionState


class CollectionListQuery(Model):
    """Which collections to list."""

    limit: QueryCount = 100
    offset: QueryCount = 0


class CollectionView(Model):
    """A collection, up to five seconds ago."""

    database_name: str
    collection_name: str
    indexed: int
    """Documents."""
    skipped: int
    failed: int
    chunks: int
    """Of the indexed documents."""
    embedded_share: float
    """The share of its chunks, and of those that are on their way, that have vectors."""
    bloat: float
    """How many times the space of its rows it needs in Chroma."""
    filled: float | None
    """The share that is there again while it is filled from the store, else null."""


async def list_collections(request: web.Request) -> web.Response:
    """List the collections of the databases that the caller may access, by database and name."""
    query, databases = read_query(request, CollectionListQuery), scope(request)
    store, figures = request.app[SERVICES].store, await request.app[LATEST_FIGURES].get()
    ids = {record.target: record.id for record in await store.collections.all()}
    seen = [it for it in figures.collections if databases is None or it.database_name in databases]
    shown: list[JsonObject] = []
    for state in seen[query.offset :][: min(query.limit, MAX_PAGE)]:
        target = Target(state.database_name, state.collection_name)
        if target in ids:
            shown.append(
                collection_view(state, _documents(figures, target), await store.prepared.coverage(ids[target]))
            )
    return json_answer(shown)


def collection_view(state: CollectionState, documents: Counter[DocumentState], embedded_share: float) -> JsonObject:
    """Return a collection in the form of `CollectionView`."""
    return {
        "database_name": state.database_name,
        "collection_name": state.collection_name,
        "indexed": documents[DocumentState.INDEXED],
        "skipped": documents[DocumentState.SKIPPED],
        "failed": documents[DocumentState.FAILED],
        "chunks": state.chunks,
        "embedded_share": round(embedded_share, 4),
        "bloat": state.bloat,
        "filled": state.filled,
    }


def _documents(figures: Figures, target: Target) -> Counter[DocumentState]:
    counted = Counter[DocumentState]()
    for one in figures.census.documents:
        if one.target == target:
            counted[one.state] += one.documents
    return counted


ROUTES = (
    Route(
        "GET",
        "/api/v1/collections",
        list_collections,
        "list_collections",
        "Collection",
        "List collections",
        {200: [CollectionView]},
        errors=(400, 401, 403, 500),
        query=CollectionListQuery,
        own=True,
    ),
)
