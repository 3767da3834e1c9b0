"""A dense model on one or several embedding servers, behind the same `Embedder` protocol as the local one.

Every request carries a known text beside the caller's, and its answer counts only when that text got the vector on
record: a server that runs another model, from the start or suddenly, is set aside, its vectors never mix in. The record
is made by the first server that answers, kept in the model folder, and is the model's fingerprint.

Texts over a server's limit are refused by it and fail by themselves; a server that cuts them silently cannot be told.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import anyio
import numpy as np
import structlog
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from syncd.errors import ConfigError, PermanentError, RetryableError
from syncd.model import Embedded, EmbeddingTask, Role, Vectors
from syncd.pipeline.embed.catalog import Model
from syncd.pipeline.embed.files import read_json, update_json
from syncd.pipeline.embed.front import Embedding, Work, embed_through
from syncd.pipeline.embed.process import isolating
from syncd.pipeline.embed.servers import Server, ask
from syncd.pipeline.embed.variant import PROBE_TEXTS
from syncd.runtime.mailbox import Mailbox, settling
from syncd.runtime.retry import Backoff, retrying

_WAITING_TEXTS = 2048
_SAME_MODEL_COSINE = 0.99
"""Quantised to 8 bits and computed elsewhere a model's vectors stay above 0.998; another model's are far below."""
_RECORDS = "remote.json"
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class RemoteOptions:
    """`in_flight` requests per server at a time, of about `batch_bytes` of text each."""

    in_flight: int = 2
    batch_bytes: int = 64 << 10
    request_s: float = 120.0
    attempts: int = 5
    patience_s: float = 60.0
    backoff: Backoff = field(default_factory=Backoff)


@dataclass(frozen=True, slots=True)
class PreparedRemote:
    """A model whose servers are known and on record."""

    model: Model
    servers: tuple[Server, ...]
    record: Vectors
    options: RemoteOptions

    @property
    def fingerprint(self) -> str:
        """What tells these vectors from those of any other model on record."""
        return f"{self.model.name}:remote:{hashlib.sha256(self.record.tobytes()).hexdigest()}"


async def prepare_remote(
    model: Model, servers: Sequence[Server], folder: Path, options: RemoteOptions | None = None
) -> PreparedRemote:
    """Return what a RemoteEmbedder needs; the first time this asks a server for the vectors to go on record.

    Raises RetryableError when that is out of reach, ConfigError without servers or when its vectors have another length
    than the model's.
    """
    if not servers:
        raise ConfigError(f"model {model.name} has no servers; give it at least one url")
    options = options or RemoteOptions()
    known = read_json(folder / _RECORDS).get(model.name)
    if known is None:
        async with _session(options) as session:
            known = (await _first_answer(session, servers)).tolist()
        update_json(folder / _RECORDS, lambda values: {**values, model.name: known})
    record = np.array(known, dtype=np.float32)
    if record.shape != (len(PROBE_TEXTS), model.dimensions):
        raise ConfigError(
            f"{servers[0].url} gives {record.shape[-1]} dimensions, model {model.name} has {model.dimensions}"
        )
    return PreparedRemote(model, tuple(servers), record, options)


class RemoteEmbedder:
    """An actor and an `Embedder`: run it under a supervisor, and embed from any task."""

    def __init__(self, prepared: PreparedRemote) -> None:
        self.model = prepared.model.name
        self.name = f"embed {self.model}"
        self.dimensions = prepared.model.dimensions
        self.max_tokens = prepared.model.max_tokens
        self.fingerprint = prepared.fingerprint
        self._prepared = prepared
        self._options = prepared.options
        self._mailbox = Mailbox[str, Embedding](self.name, _WAITING_TEXTS)
        self._trouble = "none has answered yet"

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled. Started at once: servers join as they pass their check."""
        slots = len(self._prepared.servers) * self._options.in_flight
        self._free, self._ready = anyio.create_memory_object_stream[Server](math.inf)
        async with _session(self._options) as self._http, anyio.create_task_group() as self._tasks:
            for server in self._prepared.servers * self._options.in_flight:
                self._tasks.start_soon(self._admit, server)
            for _ in range(slots):
                self._tasks.start_soon(self._serve)
            task_status.started()

    async def embed(self, texts: Sequence[str], role: Role, task: EmbeddingTask | None = None) -> Embedded:
        """Embed `texts` as `Embedder.embed` promises. Raises RetryableError when no server answers in time."""
        return await embed_through(self._mailbox, self._prepared.model, texts, role, task)

    async def _serve(self) -> None:
        while True:
            work = await self._mailbox.take_many(self._options.batch_bytes, weight=len)
            with settling(work):
                await self._settle(work)

    async def _settle(self, work: Sequence[Work]) -> None:
        try:
            found = await isolating([each.message for each in work], self._ask)
        except RetryableError as error:
            found = [error] * len(work)
        for each, result in zip(work, found, strict=True):
            if isinstance(result, Embedding):
                each.reply.settle(result)
            else:
                each.reply.fail(result)

    async def _ask(self, texts: Sequence[str]) -> list[Embedding]:
        for _ in range(self._options.attempts):
            server = await self._next_server()
            if server is None:
                break
            try:
                found = await self._verified(server, texts)
            except RetryableError as error:
                log.warning("model.server_lost", model=self.model, server=server.url, error=str(error))
                self._tasks.start_soon(self._admit, server)
                continue
            except PermanentError:
                self._free.send_nowait(server)
                raise
            self._free.send_nowait(server)
            return found
        raise RetryableError(f"no server of model {self.model} is ready: {self._trouble}")

    async def _next_server(self) -> Server | None:
        with anyio.move_on_after(self._options.patience_s):
            return await self._ready.receive()
        return None

    async def _admit(self, server: Server) -> None:
        await retrying(lambda: self._verified(server, PROBE_TEXTS[:1]), self._options.backoff)
        self._free.send_nowait(server)

    async def _verified(self, server: Server, texts: Sequence[str]) -> list[Embedding]:
        """Return the embeddings of `texts`, embedded in one request with a known text that gives a wrong model away."""
        try:
            answer = await ask(self._http, server, [*texts, PROBE_TEXTS[-1]])
        except RetryableError as error:
            self._trouble = str(error)
            raise
        same = answer.vectors.shape[1] == self.dimensions
        cosine = float(answer.vectors[-1] @ self._prepared.record[-1]) if same else 0.0
        if not cosine >= _SAME_MODEL_COSINE:
            log.error("model.server_refused", model=self.model, server=server.url, cosine=round(cosine, 4))
            self._trouble = f"{server.url} does not compute the vectors on record; does it run another model?"
            raise RetryableError(self._trouble)
        return _embeddings(texts, answer.vectors[:-1], answer.tokens)


def _embeddings(texts: Sequence[str], vectors: Vectors, tokens: int) -> list[Embedding]:
    if not np.isfinite(vectors).all():
        raise PermanentError("the server gave a vector that is zero or not finite")
    per_character = tokens / sum(map(len, texts))
    return [Embedding(row, round(len(text) * per_character)) for text, row in zip(texts, vectors, strict=True)]


async def _first_answer(session: aiohttp.ClientSession, servers: Sequence[Server]) -> Vectors:
    failures: list[str] = []
    for server in servers:
        try:
            vectors = (await ask(session, server, PROBE_TEXTS)).vectors
        except (RetryableError, PermanentError) as error:
            failures.append(str(error))
            continue
        if np.isfinite(vectors).all():
            return vectors
        failures.append(f"{server.url} gives vectors that are zero or not finite")
    raise RetryableError("; ".join(failures))


def _session(options: RemoteOptions) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=options.request_s))
