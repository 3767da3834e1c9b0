"""What the API is given: the daemon's parts, in the API's own words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from syncd import __version__
from syncd.api import Pace, Services, Vitals
from syncd.api.quotas import Quotas
from syncd.api.webhooks import webhook_view
from syncd.app.addresses import own_hosts, store_place
from syncd.app.parts import Parts
from syncd.app.settings import shadow_settings
from syncd.app.webhooks import incoming_of
from syncd.chroma.client import Chroma
from syncd.config import Config
from syncd.index.verify import Verifier
from syncd.json_types import JsonObject
from syncd.model import Embedded, Embedding, EmbeddingTask, Role, SparseVector
from syncd.pipeline.rerank.reranker import Reranker
from syncd.pipeline.sparse.splade_files import NO_RUNTIME, SPLADE, can_run, present
from syncd.runtime.supervisor import Supervisor
from syncd.search.related import related
from syncd.search.several import search_several
from syncd.sync.freshness import Standing, standings
from syncd.sync.shadow_reports import shadow_views
from syncd.sync.syncer import Syncer

if TYPE_CHECKING:
    from syncd.qdrant.client import Qdrant


def make_services(
    config: Config, parts: Parts, splade: Path, uploads: Path, api_url: str, root: Callable[[], Supervisor]
) -> Services:
    """Return the API's services. `splade` is the folder of SPLADE's files, `uploads` the one of uploaded files, `api_url` is where
    the API listens; `root` returns the root of the tree of actors.
    """
    store, vector_store, index, sources = parts.store, parts.vector_store, parts.index, parts.sources
    embedders, sparse = parts.models.dense, parts.models.sparse
    default = Embedding(model=config.embedding.default_model)

    def wrong() -> list[str]:
        of_models = [f"model {name}: {reason}" for name, reason in embedders.waiting().items()]
        of_vectors = vector_store.status() or index.status()
        found = (store.database.trouble, parts.room.shortage(), of_vectors, *of_models, parts.stage.trouble())
        return [problem for problem in found if problem]

    def degraded() -> list[str]:
        of_models = [f"model {name}: {reason}" for name, reason in embedders.shortfalls().items()]
        preparing = parts.preparers.shortfall if parts.preparers else ""
        return [*of_models, *([f"preparing: {preparing}"] if preparing else ())]

    async def health() -> str | None:
        return "; ".join(wrong()) or None

    async def status() -> JsonObject:
        boxes = [asdict(mailbox.stats()) for mailbox in (parts.syncer.mailbox, index.mailbox)]
        ((kind, place),) = store_place(vector_store, parts.chroma_server, api_url).items()
        where: JsonObject = {"kind": kind, **place, "away": vector_store.status() or index.status()}
        words = {"default": config.search.sparse_default, "kept": kept(vector_store), SPLADE: splade_words(splade)}
        shown = {
            "models": dict(embedders.running()),
            "models_waiting": dict(embedders.waiting()),
            "models_elsewhere": {name: list(places) for name, places in embedders.elsewhere().items()},
            "preparers_elsewhere": list(parts.preparers.elsewhere) if parts.preparers else [],
            "sparse": words,
            "rerank": rerank_words(parts.models.reranker),
            "mailboxes": boxes,
            "queues": sources.queues(),
        }
        collections = [asdict(state) for state in await store.refills.states()]
        lags = [asdict(lag) for lag in await store.freshness.lags()]
        late = {one.source_id: one.problem for one in (await standing()).values() if one.problem}
        failing = {source_id: state.problem for source_id, state in parts.triggers.states().items() if state.problem}
        damaged = await store.source_names.damaged()
        problems = [*damaged.items(), *sources.problems().items(), *failing.items(), *late.items()]
        troubled = [
            await told(source_id, problem)
            for source_id, problem in problems
            if damaged.get(source_id, problem) == problem
        ]
        keeper, keep_s = parts.shadows, shadow_settings(config).keep_s
        shadows = await shadow_views(store, keeper.blocked, keeper.waiting, keep_s)
        seen = {
            "problems": wrong(),
            "degraded": degraded(),
            "source_problems": troubled,
            "lags": lags,
            "collections": collections,
            "shadows": shadows,
            "webhooks": [webhook_view(state) for state in await store.webhooks.states()],
            "actors": [asdict(child) for child in root().status()],
        }
        return {"version": __version__, "chroma": where, **shown, **seen}

    async def standing() -> Mapping[str, Standing]:
        return await standings(store, parts.triggers.states())

    def vitals() -> Vitals:
        return Vitals(
            mailboxes=[parts.syncer.mailbox.stats(), index.mailbox.stats()],
            models=dict.fromkeys(embedders.running(), True) | dict.fromkeys(embedders.waiting(), False),
            is_chroma_available=vector_store.status() is None,
            problems=len(wrong()),
            embedded_tokens=parts.stage.embedded_tokens,
            dropped_spans=parts.tracer.dropped,
            restarts=root().restarts(),
            runs=parts.syncer.run_totals,
            free_bytes=parts.room.free_bytes(),
        )

    async def told(source_id: str, problem: str) -> JsonObject:
        source = await store.sources.get(source_id)
        return {"source_id": source_id, "name": source and source.name, "problem": problem}

    async def embed_with(model: str, texts: Sequence[str], role: Role, task: EmbeddingTask | None) -> Embedded:
        return await (await embedders.get(model)).embed(texts, role, task)

    async def embed_sparse(model: str, texts: Sequence[str]) -> Sequence[SparseVector]:
        return await (await sparse.get(model)).encode(texts, "document")

    def wake() -> None:
        parts.syncer.wake()
        parts.triggers.sources_changed()
        sources.sources_changed()

    return Services(
        store=store,
        chroma=vector_store,
        sources=sources,
        upload_dir=uploads,
        wake=wake,
        health=health,
        status=status,
        watches=parts.triggers.states,
        standings=standing,
        degraded=degraded,
        vitals=vitals,
        try_webhook=parts.webhooks.try_out,
        incoming=incoming_of(config),
        progress=partial(pace, parts.syncer),
        search=parts.search.search,
        search_several=partial(search_several, parts.search.search, store.texts),
        related=partial(related, parts.search, store),
        rebuild=index.rebuild,
        switch=parts.shadows.switch,
        discard=parts.shadows.discard,
        rollback=parts.shadows.rollback,
        verify=Verifier(store, vector_store, index).verify,
        explain=parts.explainer.explain,
        embed_query=parts.search.embed,
        embed_with=embed_with,
        embed_sparse=embed_sparse,
        check_dimensions=parts.models.catalog.check_dimensions,
        at_hand=lambda name: embedders.at_hand(name) or (name == SPLADE and present(splade)),
        models=frozenset(parts.models.catalog.names()),
        sparse_models=sparse.names(),
        default_embedding=default,
        upload_embedding=upload_embedding(default, splade),
        loopback=config.api.loopback,
        hosts=own_hosts(config),
        max_uploads=config.api.max_uploads,
        quotas=Quotas(config.api.max_sources, config.api.max_watched_sources),
    )


def upload_embedding(default: Embedding, splade: Path) -> Embedding:
    """Return how uploads that say nothing become vectors: as documented, but without SPLADE where its files are not here.

    Half a gigabyte is not fetched, and no upload fails without a network, for what nobody asked for.
    """
    sparse_model = SPLADE if present(splade) else None
    return replace(default, task=EmbeddingTask("generic_retrieval"), sparse_model=sparse_model)


def rerank_words(reranker: Reranker | None) -> str | None:
    """Return what reranks, or why it does not, for people; None where nothing is configured to."""
    if reranker is None:
        return None
    return f"{reranker.label}: not now: {reranker.trouble}" if reranker.trouble else reranker.label


def splade_words(folder: Path) -> str:
    """Return whether SPLADE can be used at once, for people."""
    if not can_run():
        return NO_RUNTIME
    if present(folder):
        return f"here, in {folder}; uploads that name no embedding use it"
    return f"not here: fetched into {folder} when a source or upload names it; until then uploads go without"


def kept(vector_store: Chroma | Qdrant) -> str:
    """Return where sparse vectors are, for people."""
    beside = "in the daemon's store, beside the collections"
    if not isinstance(vector_store, Chroma):
        return beside
    if vector_store.makes_sparse is None:
        return f"{beside}; Chroma has not been asked for a sparse index yet, which sources that name a sparse model do"
    if vector_store.makes_sparse:
        return f"{beside}, and in the collections of sources that name a sparse model, under its key"
    return f"{beside}: this Chroma server has no sparse indexes"


def pace(syncer: Syncer, invocation_id: str) -> Pace | None:
    """Return how fast a running invocation moves."""
    moving = syncer.pace(invocation_id)
    return None if moving is None else Pace(moving.eta_s, moving.tokens_per_s, moving.source, moving.stages)
