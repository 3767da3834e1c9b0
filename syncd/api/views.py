"""Turns records of the store into the published API's JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from syncd.api.services import Pace
from syncd.json_types import JsonObject
from syncd.model import (
    Embedding,
    GitRef,
    Invocation,
    OneObject,
    Request,
    SourceRecord,
    State,
    Target,
    UnreadableSettings,
    Upload,
    WholeSource,
)
from syncd.model.watching import WatchState
from syncd.redaction import redacted
from syncd.schema import seconds
from syncd.sources.type import SourceTypes
from syncd.store.freshness import Lag
from syncd.store.invocations import DocumentOutcome
from syncd.sync.freshness import Standing


def rfc3339(value: datetime) -> str:
    """Return a time as RFC 3339 in UTC."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class SourceNews:
    """How a source is doing. `problem`: why its events are not received, None if they are. `watch`: None if it has none. `lag`: None
    if it does not say when documents change. `next_run_at`: None if it has no schedule.
    """

    problem: str | None = None
    watch: WatchState | None = None
    standing: Standing | None = None
    lag: Lag | None = None
    next_run_at: datetime | None = None


def source_view(types: SourceTypes, source: SourceRecord, news: SourceNews | None = None) -> JsonObject:
    """Return a source in the form of `Source`."""
    news = news or SourceNews()
    shown = types[source.type].shape.model_fields
    values = types.write_settings(source.type, source.settings, source.is_declared)
    dense = _dense(source.embedding)
    view: JsonObject = {
        "id": source.id,
        "database_name": source.database,
        source.type: {name: value for name, value in values.items() if name in shown},
        "embedding_model": dense,
        "embedding": {"dense": dense, "sparse": _sparse(source.embedding)},
        "chunking": _chunking(source),
        "created_at": rfc3339(source.created_at),
        **({} if news.problem is None else {"problem": redacted(news.problem)}),
        **({"notice": source.settings.notice} if source.settings.notice else {}),
        **({} if news.watch is None else {"watch_state": watch_view(news.watch)}),
        **({} if news.standing is None else {"freshness": freshness_view(news.standing, news.lag)}),
        **({} if news.next_run_at is None else {"next_run_at": rfc3339(news.next_run_at)}),
        **({} if source.name is None else {"name": source.name}),
        **({} if source.paused_at is None else {"paused_at": rfc3339(source.paused_at)}),
    }
    if not source.is_declared:
        return view
    return {**view, "declared": True, "collection_name": source.settings.collection_name}


def watch_view(watch: WatchState) -> JsonObject:
    """Return the state of a watch in the form of `WatchView`."""
    return {
        "state": "failing" if watch.failing_since else "watching",
        "failing_since": rfc3339(watch.failing_since) if watch.failing_since else None,
        "reason": redacted(watch.reason) or None,
        "next_try_at": rfc3339(watch.next_try_at) if watch.next_try_at else None,
    }


def freshness_view(standing: Standing, lag: Lag | None) -> JsonObject:
    """Return how fresh a source is in the form of `FreshnessView`."""
    return {
        "documents": lag.documents if lag else 0,
        "p50_s": seconds(lag and lag.p50_s),
        "p95_s": seconds(lag and lag.p95_s),
        "p99_s": seconds(lag and lag.p99_s),
        "behind_s": seconds(standing.behind_s),
        "late": standing.is_late,
    }


def source_item(
    types: SourceTypes, source: SourceRecord, latest: Invocation | None, news: SourceNews | None = None
) -> JsonObject:
    """Return a source in the form of `SourceListItem`."""
    if latest is None:
        target = Target(source.database, source.settings.collection_name or "")
        status, metadata = "pending", _job_metadata(types, target, WholeSource(), source)
    else:
        status, metadata = _status(latest), _job_metadata(types, latest.target, latest.request, source)
    return {
        **source_view(types, source, news),
        "source_id": source.id,
        "status": status,
        "metadata": metadata,
    }


