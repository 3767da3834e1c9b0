"""Derives from the configuration which models this machine has and how they run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from syncd.config import Config
from syncd.config.models import ModelSection, ServerTable
from syncd.config.secret import KeyedTable
from syncd.errors import ConfigError
from syncd.model import SparseEncoder
from syncd.pipeline.embed.catalog import BUILT_IN, MATRYOSHKA, Catalog, EmbeddingModel, ModelFile
from syncd.pipeline.embed.engine import Cluster, EngineOptions
from syncd.pipeline.embed.files import is_here
from syncd.pipeline.embed.fleet import Embedders, LoggedProgress
from syncd.pipeline.embed.servers import Server
from syncd.pipeline.embed.variant import RunSettings
from syncd.pipeline.rerank.local import RERANK_TOKENS, open_gguf
from syncd.pipeline.rerank.reranker import Reranker
from syncd.pipeline.rerank.servers import RerankServer, open_server
from syncd.pipeline.sparse.catalog import Loader, SparseModels
from syncd.pipeline.sparse.splade import Splade, check_loads
from syncd.pipeline.sparse.splade_files import SPLADE, own_files, published_files
from syncd.pipeline.sparse.splade_files import SPLADE_FOLDER as SPLADE_FOLDER
from syncd.redaction import register_secret
from syncd.runtime.state import MODELS_FOLDER
from syncd.runtime.supervisor import Supervisor
from syncd.schema import unknown


@dataclass(frozen=True, slots=True)
class Models:
    """The models of this machine, started when first needed, under `supervisor`."""

    catalog: Catalog
    supervisor: Supervisor
    dense: Embedders
    sparse: SparseModels
    reranker: Reranker | None


def make_models(config: Config, state: Path) -> Models:
    """Return the models as configured, none of them started. Raises ConfigError for names and servers that cannot be right, and for
    a cluster without the package it needs.
    """
    if config.workers.ray is not None and find_spec("ray") is None:
        raise ConfigError("workers.ray needs the extra ray, which is not installed: pip install 'syncd[ray]'")
    catalog = catalog_of(config)
    check_models(config, catalog)
    supervisor = Supervisor("models", max_restarts=10)
    return Models(
        catalog=catalog,
        supervisor=supervisor,
        dense=Embedders(
            catalog=catalog,
            folder=models_folder(config, state),
            options=partial(engine_options, config),
            supervisor=supervisor,
            servers=servers_by_model(config, catalog),
        ),
        sparse=SparseModels(config.search.sparse_default, sparse_loaders(config, state, supervisor)),
        reranker=make_reranker(config),
    )


def models_folder(config: Config, state: Path) -> Path:
    """Return where models' files are fetched to."""
    return config.embedding.models_dir or state / MODELS_FOLDER


def engine_options(config: Config, name: str) -> EngineOptions:
    """Return how a model runs on this machine."""
    given, own = config.embedding, next((model for model in config.models if model.name == name), None)
    return EngineOptions(
        quantisation=own.quantisation if own else None,
        path=own.path if own else None,
        device=given.device,
        devices=given.devices,
        runtime=given.runtime,
        threads=given.threads,
        lanes=0 if given.lanes == "auto" else given.lanes,
        lane_memory_bytes=given.lane_memory_bytes,
        batch_tokens=given.batch_tokens,
        cluster=cluster_of(config),
    )


def cluster_of(config: Config) -> Cluster | None:
    """Return the cluster that computes in place of this machine, if one does."""
    given = config.workers
    if given.ray is None:
        return None
    workers = 0 if given.embedders == "auto" else given.embedders
    return Cluster(given.ray, workers, given.cpus, given.gpus, given.models_dir)


def model_file(config: Config, name: str) -> str:
    """Return an identifier of the file that a model is configured to use, and of its prompt, since others give other vectors."""
    options = engine_options(config, name)
    prompt = next((given.document_prompt for given in config.models if given.name == name), None)
    return f"{options.path or ''}:{options.quantisation or ''}{':' + prompt if prompt else ''}"


def model_file_is_here(config: Config, name: str, state: Path) -> bool:
    """Return whether a known model can be used without a download. Raises ConfigError for a quantisation that it has not."""
    model, options = catalog_of(config).find(name), engine_options(config, name)
    return is_here(model, model.file(options.quantisation), models_folder(config, state), options.path)


def servers_by_model(config: Config, catalog: Catalog) -> dict[str, list[Server]]:
    """Return the servers that compute models in place of this machine, by the models' names.

    Raises ConfigError for a missing key, an unknown model or a duplicate server.
    """
    found: dict[str, list[Server]] = {}
    for given in config.embedding.servers:
        name = given.model or config.embedding.default_model
        if name not in catalog.names():
            raise ConfigError(
                f"embedding.servers: {unknown('model', name, catalog.names())} (your own go into [[models]])"
            )
        servers = found.setdefault(name, [])
        if any(server.url == given.url for server in servers):
            raise ConfigError(
                f"embedding.servers: {given.url} appears twice for {name}; raise its max_in_flight instead"
            )
        servers.append(server_of(given, name))
    return found


