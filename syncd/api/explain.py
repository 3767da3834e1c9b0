"""Where a chunk comes from, and whether deriving it again gives the same. An addition to the published API."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from aiohttp import web
from pydantic import Field

from syncd.api.auth import require_database, scope
from syncd.api.errors import RefusedError
from syncd.api.requests import read_query
from syncd.api.route import Route, json_answer
from syncd.api.services import SERVICES
from syncd.api.views import rfc3339
from syncd.json_types import JsonObject
from syncd.quoting import shown
from syncd.schema import Model, Moment, Uuid
from syncd.sync.explain import Explanation, InChroma, Verdict


class ExplainQuery(Model):
    """The chunk, in one collection or in every one that has it."""

    chunk_id: Annotated[str, Field(min_length=1, max_length=1000)]
    """As hits and Chroma have it."""
    database_name: str | None = None
    collection_name: str | None = None


class DerivationView(Model):
    """What the source and the present configuration give now. What was not compared is null."""

    outcome: Verdict
    """`changed`: the document has other bytes by now, or would be left out. `differs`: the same bytes give something else."""
    reason: str
    text_matches: bool | None
    id_matches: bool | None
    vector_matches: bool | None


class ExplanationView(Model):
    """Where a chunk of one collection comes from."""

    chunk_id: str
    database_name: str
    collection_name: str
    source_id: Uuid
    source_type: str
    source_name: str | None
    """Null also for a source that is gone."""
    key: str
    version: str
    content_hash: str | None
    """SHA-256 of the document's bytes; null while it is not written yet."""
    start_byte: int
    end_byte: int
    start_line: int
    end_line: int
    page: int | None
    last_page: int | None
    cut_as: str
    """What split the text: `code`, `markdown`, `lines`, or it was left `whole`."""
    model: str
    stage: str
    """How far its document has come: `prepared`, `embedded` or `written`."""
    indexed_at: Moment | None
    text: str
    in_chroma: InChroma
    derived: DerivationView


async def explain_chunk(request: web.Request) -> web.Response:
    """Return where a chunk comes from, for each collection that has it; fetches, prepares and embeds its document again."""
    services, wanted = request.app[SERVICES], read_query(request, ExplainQuery)
    if wanted.database_name is not None:
        require_database(request, wanted.database_name)
    databases = scope(request)
    found = [
        explanation
        for record in await services.store.collections.answering()
        if wanted.database_name in (None, record.target.database)
        and wanted.collection_name in (None, record.target.collection)
        and (databases is None or record.target.database in databases)
        and (explanation := await services.explain(record, wanted.chunk_id))
    ]
    if not found:
        where = "collection" if wanted.collection_name else "any collection"
        raise RefusedError(
            404, f"no chunk {shown(wanted.chunk_id)} in {where}, or it is damaged in the store: syncd verify COLLECTION"
        )
    return json_answer([explanation_view(explanation) for explanation in found])


def explanation_view(found: Explanation) -> JsonObject:
    """Return an explanation in the form of `ExplanationView`."""
    chunk, derivation, metadata = found.chunk, found.derivation, found.chunk.metadata
    recorded_at = datetime.fromtimestamp(chunk.recorded_at, UTC) if chunk.recorded_at else None
    place = {name: metadata[name] for name in ("start_byte", "end_byte", "start_line", "end_line")}
    return {
        "chunk_id": chunk.id,
        "database_name": found.collection.target.database,
        "collection_name": found.collection.target.collection,
        "source_id": metadata["source_id"],
        "source_type": metadata["source_type"],
        "source_name": found.source and found.source.name,
        "key": metadata["key"],
        "version": metadata["version"],
        "content_hash": found.document and found.document.content_hash,
        **place,
        "page": metadata.get("page"),
        "last_page": metadata.get("last_page"),
        "cut_as": metadata["stage"],
        "model": found.collection.embedding.model,
        "stage": chunk.stage,
        "indexed_at": rfc3339(recorded_at) if recorded_at else None,
        "text": chunk.text,
        "in_chroma": found.in_chroma,
        "derived": {
            "outcome": derivation.outcome,
            "reason": derivation.reason,
            "text_matches": derivation.text_matches,
            "id_matches": derivation.id_matches,
            "vector_matches": derivation.vector_matches,
        },
    }


ROUTES = (
    Route(
        "GET",
        "/api/v1/explain",
        explain_chunk,
        "explain_chunk",
        "Collection",
        "Say where a chunk comes from",
        {200: [ExplanationView]},
        errors=(400, 401, 403, 404, 500, 503),
        query=ExplainQuery,
        own=True,
    ),
)
