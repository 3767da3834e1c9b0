"""The models in use: each is prepared and started when it is first needed, and kept running."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from time import monotonic

import structlog

from syncd.errors import ConfigError, NotFoundError, PermanentError, RetryableError
from syncd.model import Embedder
from syncd.pipeline.embed.catalog import Catalog
from syncd.pipeline.embed.engine import EngineEmbedder, EngineOptions, ModelRequest
from syncd.pipeline.embed.engines import engine_for
from syncd.pipeline.embed.files import is_here
from syncd.pipeline.embed.servers import Server
from syncd.runtime.supervisor import Supervisor

log = structlog.get_logger()

PROGRESS_STEP_BYTES = 64 << 20
NEEDED_FOR_S = 300.0
"""So long after it was last needed counts that a model could not be started; whoever needs it asks again sooner."""


class Embedders:
    """Finds or starts the embedder of a model. `options` says how a model runs here, `servers` which servers
    compute it instead, by its name.
    """

    def __init__(
        self,
        catalog: Catalog,
        folder: Path,
        options: Callable[[str], EngineOptions],
        supervisor: Supervisor,
        servers: Mapping[str, Sequence[Server]] | None = None,
    ) -> None:
        self._catalog = catalog
        self._folder = folder
        self._options = options
        self._supervisor = supervisor
        self._servers = servers or {}
        self._made: dict[str, EngineEmbedder] = {}
        """Those that run, and those whose process is being started, for as long as that takes."""
        self._running: dict[str, EngineEmbedder] = {}
        self._down: dict[str, tuple[float, str]] = {}
        """When and why models could not be started for now."""
        self._starting: dict[str, asyncio.Task[EngineEmbedder]] = {}

    async def get(self, name: str) -> Embedder:
        """Return the embedder of a model, started; the first call waits for its file and its process. It starts even if every
        caller gives up waiting.

        Raises PermanentError if the model is unavailable (the message says where to place its file), RetryableError if
        its download was interrupted or none of its servers has ever answered.
        """
        if name in self._running:
            return self._running[name]
        if name not in self._starting:
            self._starting[name] = asyncio.create_task(self._start(name))
            self._starting[name].add_done_callback(partial(self._started, name))
        return await asyncio.shield(self._starting[name])

    def at_hand(self, name: str) -> bool:
        """Return whether a model can be used without fetching anything: it runs, servers compute it, or its file is here."""
        if name in self._running or self._servers.get(name):
            return True
        try:
            model, options = self._catalog.find(name), self._options(name)
            return is_here(model, model.file(options.quantisation), self._folder, options.path)
        except (ConfigError, NotFoundError):
            return False

    def running(self) -> Mapping[str, int]:
        """Return the models in use, with the length of their vectors."""
        return {name: embedder.dimensions for name, embedder in self._running.items()}

    def waiting(self) -> Mapping[str, str]:
        """Return the models that are needed and not to be had for now, each with the reason: it did not start, or no server is
        available.
        """
        latest = monotonic() - NEEDED_FOR_S
        down = {name: reason for name, (failed_at, reason) in self._down.items() if failed_at > latest}
        return down | {name: embedder.trouble for name, embedder in self._made.items() if embedder.trouble}

    def shortfalls(self) -> Mapping[str, str]:
        """Return the models in use of which less computes than is configured, each with the reason."""
        return {name: embedder.shortfall for name, embedder in self._running.items() if embedder.shortfall}

    def elsewhere(self) -> Mapping[str, Sequence[str]]:
        """Return the models in use that servers or workers compute, with those that do so now."""
        return {name: embedder.elsewhere for name, embedder in self._running.items() if embedder.elsewhere}

    def _started(self, name: str, task: asyncio.Task[EngineEmbedder]) -> None:
        del self._starting[name]
        self._down.pop(name, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("model.not_started", model=name, reason=str(error))
            if isinstance(error, RetryableError):
                self._down[name] = monotonic(), str(error)

    async def _start(self, name: str) -> EngineEmbedder:
        options, servers = self._options(name), self._servers.get(name, ())
        request = ModelRequest(self._catalog.find(name), self._folder, options, servers, LoggedProgress(name))
        try:
            embedder = await engine_for(request).make_embedder(request)
        except ConfigError as error:
            raise PermanentError(str(error)) from error
        self._made[name] = embedder
        await self._supervisor.add(embedder)
        self._running[name] = embedder
        log.info("model.ready", model=name, dimensions=embedder.dimensions)
        return embedder


class LoggedProgress:
    """Logs the progress of a download at intervals."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._next_bytes = 0

    def __call__(self, done_bytes: int, total_bytes: int | None) -> None:
        """Log that `done_bytes` of `total_bytes` are here, if enough time has passed."""
        if done_bytes >= self._next_bytes:
            self._next_bytes = done_bytes + PROGRESS_STEP_BYTES
            log.info("model.downloading", model=self._model, done_bytes=done_bytes, total_bytes=total_bytes)
