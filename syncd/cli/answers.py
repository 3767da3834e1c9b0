"""What the commands read of the daemon's answers: the fields of the API's documents that they print or act on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NotRequired, TypedDict

from syncd.json_types import Json


class InvocationMade(TypedDict):
    """The answer to asking for a run."""

    invocation_id: str


class InvocationCounts(TypedDict):
    """What an invocation has counted."""

    indexed: int
    unchanged: int
    deleted: int
    skipped: int
    failed: int
    held_deletes: int
    chunks_written: int
    chunks_deleted: int
    chunks_embedded: int
    tokens: int
    warned: NotRequired[int]


class Failure(TypedDict):
    """Why an invocation failed."""

    error: str


class FailedState(TypedDict):
    """The status of an invocation that failed."""

    failed: Failure


class CompleteState(TypedDict):
    """The status of an invocation that is complete."""

    complete: Json


class InvocationTarget(TypedDict):
    """What an invocation writes to."""

    collection_name: str


class CrawlCounts(TypedDict):
    """How far a crawl is."""

    fetched: float
    found: float
    unchanged: float
    failed: float
    pages_per_s: float


class StagesAnswer(TypedDict):
    """What of an invocation is on its way."""

    prepared: int
    embedded: int
    tokens_left: int
    estimated: bool


class InvocationAnswer(TypedDict):
    """An invocation."""

    id: str
    source_id: str
    status: str | CompleteState | FailedState
    metadata: InvocationTarget
    created_at: str
    dry_run: bool
    note: str | None
    next_try_at: str | None
    incomplete: str | None
    counts: InvocationCounts
    eta_s: float | None
    tokens_per_s: float | None
    stages: StagesAnswer | None
    source_progress: CrawlCounts | None


class DocumentAnswer(TypedDict):
    """What became of one document in an invocation."""

    key: str
    state: str
    reason: str
    chunks: int
    attempts: NotRequired[int]
    next_try_at: NotRequired[str | None]


class WarningAnswer(TypedDict):
    """What was guessed or left out of a document."""

    code: str
    message: str
    count: int


class WarnedAnswer(TypedDict):
    """A document with its warnings."""

    collection_name: str
    key: str
    warnings: Sequence[WarningAnswer]


class TokenAnswer(TypedDict):
    """A token, without what it is worth."""

    id: str
    name: str
    databases: Sequence[str] | None
    access: str
    expires_at: str | None


class DeadLetterAnswer(TypedDict):
    """An event message that nothing could be made of."""

    at: str
    queue_url: str
    message_id: str
    receives: int
    reason: str


class ChromaAnswer(TypedDict):
    """Which vector store it is and where, which tokens that are limited to databases are not told, and why it does not answer, if so."""

    kind: str
    host: NotRequired[str]
    port: NotRequired[int]
    away: str | None


class QueueAnswer(TypedDict):
    """A queue that is read."""

    queue_url: str
    problem: str


class SourceProblem(TypedDict):
    """A source whose events cannot be read."""

    source_id: str
    name: str | None
    problem: str


class LagAnswer(TypedDict):
    """How long changes of one source take until they can be found."""

    source_id: str
    name: str | None
    p50_s: float
    p95_s: float
    p99_s: float
    documents: int


class CollectionAnswer(TypedDict):
    """A collection that syncd writes."""

    database_name: str
    collection_name: str
    chunks: int
    filled: float | None
    bloat: float


class WayAnswer(TypedDict):
    """How well searches in one way find things before and after a change."""

    way: str
    ndcg_at_10: Sequence[float]
    recall_at_10: Sequence[float]
    mrr: Sequence[float]
    read_ndcg: NotRequired[Sequence[float]]


class ShadowAnswer(TypedDict):
    """A collection beside the one that answers under a name."""

    database_name: str
    collection_name: str
    state: str
    reason: str
    built: NotRequired[float]
    kept_until: NotRequired[float]
    questions: NotRequired[int]
    figures: NotRequired[Sequence[WayAnswer]]


class ActorAnswer(TypedDict):
    """A part of the daemon."""

    name: str
    restarts: int


class LastDeliveryAnswer(TypedDict):
    """What a webhook was told last, or what was given up last, and why."""

    event: str
    at: str
    error: str | None


class WebhookAnswer(TypedDict):
    """A webhook of the configuration file."""

    name: str
    events: Sequence[str]
    waiting: int
    given_up: int
    failing_since: str | None
    error: str | None
    last: LastDeliveryAnswer | None


class StatusAnswer(TypedDict):
    """The state of the daemon."""

    version: str
    chroma: ChromaAnswer
    models: Sequence[str]
    models_waiting: Mapping[str, str]
    models_elsewhere: NotRequired[Mapping[str, Sequence[str]]]
    preparers_elsewhere: NotRequired[Sequence[str]]
    problems: Sequence[str]
    degraded: NotRequired[Sequence[str]]
    queues: NotRequired[Sequence[QueueAnswer]]
    source_problems: NotRequired[Sequence[SourceProblem]]
    lags: NotRequired[Sequence[LagAnswer]]
    collections: NotRequired[Sequence[CollectionAnswer]]
    shadows: NotRequired[Sequence[ShadowAnswer]]
    actors: NotRequired[Sequence[ActorAnswer]]
    webhooks: NotRequired[Sequence[WebhookAnswer]]
