"""Sends the traces of documents to a receiver that speaks OTLP over HTTP. Needs the extra `otel`; imported only where it is on."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import anyio
import structlog
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import NonRecordingSpan, SpanContext, Status, StatusCode, TraceFlags, set_span_in_context

from syncd import __version__
from syncd.errors import Skipped
from syncd.model import DocumentState, SourceRecord
from syncd.pipeline.tracing import UNTRACED, Notes, StageName, Trace, TraceId, trace_id_of
from syncd.redaction import redacted
from syncd.runtime.headers import storable
from syncd.store.collections import CollectionRecord

log = structlog.get_logger()

WAITING = 8192
"""Spans that wait to be sent, some megabytes; further ones are dropped and counted."""
SEND_EVERY_S = 1.0
ANSWER_S = 5.0
"""How long the receiver has to take a batch, attempts after errors included; then the batch is dropped and counted."""
CLOSE_S = 2.0
BEGUN = 100_000
"""Documents whose beginning is remembered. A document beyond them is shown as if it had begun when it was prepared."""
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)


class CountingExporter(SpanExporter):
    """Counts the spans that `exporter` is done with, and those of them that the receiver did not take; logs when that changes."""

    def __init__(self, exporter: SpanExporter) -> None:
        self.done = 0
        self.lost = 0
        self._exporter = exporter
        self._is_away = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send a batch; waits, in the sender's own thread, until it is taken or given up."""
        result = SpanExportResult.FAILURE
        try:
            result = self._exporter.export(spans)
        finally:
            self.done += len(spans)
            is_away = result is not SpanExportResult.SUCCESS
            self.lost += len(spans) if is_away else 0
            if is_away != self._is_away:
                self._is_away = is_away
                log.warning("tracing.away", spans=len(spans)) if is_away else log.info("tracing.available")
        return result

    def shutdown(self) -> None:
        """End an attempt under way."""
        self._exporter.shutdown()


class OtlpTracer:
    """Implements `syncd.pipeline.tracing.Tracer`. A thread of the library sends; no caller ever waits for the receiver.

    `endpoint` is the receiver's base URL, without `/v1/traces`. Of all documents, `sampled_share` are traced: which, depends on the
    trace's id alone, so that every stage of a document decides alike. Headers, such as a key, are taken from
    OTEL_EXPORTER_OTLP_HEADERS, and further attributes of the daemon from OTEL_RESOURCE_ATTRIBUTES, as in all programs that use
    OpenTelemetry.
    """

    def __init__(self, endpoint: str, sampled_share: float = 1.0) -> None:
        # What it would say again with every batch, `tracing.away` says once.
        logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)
        sender = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=ANSWER_S)
        self._exporter = CountingExporter(sender)
        self._processor = BatchSpanProcessor(self._exporter, WAITING, SEND_EVERY_S * 1000)
        self._ids = GivenIds()
        resource = Resource.create({"service.name": "syncd", "service.version": __version__})
        self._provider = TracerProvider(ALWAYS_ON, resource, shutdown_on_exit=False, id_generator=self._ids)
        self._provider.add_span_processor(self._processor)
        self._spans = self._provider.get_tracer("syncd", __version__)
        self._sampled_below = round(sampled_share * 2**64)
        self._names: dict[int | str, Notes] = {}
        self._begun: dict[int, int] = {}
        self._sent = 0
        self._refused = 0

    @property
    def dropped(self) -> int:
        """How many spans found no room, or were not taken by the receiver."""
        return self._refused + self._exporter.lost

    def know(self, *records: SourceRecord | CollectionRecord) -> None:
        """Learn what sources and collections are called now."""
        for record in records:
            if isinstance(record, CollectionRecord):
                target = record.target
                self._names[record.id] = {"syncd.database": target.database, "syncd.collection": target.collection}
            else:
                names = {"syncd.source.type": record.type, "syncd.source.name": record.name or record.id}
                self._names[record.id] = {**names}

    def of(self, owner: tuple[int, str, str], version: str, fingerprint: str) -> Trace:
        """Return the trace of a version, or nobody's if it is not among the sampled ones."""
        ids = trace_id_of(*owner, version, fingerprint)
        # As OpenTelemetry's own sampler by ratio: the lower half of the id decides.
        if ids.trace & (2**64 - 1) >= self._sampled_below:
            return UNTRACED
        collection_id, source_id, key = owner
        about = self._names.get(collection_id, {}) | self._names.get(source_id, {})
        return OtlpTrace(self, ids, {**about, "syncd.source.id": source_id, "syncd.key": key})

    def begin(self, trace: int) -> None:
        """Remember when a document began, unless that is known."""
        if len(self._begun) >= BEGUN and trace not in self._begun:
            del self._begun[next(iter(self._begun))]
        self._begun.setdefault(trace, time.time_ns())

    def begun_ns(self, trace: int) -> int | None:
        """Return when a document began and forget it; None if it did not begin here, or has ended."""
        return self._begun.pop(trace, None)

    def send(self, span: Finished, ids: TraceId, *, is_document: bool = False) -> None:
        """Have a span sent, or drop it where too many wait."""
        if self._sent - self._exporter.done >= WAITING:
            self._refused += 1
            return
        self._sent += 1
        context = Context()
        if is_document:
            self._ids.next_span = ids
        else:
            above = SpanContext(ids.trace, ids.document_span, is_remote=True, trace_flags=_SAMPLED)
            context = set_span_in_context(NonRecordingSpan(above), context)
        made = self._spans.start_span(span.name, context, attributes=span.attributes, start_time=span.since_ns)
        if span.error:
            made.set_status(Status(StatusCode.ERROR, span.error))
        made.end()

    async def close(self) -> None:
        """Send what is left, for two seconds at most; the rest is lost with the process."""
        # Ended by the process's end if it takes longer: a worker thread of anyio's would be waited for.
        stopping = threading.Thread(target=self._processor.shutdown, daemon=True)
        stopping.start()
        await anyio.to_thread.run_sync(stopping.join, CLOSE_S)


