"""What the API is given: the daemon's parts, in the API's own words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import structlog

from syncd import __version__
from syncd.api import ApiServer, Pace, Services
from syncd.chroma.client import Chroma
from syncd.chroma.shape import ANY_KEY, queries_path
from syncd.config import Config
from syncd.index.verify import Verifier
from syncd.index.writer import Index
from syncd.json_types import JsonObject
from syncd.model import Embedded, Embedding, EmbeddingTask, QueryFunction, Role, SparseVector
from syncd.pipeline.embed.catalog import Catalog
from syncd.pipeline.embed.fleet import Embedders
from syncd.pipeline.sparse.catalog import SparseModels
from syncd.pipeline.sparse.splade_files import SPLADE, present
from syncd.search import Search
from syncd.sources.factories import SourceFactories
from syncd.store import Store
from syncd.store.documents import CollectionRecord
from syncd.sync.syncer import Syncer
from syncd.sync.triggers import Triggers

log = structlog.get_logger()

EVERYWHERE = ("", "0.0.0.0", "::")  # noqa: S104 - compared, not listened on


@dataclass(frozen=True, slots=True)
class PartsBehindApi:
    """The parts of the daemon that requests reach."""

    store: Store
    chroma: Chroma
    index: Index
    syncer: Syncer
    triggers: Triggers
    sources: SourceFactories
    search: Search
    embedders: Embedders
    catalog: Catalog
    sparse: SparseModels


def make_services(config: Config, parts: PartsBehindApi, splade: Path, uploads: Path) -> Services:
    """Return the API's services. `splade` is the folder of SPLADE's files, `uploads` the one of uploaded files."""
    store, chroma, index, sources = parts.store, parts.chroma, parts.index, parts.sources
    embedders, sparse = parts.embedders, parts.sparse
    default = Embedding(model=config.embedding.default_model)

    async def health() -> str | None:
        return chroma.status() or index.status()

    async def status() -> JsonObject:
        boxes = [asdict(mailbox.stats()) for mailbox in (parts.syncer.mailbox, index.mailbox)]
        where = {"host": chroma.settings.host, "port": chroma.settings.port, "away": await health()}
        words = {"default": config.search.sparse_default, "kept": kept(chroma), SPLADE: splade_words(splade)}
        dense = {"models": dict(embedders.running()), "models_waiting": dict(embedders.waiting())}
        shown = {**dense, "sparse": words, "mailboxes": boxes, **sources.status()}
        lags = [asdict(lag) for lag in await store.progress.lags()]
        troubled = [await told(source_id, problem) for source_id, problem in sources.problems().items()]
        return {"version": __version__, "chroma": where, **shown, "source_problems": troubled, "lags": lags}

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
        chroma=chroma,
        sources=sources,
        upload_dir=uploads,
        wake=wake,
        health=health,
        status=status,
        progress=partial(pace, parts.syncer),
        search=parts.search.search,
        rebuild=index.rebuild,
        verify=Verifier(store, chroma, index).verify,
        embed_query=parts.search.embed,
        embed_with=embed_with,
        embed_sparse=embed_sparse,
        at_hand=lambda name: embedders.at_hand(name) or (name == SPLADE and present(splade)),
        models=frozenset(parts.catalog.names()),
        sparse_models=sparse.names(),
        default_embedding=default,
        upload_embedding=upload_embedding(default, splade),
        loopback=config.api.loopback,
        hosts=own_hosts(config),
        max_uploads=config.api.max_uploads,
    )


def upload_embedding(default: Embedding, splade: Path) -> Embedding:
    """Return how uploads that say nothing become vectors: as documented, but without SPLADE where its files are not here.

    Half a gigabyte is not fetched, and no upload fails without a network, for what nobody asked for.
    """
    sparse_model = SPLADE if present(splade) else None
    return replace(default, task=EmbeddingTask("generic_retrieval"), sparse_model=sparse_model)


def splade_words(folder: Path) -> str:
    """Return whether SPLADE can be used at once, for people."""
    if present(folder):
        return f"here, in {folder}; uploads that name no embedding use it"
    return f"not here: fetched into {folder} when a source or upload names it; until then uploads go without"


def kept(chroma: Chroma) -> str:
    """Return where sparse vectors are, for people."""
    beside = "in the daemon's store, beside the collections"
    if chroma.makes_sparse is None:
        return f"{beside}; Chroma has not been asked for a sparse index yet, which sources that name a sparse model do"
    if chroma.makes_sparse:
        return f"{beside}, and in the collections of sources that name a sparse model, under its key"
    return f"{beside}: this Chroma server has no sparse indexes"


def queries_of(config: Config, api: Sequence[ApiServer], record: CollectionRecord) -> QueryFunction | None:
    """Return the embedding function a collection is to record, or None: none is wanted, or our address is not known."""
    given = config.embedding
    base = given.queries_url.rstrip("/") if given.queries_url else own_url(config, api)
    if given.queries == "none" or base is None:
        return None
    key_variable = None if config.api.loopback else ANY_KEY
    return QueryFunction(given.queries, base + queries_path(record.target), record.embedding.model, key_variable)


def own_hosts(config: Config) -> frozenset[str]:
    """Return what clients may call this daemon: as it listens, and as collections record it."""
    recorded = urlsplit(config.embedding.queries_url or "").hostname
    return frozenset(name.lower() for name in (config.api.host, recorded) if name and name not in EVERYWHERE)


def warn_unrecorded(config: Config) -> None:
    """Say so when collections cannot record an embedding function."""
    given = config.embedding
    if given.queries != "none" and given.queries_url is None and config.api.host in EVERYWHERE:
        log.warning("queries.unrecorded", fix="set embedding.queries_url, or embedding.queries to none")


def own_url(config: Config, api: Sequence[ApiServer]) -> str | None:
    """Return the API's address for clients; None where it listens on all of the machine's."""
    if config.api.host in EVERYWHERE:
        return None
    host, port = api[0].address
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def pace(syncer: Syncer, invocation_id: str) -> Pace | None:
    """Return how fast a running invocation moves."""
    moving = syncer.pace(invocation_id)
    return None if moving is None else Pace(moving.eta_s, moving.tokens_per_s, moving.stages, moving.source)
