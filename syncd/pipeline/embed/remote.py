"""A dense model on one or several embedding servers, behind the same `Embedder` protocol as the local one.

Every request carries a known text beside the caller's, and its answer counts only when that text got the vector on
record: a server that runs another model, from the start or suddenly, is taken out of the pool, and its vectors never mix in.

A text over the servers' limit is embedded in halves, and theirs, and averaged as `windows` says. A server that silently
truncates long texts cannot be told from one that reads them; configure servers to reject over-long inputs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import aiohttp
import anyio
import numpy as np
import structlog
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from syncd.errors import PermanentError, PutOffError, RetryableError
from syncd.model import Embedded, EmbeddingTask, Role, Vectors
from syncd.pipeline.embed.catalog import EmbeddingModel
from syncd.pipeline.embed.engine import ModelRequest
from syncd.pipeline.embed.front import EmbeddedText, EmbeddingWork, embed_through
from syncd.pipeline.embed.local import local_record
from syncd.pipeline.embed.pool import ServerLease, ServerPool
from syncd.pipeline.embed.process import isolating
from syncd.pipeline.embed.record import SAME_MODEL_COSINE, ModelRecord, find_record
from syncd.pipeline.embed.servers import Server, ServerAnswer, ServerFailedError, ask
from syncd.pipeline.embed.variant import PROBE_TEXTS
from syncd.pipeline.embed.windows import merge
from syncd.runtime.mailbox import Mailbox, settling
from syncd.runtime.retry import Backoff

_WAITING_TEXTS = 2048
_CONNECT_LIMIT_S = 15.0
_IDLE_LEASE_S = 1.0
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class RemoteOptions:
    """Requests hold about `batch_bytes` of text. A batch on which servers fail `attempts` times is halved.

    Documents wait for servers as long as it takes, queries at most `patience_s`.
    """

    batch_bytes: int = 64 << 10
    request_s: float = 120.0
    attempts: int = 3
    patience_s: float = 30.0
    backoff: Backoff = field(default_factory=lambda: Backoff(cap_s=15.0))


@dataclass(frozen=True, slots=True)
class PreparedRemote:
    """A model whose servers are known and on record."""

    model: EmbeddingModel
    servers: tuple[Server, ...]
    record: ModelRecord
    options: RemoteOptions


def obstacle(request: ModelRequest) -> str:
    """Return '' where the model has servers."""
    return "" if request.servers else "no [[embedding.servers]] table names the model"


async def make_embedder(request: ModelRequest) -> RemoteEmbedder:
    """Return the embedder, not yet running. What its servers must compute is computed here, where the model's file is.

    Waits and raises as `prepare_remote`.
    """
    local = partial(local_record, request.model, request.folder, request.options)
    return RemoteEmbedder(await prepare_remote(request.model, request.servers, request.folder, local=local))


async def prepare_remote(
    model: EmbeddingModel,
    servers: Sequence[Server],
    folder: Path,
    options: RemoteOptions | None = None,
    local: Callable[[], Awaitable[ModelRecord | None]] | None = None,
) -> PreparedRemote:
    """Return what a RemoteEmbedder needs; the first time this makes the record of what servers must compute, which
    `local` computes where it can. Raises as `find_record`.
    """
    options = options or RemoteOptions()
    async with _session(options) as session:
        record = await find_record(model, servers, folder, session, local)
    return PreparedRemote(model, tuple(servers), record, options)


class RemoteEmbedder:
    """An actor and an `Embedder`: run it under a supervisor, and embed from any task."""

    def __init__(self, prepared: PreparedRemote) -> None:
        self.model = prepared.model.name
        self.name = f"embed {self.model}"
        self.dimensions = prepared.model.dimensions
        self.max_tokens = prepared.model.max_tokens
        self.fingerprint = prepared.record.fingerprint + prepared.model.prompt_mark
        self._prepared = prepared
        self._options = prepared.options
        self._mailbox = Mailbox[str, EmbeddedText](self.name, _WAITING_TEXTS)
        self._trouble = "none has answered yet"
        self._pool: ServerPool | None = None

    @property
    def trouble(self) -> str:
        """Why nothing can be computed now: the last server's error, while none is usable; else ''."""
        return "" if self._pool is None or self._pool.usable else self._trouble

    @property
    def shortfall(self) -> str:
        """Which servers are not usable now, with the last error, while others are."""
        if self._pool is None or not self._pool.usable or not (away := self._pool.unusable_urls):
            return ""
        return f"computed without {', '.join(away)} ({self._trouble})"

    @property
    def elsewhere(self) -> Sequence[str]:
        """The servers that are usable now."""
        return self._pool.usable_urls if self._pool else ()

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled. Started at once: servers join as they pass their check."""
        async with _session(self._options) as self._http, anyio.create_task_group() as tasks:
            pool = self._pool = ServerPool(self._prepared.servers, self._check, self._options.backoff, tasks)
            for _ in range(sum(server.in_flight for server in self._prepared.servers)):
                tasks.start_soon(self._serve, pool)
            task_status.started()

    async def embed(
        self, texts: Sequence[str], role: Role, task: EmbeddingTask | None = None, *, urgent: bool = False
    ) -> Embedded:
        """Embed `texts` as `Embedder.embed` promises. Documents wait until a server is ready; a query raises
        RetryableError when none answers in time.
        """
        patience_s = self._options.patience_s if role == "query" else None
        with anyio.move_on_after(patience_s):
            return await embed_through(self._mailbox, self._prepared.model, texts, role, task, urgent=urgent)
        raise RetryableError(f"no server of model {self.model} answers: {self._trouble}")

    async def _serve(self, pool: ServerPool) -> None:
        while True:
            # A server first, then work: a batch already taken that waits for a server would keep a query waiting.
            async with pool.lease() as lease:
                work: Sequence[EmbeddingWork] = ()
                # Whoever has work in hand and lost its server waits for one: an idle lease must not stand in its way.
                with anyio.move_on_after(_IDLE_LEASE_S):
                    weight = partial(self._weight, most=lease.texts)
                    work = await self._mailbox.take_many(self._options.batch_bytes, weight=weight)
                if work:
                    with settling(work):
                        await self._settle(work, lease)

    def _weight(self, text: str, most: int) -> float:
        return max(len(text), self._options.batch_bytes / most)

    async def _settle(self, work: Sequence[EmbeddingWork], lease: ServerLease) -> None:
        async def call(texts: Sequence[str]) -> list[EmbeddedText]:
            return await self._embeddings(texts, lease)

        found = await isolating([each.message for each in work], call)
        for each, result in zip(work, found, strict=True):
            if isinstance(result, EmbeddedText):
                each.reply.settle(result)
            else:
                each.reply.fail(result)

    async def _embeddings(self, texts: Sequence[str], lease: ServerLease) -> list[EmbeddedText]:
        failures = 0
        while True:
            share = sum(self._weight(text, lease.texts) for text in texts) / self._options.batch_bytes
            try:
                return await lease.ask(lambda server: self._verified(server, texts), len(texts), share)
            except ServerFailedError as error:
                failures += 1
                if failures == self._options.attempts:
                    raise PutOffError(f"servers keep failing on this text: {error}") from error
            except RetryableError:
                continue
            except PermanentError:
                if len(texts) > 1 or len(texts[0].encode("utf-8", "replace")) <= self.max_tokens:
                    raise
                return [await self._halved(texts[0], lease)]

    async def _halved(self, text: str, lease: ServerLease) -> EmbeddedText:
        middle = len(text) // 2
        cut = text.rfind(" ", middle // 2, middle) + 1 or middle
        halves = [(await self._embeddings([half], lease))[0] for half in (text[:cut], text[cut:])]
        tokens = [half.tokens for half in halves]
        return EmbeddedText(merge(np.stack([half.vector for half in halves]), tokens), sum(tokens))

    async def _check(self, server: Server) -> None:
        try:
            self._believe(server, (await self._answer(server, PROBE_TEXTS)).vectors)
        except PermanentError as error:
            self._trouble = f"{error}; it is a known one: check the server, and its [[embedding.servers]] table"
            raise RetryableError(self._trouble) from error

    async def _verified(self, server: Server, texts: Sequence[str]) -> list[EmbeddedText]:
        """Return the embeddings of `texts`, embedded in one request with a known text that gives a wrong model away.

        Raises PermanentError for a lone text only where the server still passes its check.
        """
        try:
            answer = await self._answer(server, [*texts, PROBE_TEXTS[-1]])
        except PermanentError:
            if len(texts) == 1:  # found in its batch at the cost of several requests: another one matters little
                await self._check(server)
            raise
        self._believe(server, answer.vectors[-1:])
        return _embeddings(texts, answer.vectors[:-1], answer.tokens)

    async def _answer(self, server: Server, texts: Sequence[str]) -> ServerAnswer:
        try:
            return await ask(self._http, server, texts)
        except RetryableError as error:
            self._trouble = str(error)
            raise

    def _believe(self, server: Server, known: Vectors) -> None:
        cosine = self._prepared.record.nearness(known)
        if not cosine >= SAME_MODEL_COSINE:
            log.error("model.server_refused", model=self.model, server=server.url, cosine=round(cosine, 4))
            self._trouble = (
                f"{server.url} does not compute the reference vectors (cosine {cosine:.3f}): make it run {self.model}, or, "
                f"if it is the model that should count from now on, run: syncd model trust {self.model}"
            )
            raise RetryableError(self._trouble)


def _embeddings(texts: Sequence[str], vectors: Vectors, tokens: int) -> list[EmbeddedText]:
    if not np.isfinite(vectors).all():
        raise PermanentError("the server gave a vector that is zero or not finite")
    per_character = tokens / sum(map(len, [*texts, PROBE_TEXTS[-1]]))
    return [
        EmbeddedText(row, max(1, round(len(text) * per_character))) for text, row in zip(texts, vectors, strict=True)
    ]


def _session(options: RemoteOptions) -> aiohttp.ClientSession:
    limits = aiohttp.ClientTimeout(total=options.request_s, sock_connect=_CONNECT_LIMIT_S)
    return aiohttp.ClientSession(timeout=limits)