class OtlpTrace:
    """Implements `syncd.pipeline.tracing.Trace`; `about` is what every span says of the document."""

    def __init__(self, tracer: OtlpTracer, ids: TraceId, about: Notes) -> None:
        self._tracer = tracer
        self._ids = ids
        self._about = about

    def begin(self) -> None:
        """Let the document's span begin now, unless it has begun."""
        self._tracer.begin(self._ids.trace)

    def stage(self, name: StageName) -> AbstractContextManager[Notes]:
        """Return a context that is the stage's span."""
        return self._stage(name)

    @contextmanager
    def _stage(self, name: StageName) -> Generator[Notes]:
        notes, since_ns = Notes(), time.time_ns()
        try:
            yield notes
        except Skipped as reason:
            self._send(name, since_ns, "skipped", notes | {"reason": redacted(str(reason))})
            raise
        except Exception as error:  # whatever it is: it goes on to whom it concerns, and the span tells of it
            self._send(name, since_ns, "failed", notes, str(error) or type(error).__name__)
            raise
        except BaseException:
            self._send(name, since_ns, "cancelled", notes)
            raise
        self._send(name, since_ns, "done", notes)

    def spent(self, name: StageName, since: float, notes: Notes) -> None:
        """Add a stage that lasted from `since` until now."""
        self._send(name, int(since * 1e9), "done", notes)

    def end(self, state: DocumentState, reason: str, notes: Notes, since: float | None = None) -> None:
        """End the document's span."""
        begun_ns = self._tracer.begun_ns(self._ids.trace)
        if begun_ns is None and since is not None:
            begun_ns = int(since * 1e9)
        if begun_ns is None:
            return
        is_error = state is DocumentState.FAILED
        notes = notes if is_error or not reason else notes | {"reason": redacted(reason)}
        self._send("document", begun_ns, state.value, notes, reason if is_error else "")

    def _send(self, name: str, since_ns: int, outcome: str, notes: Notes, error: str = "") -> None:
        # A lone surrogate in what a document was refused for would cost the whole batch.
        told = {f"syncd.{key}": storable(v) if isinstance(v, str) else v for key, v in notes.items()}
        attributes = self._about | {"syncd.outcome": outcome} | told
        finished = Finished(name, since_ns, attributes, storable(redacted(error)))
        self._tracer.send(finished, self._ids, is_document=name == "document")


@dataclass(frozen=True, slots=True)
class Finished:
    """A span that ends now."""

    name: str
    since_ns: int
    attributes: Notes
    error: str


class GivenIds(RandomIdGenerator):
    """Gives the next span that has none above it the ids that are set, and others a random one."""

    next_span: TraceId | None = None

    def generate_trace_id(self) -> int:
        """Return the trace's id; not asked for a span that has one above it."""
        return self.next_span.trace if self.next_span else super().generate_trace_id()

    def generate_span_id(self) -> int:
        """Return the span's id, for which the trace's has been asked before."""
        given, self.next_span = self.next_span, None
        return given.document_span if given else super().generate_span_id()
