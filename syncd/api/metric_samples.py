"""Where the values of `/metrics` are taken from, with their labels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from syncd.api.figures import Figures
from syncd.model import Counts
from syncd.store.census import UnfinishedRuns
from syncd.store.prepared import Backlog
from syncd.store.webhook_outbox import WebhookState
from syncd.sync.freshness import Standing
from syncd.sync.settlement import RunTotals

Samples = Iterable[tuple[tuple[str, ...], float]]
"""Values, each with those of its labels."""


def document_samples(figures: Figures) -> Samples:
    """Yield how many documents every source has in every collection, by state."""
    sources = figures.census.sources
    for count in figures.census.documents:
        source, target = sources.get(count.source_id), count.target
        name = source.name if source else count.source_id
        yield (target.database, target.collection, name, count.state.value), count.documents


def unfinished_samples(figures: Figures) -> Samples:
    """Yield how many runs of every source wait or go on."""
    for labels, runs in figures.of_sources(figures.census.unfinished, UnfinishedRuns()):
        yield (*labels, "pending"), runs.pending
        yield (*labels, "processing"), runs.processing


def backlogs(figures: Figures) -> Iterable[tuple[tuple[str, str], Backlog]]:
    """Yield what every source has between preparation and the vector store."""
    return figures.of_sources(figures.census.backlogs, Backlog())


def backlog_samples(figures: Figures) -> Samples:
    """Yield how many documents of every source wait, by what they wait for."""
    for labels, backlog in backlogs(figures):
        yield (*labels, "embed"), backlog.documents - backlog.embedded
        yield (*labels, "write"), backlog.embedded


def ended_runs(figures: Figures) -> Iterable[tuple[tuple[str, str], RunTotals]]:
    """Yield how every source's runs ended."""
    # From 0 on: Prometheus does not count the first of what was not there before.
    return figures.of_sources(figures.vitals.runs, RunTotals())


def run_samples(figures: Figures) -> Samples:
    """Yield how many of every source's runs ended, by how."""
    for labels, totals in ended_runs(figures):
        yield (*labels, "complete"), totals.complete
        yield (*labels, "failed"), totals.failed


def samples_of_runs(value: Callable[[Counts], Mapping[str, int]]) -> Callable[[Figures], Samples]:
    """Return what yields, for every source, each of these sums of its runs' counts, by the last label."""

    def samples(figures: Figures) -> Samples:
        for labels, totals in ended_runs(figures):
            yield from (((*labels, name), number) for name, number in value(totals.counts).items())

    return samples


def lag_samples(figures: Figures) -> Samples:
    """Yield how long changes took to become searchable, by quantile."""
    for labels, lag in figures.of_sources({lag.source_id: lag for lag in figures.lags}):
        yield (*labels, "0.5"), lag.p50_s
        yield (*labels, "0.95"), lag.p95_s


def samples_of_standings(value: Callable[[Standing], float]) -> Callable[[Figures], Samples]:
    """Return what yields a value of how every source stands."""
    return lambda figures: ((labels, value(one)) for labels, one in figures.of_sources(figures.standings))


def samples_of_webhooks(value: Callable[[WebhookState], float]) -> Callable[[Figures], Samples]:
    """Return what yields a value of every webhook."""
    return lambda figures: (((one.wants.webhook,), value(one)) for one in figures.webhooks)
