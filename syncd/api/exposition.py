"""The Prometheus text format. Import it where it is first needed: most daemons are never scraped."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from syncd.api.metric_table import DATABASE_LABEL, METRICS, Figures, Metric

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
"""Of the version that whatever scrapes can read (https://prometheus.io/docs/instrumenting/exposition_formats/)."""

Family = CounterMetricFamily | GaugeMetricFamily


class _Scrape(Collector):
    def __init__(self, figures: Figures, databases: frozenset[str] | None) -> None:
        self._figures = figures
        self._databases = databases

    def collect(self) -> Iterator[Family]:
        for metric in METRICS:
            family = _family(metric)
            # Two sources may be called the same, one of them by its id; a series that comes twice spoils the whole scrape.
            for labels, value in dict(metric.samples(self._figures)).items():
                if self._covers(metric, labels):
                    family.add_metric(labels, float(value))
            yield family

    def _covers(self, metric: Metric, labels: tuple[str, ...]) -> bool:
        is_everybodys = self._databases is None or metric.labels[:1] != (DATABASE_LABEL,)
        return is_everybodys or labels[0] in (self._databases or ())


def exposition(figures: Figures, databases: frozenset[str] | None) -> bytes:
    """Return the figures as text, without what belongs to other databases than these; None: all."""
    return generate_latest(_Scrape(figures, databases))


def _family(metric: Metric) -> Family:
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    return kind(metric.name, metric.meaning, labels=metric.labels)
