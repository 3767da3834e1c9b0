"""What the API needs from the rest of the daemon; the composition root fills it in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from syncd.api.incoming_signatures import IncomingWebhook
from syncd.api.quotas import Quotas
from syncd.errors import NotFoundError
from syncd.index.target import VectorStore
from syncd.index.verify import Drift
from syncd.json_types import JsonObject
from syncd.model import Embedded, Embedding, EmbeddingTask, Role, SparseVector, Target, Vectors
from syncd.model.watching import WatchState
from syncd.runtime.mailbox import MailboxStats
from syncd.search import Answer, Query
from syncd.sources.factories import SourceFactories
from syncd.store import Store
from syncd.store.collections import CollectionRecord
from syncd.store.outbox import Portion
from syncd.sync.explain import Explanation
from syncd.sync.freshness import Standing
from syncd.sync.settlement import RunTotals
from syncd.sync.webhook_sender import DeliveryAttempt


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a running invocation moves."""

    eta_s: float | None = None
    tokens_per_s: float | None = None
    source: Mapping[str, float] | None = None
    """The source's own counts; for a crawl, pages found, fetched, unchanged, indexed, failed, queued, and per second."""
    stages: Mapping[str, int] | None = None
    """Documents prepared and embedded but not yet written, and tokens left to embed of those prepared."""


@dataclass(frozen=True, slots=True)
class Vitals:
    """What the daemon's parts say of themselves without waiting for anything. Totals are since its start."""

    mailboxes: Sequence[MailboxStats] = ()
    models: Mapping[str, bool] = field(default_factory=dict[str, bool])
    """The models in use and those that are needed, each with whether it can be had."""
    is_chroma_available: bool = True
    problems: int = 0
    """For how many reasons the daemon cannot work as it should."""
    embedded_tokens: int = 0
    dropped_spans: int = 0
    """Of traces: those that found no room or no receiver."""
    restarts: Mapping[str, int] = field(default_factory=dict[str, int])
    """How often each actor was run again after a crash, by name."""
    runs: Mapping[str, RunTotals] = field(default_factory=dict[str, RunTotals])
    """How runs ended, by source id."""
    free_bytes: int = 0
    """On the state folder's disk."""


async def no_standings() -> Mapping[str, Standing]:
    """Return that nothing is known of any source."""
    return {}


async def no_webhook(name: str) -> DeliveryAttempt:
    """Say that there is none."""
    raise NotFoundError(f"no webhook is called {name!r}; the configuration has none")


@dataclass(frozen=True, slots=True)
class Services:
    """Everything behind the API's handlers. Callables may be called concurrently."""

    store: Store
    sources: SourceFactories
    """The supported source types; also checks new sources."""
    chroma: VectorStore
    upload_dir: Path
    """The folder of uploaded files, under generated names; exists."""
    wake: Callable[[], None]
    """Called after an invocation became durable or was cancelled."""
    health: Callable[[], Awaitable[str | None]]
    """Returns why the daemon cannot work at the moment, or None."""
    status: Callable[[], Awaitable[JsonObject]]
    """Returns the daemon's state as JSON values: version, chroma, models, mailboxes."""
    progress: Callable[[str], Pace | None]
    """Returns the pace of a running invocation, by id."""
    search: Callable[[Query], Awaitable[Answer]]
    """Raises NotFoundError, PermanentError, RetryableError."""
    search_several: Callable[[Query, Sequence[Target]], Awaitable[Answer]]
    """The same over several collections, instead of the query's own."""
    related: Callable[[Query, str], Awaitable[Answer]]
    """Chunks like the one of this id. Raises NotFoundError, PermanentError, RetryableError."""
    rebuild: Callable[[Target], Awaitable[int]]
    """Recreate a collection from the store and return its chunks. Raises NotFoundError, PermanentError, RetryableError."""
    switch: Callable[[Target], Awaitable[None]]
    """Let the shadow of a collection take its place. Raises NotFoundError, ConflictError, RetryableError."""
    discard: Callable[[Target], Awaitable[None]]
    """Remove the shadow of a collection. Raises NotFoundError."""
    rollback: Callable[[Target], Awaitable[None]]
    """Let the collection that had the name before answer again. Raises NotFoundError, RetryableError."""
    verify: Callable[[Target, bool, Portion], Awaitable[Drift]]
    """Compare a portion of a collection with the store and mend it if told to. Raises NotFoundError, PermanentError, RetryableError."""
    explain: Callable[[CollectionRecord, str], Awaitable[Explanation | None]]
    """Say where a collection's chunk comes from, and derive it again; None if there is no such chunk. Waits for its source."""
    embed_query: Callable[[Target, Sequence[str]], Awaitable[Vectors]]
    """Embed queries with the model of a collection. Raises NotFoundError, PermanentError, RetryableError."""
    embed_with: Callable[[str, Sequence[str], Role, EmbeddingTask | None], Awaitable[Embedded]]
    """Embed texts with a model, by name. Raises NotFoundError, PermanentError, RetryableError."""
    embed_sparse: Callable[[str, Sequence[str]], Awaitable[Sequence[SparseVector]]]
    """Encode texts with a sparse model, by name. Raises NotFoundError, PermanentError, RetryableError."""
    check_dimensions: Callable[[str, int | None], None]
    """Raises ConfigError unless a known dense model's vectors may be shortened to that; None: they are not."""
    at_hand: Callable[[str], bool]
    """Returns whether a model, dense or sparse, can be used without a download."""
    models: frozenset[str]
    """Names of the dense models that are configured."""
    sparse_models: frozenset[str]
    """Names of the sparse models that are configured."""
    default_embedding: Embedding
    """The model of sources that name none."""
    upload_embedding: Embedding
    """The embedding of uploads that name none."""
    watches: Callable[[], Mapping[str, WatchState]] = dict[str, WatchState]
    """Returns how the watch of each source that has one is doing, by source id."""
    standings: Callable[[], Awaitable[Mapping[str, Standing]]] = no_standings
    """Returns how far each source is behind, by source id."""
    degraded: Callable[[], Sequence[str]] = tuple[str, ...]
    """Returns what is not as configured although the work goes on: a worker that is away, say."""
    vitals: Callable[[], Vitals] = Vitals
    """Returns how the daemon's parts are."""
    try_webhook: Callable[[str], Awaitable[DeliveryAttempt]] = no_webhook
    """Sends a test to a webhook, by name, and waits for its answer. Raises NotFoundError."""
    incoming: Mapping[str, IncomingWebhook] = field(default_factory=dict[str, IncomingWebhook])
    """Who may announce changes without a token, by name."""
    loopback: bool = False
    """Whether the server is bound to a loopback address only, so that embedding queries with models that are here needs no token."""
    hosts: frozenset[str] = frozenset()
    """Host names, in lower case, that requests without a token may use, besides loopback's names and addresses."""
    max_uploads: int = 4
    """Simultaneous uploads of one token; further ones get 429."""
    quotas: Quotas = field(default_factory=Quotas)


SERVICES = web.AppKey("services", Services)
"""Where handlers find them: `request.app[SERVICES]`."""
