"""What the API is given: the daemon's parts, in the API's own words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

from syncd import __version__
from syncd.api import Pace, Services
from syncd.api.schema_search import Hit as HitView
from syncd.api.schema_search import SearchRequest, SearchResponse
from syncd.chroma.client import Chroma
from syncd.config import Config
from syncd.errors import PermanentError
from syncd.model import Embedding, SourceType, Target
from syncd.opening import Opening
from syncd.opening.buckets import Queues
from syncd.pipeline.embed.catalog import Catalog
from syncd.pipeline.embed.fleet import Embedders
from syncd.pipeline.index import Index
from syncd.search import Query, Search
from syncd.store import Store
from syncd.sync import Syncer
from syncd.triggers import Triggers

AVAILABLE_TYPES = frozenset(SourceType)


def make_services(
    config: Config,
    store: Store,
    chroma: Chroma,
    index: Index,
    syncer: Syncer,
    followers: tuple[Triggers, Queues],
    opening: Opening,
    search: Search,
    embedders: Embedders,
    catalog: Catalog,
) -> Services:
    """Return the API's services."""
    default = Embedding(model=config.embedding.default_model)

    async def health() -> str | None:
        return chroma.status()

    async def status() -> Mapping[str, Any]:
        boxes = [asdict(mailbox.stats()) for mailbox in (syncer.mailbox, index.mailbox)]
        where = {"host": chroma.settings.host, "port": chroma.settings.port, "away": chroma.status()}
        return {"version": __version__, "chroma": where, "models": dict(embedders.running()), "mailboxes": boxes}

    def wake() -> None:
        syncer.wake()
        for follower in followers:
            follower.sources_changed()

    return Services(
        store=store,
        chroma=chroma,
        upload_dir=opening.upload_folder,
        wake=wake,
        health=health,
        status=status,
        progress=partial(pace, syncer),
        search=partial(answer, search),
        rebuild=index.rebuild,
        embed_query=search.embed,
        check_source=opening.check,
        available_types=AVAILABLE_TYPES,
        models=frozenset(catalog.names()),
        sparse_models=frozenset(),
        default_embedding=default,
        upload_embedding=default,
        folder_roots=tuple(root.expanduser().resolve() for root in config.folder.allowed_roots),
        loopback=config.api.loopback,
        max_uploads=config.api.max_uploads,
    )


def pace(syncer: Syncer, invocation_id: str) -> Pace | None:
    """Return how fast a running invocation moves."""
    moving = syncer.pace(invocation_id)
    return None if moving is None else Pace(eta_s=moving.eta_s, tokens_per_s=moving.tokens_per_s)


async def answer(search: Search, request: SearchRequest) -> SearchResponse:
    """Answer one search request. Raises PermanentError for a mode this collection has no index for."""
    if request.mode != "dense":
        raise PermanentError(f"mode {request.mode!r} is not available yet; use 'dense'")
    query = Query(
        target=Target(request.database_name, request.collection_name),
        text=request.query,
        limit=request.limit,
        offset=request.offset,
        where=request.where,
        where_document=request.where_document,
    )
    hits = await search.dense(query)
    views = [HitView(id=hit.id, score=hit.score, text=hit.text, metadata=dict(hit.metadata)) for hit in hits]
    return SearchResponse(hits=views, mode=request.mode)