def job_view(
    types: SourceTypes, invocation: Invocation, source: SourceRecord | None, pace: Pace | None = None
) -> JsonObject:
    """Return an invocation in the form of `Job`. `source` None: the source was deleted."""
    unfinished = invocation.state in (State.PENDING, State.PROCESSING)
    pace, said = pace or Pace(), invocation.error and redacted(invocation.error)
    if unfinished and source and source.paused_at:
        said = f"source {source.name or source.id} is paused; resume it with: syncd sources resume {source.name or source.id}"
    return {
        "id": invocation.id,
        "source_id": invocation.source_id,
        "status": _status(invocation),
        "metadata": _job_metadata(types, invocation.target, invocation.request, source),
        "created_at": rfc3339(invocation.created_at),
        "started_at": rfc3339(invocation.started_at) if invocation.started_at else None,
        "origin": invocation.origin.value,
        "dry_run": invocation.request.is_dry_run,
        "attempts": invocation.attempts,
        "next_try_at": rfc3339(invocation.not_before) if unfinished and invocation.not_before else None,
        "note": said if unfinished else None,
        "incomplete": said if invocation.state is State.COMPLETE else None,
        "counts": asdict(invocation.counts),
        "eta_s": seconds(pace.eta_s),
        "tokens_per_s": seconds(pace.tokens_per_s),
        "stages": pace.stages,
        "source_progress": pace.source,
    }


def document_view(outcome: DocumentOutcome, next_try: Invocation | None) -> JsonObject:
    """Return an outcome in the form of `DocumentView`. `next_try`: what tries the document again, None if nothing does."""
    view: JsonObject = {**asdict(outcome), "reason": redacted(outcome.reason), "at": rfc3339(outcome.at)}
    if next_try is None:
        return view
    tries = next_try.request.whole.follow_up or next_try.attempts
    return {**view, "attempts": tries, "next_try_at": rfc3339(next_try.not_before) if next_try.not_before else None}


def _status(invocation: Invocation) -> str | JsonObject:
    if invocation.state is State.FAILED:
        return {"failed": {"error": redacted(invocation.error or "unknown")}}
    if invocation.state is State.COMPLETE:
        finished = invocation.finished_at or invocation.created_at
        took = finished - (invocation.started_at or invocation.created_at)
        duration_ms = max(0, round(took.total_seconds() * 1000))
        return {"complete": {"finished_at": rfc3339(finished), "duration_ms": duration_ms}}
    return invocation.state.value


def _job_metadata(types: SourceTypes, target: Target, request: Request, source: SourceRecord | None) -> JsonObject:
    names = {"database_name": target.database, "collection_name": target.collection}
    if source and source.facts.accepts_ref:
        return {**names, "github": {"git_ref_identifier": _ref(request.whole.ref or GitRef(branch="HEAD"))}}
    asked = request if isinstance(request, OneObject | Upload) else None
    named = {"custom_id": asked and asked.custom_id, "additional_metadata": asked and asked.metadata}
    bucket = _bucket(types, source) if source else "Unknown"
    return {**names, "s3": {"bucket_name": bucket, "object_key": request.object_key, **named}}


def _ref(ref: GitRef) -> dict[str, str | None]:
    return {"sha": ref.sha} if ref.sha is not None else {"branch": ref.branch}


def _bucket(types: SourceTypes, source: SourceRecord) -> str:
    """Return the `bucket_name` to show for a source, which the published API requires for every type."""
    objects = types[source.type].objects
    readable = not isinstance(source.settings, UnreadableSettings)
    return objects.bucket(source.settings) if objects and readable else source.type


def _dense(embedding: Embedding) -> JsonObject:
    task = embedding.task
    short = {"dimensions": embedding.dimensions} if embedding.dimensions else {}
    if task is None:
        return {"model": embedding.model, "task": None, **short}
    prompts = {"document_prompt": task.document_prompt, "query_prompt": task.query_prompt}
    return {"model": embedding.model, "task": {"task_name": task.name, **prompts}, **short}


def _sparse(embedding: Embedding) -> JsonObject | None:
    return {"model": embedding.sparse_model, "key": embedding.sparse_key} if embedding.sparse_model else None


def _chunking(source: SourceRecord) -> JsonObject:
    chunking = source.chunking
    size = {"type": chunking.type, "max_size_bytes": chunking.max_size_bytes}
    if chunking.type == "lines":
        return {**size, "max_lines": chunking.max_lines}
    return {**size, "target_size_bytes": chunking.target_size_bytes, "breadcrumb": chunking.breadcrumb}
