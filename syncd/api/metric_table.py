"""The table of what `/metrics` tells: names, labels, meaning, and where each value is taken from. README.md repeats it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from syncd import __version__
from syncd.api.figures import Figures
from syncd.api.metric_samples import (
    Samples,
    backlog_samples,
    backlogs,
    document_samples,
    ended_runs,
    lag_samples,
    run_samples,
    samples_of_runs,
    samples_of_standings,
    samples_of_webhooks,
    unfinished_samples,
)
from syncd.model import DocumentState

DATABASE_LABEL = "database"
"""The first label of whatever belongs to a database: tokens limited to others do not see it."""
_SOURCE = (DATABASE_LABEL, "source")
_COLLECTION = (DATABASE_LABEL, "collection")


@dataclass(frozen=True, slots=True)
class Metric:
    """A row of the table. The samples of a counter never fall but when the daemon starts, and its name ends in `_total`."""

    name: str
    kind: Literal["gauge", "counter"]
    labels: tuple[str, ...]
    meaning: str
    samples: Callable[[Figures], Samples]


METRICS = (
    Metric(
        "syncd_build_info",
        "gauge",
        ("version",),
        "1; the label says which version runs",
        lambda _: [((__version__,), 1)],
    ),
    Metric(
        "syncd_problems",
        "gauge",
        (),
        "for how many reasons `/health` is not ok; 0 if it is",
        lambda f: [((), f.vitals.problems)],
    ),
    Metric(
        "syncd_chroma_available",
        "gauge",
        (),
        "1, or 0 while Chroma is away and work waits for it",
        lambda f: [((), f.vitals.is_chroma_available)],
    ),
    Metric(
        "syncd_model_available",
        "gauge",
        ("model",),
        "1 for a model in use, 0 for one that is needed and cannot be had",
        lambda f: (((name,), is_there) for name, is_there in f.vitals.models.items()),
    ),
    Metric(
        "syncd_disk_free_bytes",
        "gauge",
        (),
        "free on the disk of the state folder",
        lambda f: [((), f.vitals.free_bytes)],
    ),
    Metric(
        "syncd_actor_restarts_total",
        "counter",
        ("actor",),
        "how often a part of the daemon crashed and was run again",
        lambda f: (((name,), times) for name, times in f.vitals.restarts.items()),
    ),
    Metric(
        "syncd_mailbox_waiting",
        "gauge",
        ("mailbox",),
        "what waits in memory: documents for `ingest`, changes of Chroma for `index`",
        lambda f: (((box.name,), box.waiting) for box in f.vitals.mailboxes),
    ),
    Metric(
        "syncd_mailbox_served_total",
        "counter",
        ("mailbox",),
        "what was taken out of a mailbox",
        lambda f: (((box.name,), box.served) for box in f.vitals.mailboxes),
    ),
    Metric(
        "syncd_embedded_tokens_total",
        "counter",
        (),
        "tokens of documents that were embedded",
        lambda f: [((), f.vitals.embedded_tokens)],
    ),
    Metric(
        "syncd_dropped_spans_total",
        "counter",
        (),
        "spans of traces that the receiver did not take, or not soon enough",
        lambda f: [((), f.vitals.dropped_spans)],
    ),
    Metric(
        "syncd_documents",
        "gauge",
        (*_COLLECTION, "source", "state"),
        "documents `indexed`, `skipped` and `failed`",
        document_samples,
    ),
    Metric(
        "syncd_chunks",
        "gauge",
        _COLLECTION,
        "chunks of the indexed documents",
        lambda f: (((c.database_name, c.collection_name), c.chunks) for c in f.collections),
    ),
    Metric(
        "syncd_collection_bloat_ratio",
        "gauge",
        _COLLECTION,
        "how many times the space of its rows Chroma needs for a collection",
        lambda f: (((c.database_name, c.collection_name), c.bloat) for c in f.collections),
    ),
    Metric(
        "syncd_backlog_documents",
        "gauge",
        (*_SOURCE, "stage"),
        "prepared documents that wait: to `embed` texts of theirs, to `write` them to Chroma",
        backlog_samples,
    ),
    Metric(
        "syncd_backlog_tokens",
        "gauge",
        _SOURCE,
        "tokens of texts that wait to be embedded, as far as they are counted",
        lambda f: ((labels, backlog.wanted_tokens) for labels, backlog in backlogs(f)),
    ),
    Metric(
        "syncd_unfinished_runs",
        "gauge",
        (*_SOURCE, "state"),
        "runs that are `pending` or `processing`",
        unfinished_samples,
    ),
    Metric("syncd_runs_total", "counter", (*_SOURCE, "outcome"), "runs that ended `complete` or `failed`", run_samples),
    Metric(
        "syncd_run_documents_total",
        "counter",
        (*_SOURCE, "outcome"),
        "documents of runs, counted as they end: `indexed`, `unchanged`, `deleted`, `skipped`, `failed`",
        samples_of_runs(lambda counts: {state.value: getattr(counts, state.value) for state in DocumentState}),
    ),
    Metric(
        "syncd_run_chunks_total",
        "counter",
        (*_SOURCE, "vector"),
        "chunks of runs, counted as they end, by what their vectors were: `embedded`, or `reused` from the cache",
        samples_of_runs(lambda counts: {"embedded": counts.chunks_embedded, "reused": counts.chunks_reused}),
    ),
    Metric(
        "syncd_run_tokens_total",
        "counter",
        _SOURCE,
        "tokens that runs had embedded, counted as they end",
        lambda f: ((labels, totals.counts.tokens) for labels, totals in ended_runs(f)),
    ),
    Metric(
        "syncd_lag_seconds",
        "gauge",
        (*_SOURCE, "quantile"),
        "from change to searchable, of the last 1,000 documents: 0.5 and 0.95",
        lag_samples,
    ),
    Metric(
        "syncd_behind_seconds",
        "gauge",
        _SOURCE,
        "how long changes have been waiting; 0 if none are",
        samples_of_standings(lambda one: one.behind_s),
    ),
    Metric(
        "syncd_source_late",
        "gauge",
        _SOURCE,
        "1 while changes have waited for longer than `max_lag_s`",
        samples_of_standings(lambda one: one.is_late),
    ),
    Metric(
        "syncd_source_failing",
        "gauge",
        _SOURCE,
        "1 while a source cannot be looked at or brought in step",
        lambda f: ((labels, watch.failing_since is not None) for labels, watch in f.of_sources(f.watches)),
    ),
    Metric(
        "syncd_webhook_failing",
        "gauge",
        ("webhook",),
        "1 while a webhook cannot be told what it is to be told",
        samples_of_webhooks(lambda one: one.failing_since is not None),
    ),
    Metric(
        "syncd_webhook_waiting",
        "gauge",
        ("webhook",),
        "notifications that are not delivered yet",
        samples_of_webhooks(lambda one: one.waiting),
    ),
)
"""In this order they are shown. A name or label is never given another meaning."""