def server_of(given: ServerTable, name: str) -> Server:
    """Return a configured server, its key read and kept out of the log. Raises ConfigError when the key cannot be read."""
    headers = headers_of(given, "embedding.servers", given.url)
    return Server(given.url, given.kind, given.served_as or name, headers, given.max_in_flight)


def headers_of(given: KeyedTable, table: str, of: str) -> dict[str, str]:
    """Return the headers that carry a server's key, which is kept out of the log. Raises ConfigError when it cannot be read."""
    key = given.key(table, of)
    if key is not None:
        register_secret(key)
    return {"Authorization": f"Bearer {key}"} if key else {}


def make_reranker(config: Config) -> Reranker | None:
    """Return the reranker as configured, None where there is none. Raises ConfigError when its key cannot be read."""
    given = config.rerank
    make = partial(Reranker, limit_s=given.limit_s, always=given.always)
    if given.url is not None:
        server = RerankServer(given.url, given.kind, given.model or "", headers_of(given, "rerank", given.url))
        return make(partial(open_server, server), given.url)
    if given.path is not None:
        device, threads = config.embedding.device, config.embedding.threads
        settings = RunSettings(given.path, "last", RERANK_TOKENS, device=device, threads=threads)
        return make(partial(open_gguf, settings), given.path.name)
    return None


def splade_folder(config: Config, state: Path) -> Path:
    """Return where SPLADE's files are, or will be."""
    return config.search.splade_dir or models_folder(config, state) / SPLADE_FOLDER


def sparse_loaders(config: Config, state: Path, supervisor: Supervisor) -> dict[str, Loader]:
    """Return loaders for sparse models with files, which are found or downloaded on first use and run in their own process."""

    async def splade() -> SparseEncoder:
        folder = splade_folder(config, state)
        progress = LoggedProgress(SPLADE)
        digest = await (own_files(folder) if config.search.splade_dir else published_files(folder, progress))
        await check_loads(folder, config.embedding.threads)
        encoder = Splade(folder, digest, config.embedding.threads)
        await supervisor.add(encoder)
        return encoder

    return {SPLADE: splade}


def catalog_of(config: Config) -> Catalog:
    """Return the built-in models and those of the configuration."""
    return Catalog(map(catalog_entry, config.models))


def check_models(config: Config, catalog: Catalog) -> None:
    """Raise ConfigError for an unknown model, or dimensions it was not trained for, since no collection could hold its vectors."""
    named = {source.name: source.model for source in config.sources if source.model is not None}
    wanted = [("embedding.default_model", config.embedding.default_model)]
    wanted += [(f"sources: model of {name!r}", model) for name, model in named.items()]
    for key, model in wanted:
        if model not in catalog.names():
            raise ConfigError(
                f"{key}: {unknown('model', model, catalog.names())} (your own go into [[models]]; restart the daemon then)"
            )
    for source in config.sources:
        try:
            catalog.check_dimensions(source.model or config.embedding.default_model, source.dimensions)
        except ConfigError as error:
            raise ConfigError(f"sources: {source.name!r}: {error}") from error


def catalog_entry(given: ModelSection) -> EmbeddingModel:
    """Return the catalogue entry of a configured model: a built-in one with changes, or a new one."""
    known = next((model for model in BUILT_IN if model.name == given.name), None)
    if known is None and (given.pooling is None or given.dimensions is None or given.max_tokens is None):
        raise ConfigError(
            f"models: {given.name!r} is not a built-in model; give its pooling, dimensions and max_tokens"
        )
    name = (
        given.path.name
        if given.path
        else (given.url or "").rsplit("/", 1)[-1] or f"{given.name.replace('/', '--')}.gguf"
    )
    own_file = (
        (ModelFile(given.quantisation or "own", name, given.url, given.sha256),) if given.path or given.url else ()
    )
    base = known or EmbeddingModel(
        given.name,
        (),
        given.pooling or "mean",
        given.dimensions or 0,
        given.max_tokens or 0,
        matryoshka=given.name in MATRYOSHKA,
    )
    changes: dict[str, Any] = {
        "files": (*own_file, *base.files),
        "pooling": given.pooling,
        "dimensions": given.dimensions,
        "max_tokens": given.max_tokens,
        "document_prompt": given.document_prompt,
        "matryoshka": given.matryoshka,
        "prompts": None if given.query_prompt is None else {**base.prompts, "": given.query_prompt},
    }
    return replace(base, **{name: value for name, value in changes.items() if value not in (None, ())})
