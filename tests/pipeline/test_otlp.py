"""Traces arrive at a real receiver: one a document, whatever dies in between, and a receiver that is away is nobody's trouble."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from syncd.errors import PermanentError
from syncd.model import DocumentState
from syncd.pipeline import otlp
from syncd.pipeline.otlp import OtlpTracer
from syncd.pipeline.tracing import UNTRACED
from tests.models import in_its_own_task
from tests.pipeline.parts import running, write
from tests.pipeline.test_embedding_stage import gated, prepared, syncing
from tests.serving import serve

FILES = {
    "lamp.md": "# Lamps\n\nThe keeper lights the lamp at dusk.\n",
    "fox.md": "# Foxes\n\nFoxes run at night.\n",
    "blank.md": " \n",
}
STAGES = {"fetch", "prepare", "commit", "embed", "write"}


class Receiver:
    """Takes spans as OTLP over HTTP has them, once it is `open`."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()
        self.bodies: list[bytes] = []

    async def handle(self, request: web.Request) -> web.Response:
        assert (request.path, request.content_type) == ("/v1/traces", "application/x-protobuf")
        self.open.wait(30)
        self.bodies.append(await request.read())
        return web.Response(body=b"", content_type="application/x-protobuf")

    def spans(self):
        requests = [ExportTraceServiceRequest.FromString(body) for body in self.bodies]
        return [span for one in requests for r in one.resource_spans for s in r.scope_spans for span in s.spans]


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def endpoint(receiver) -> Iterator[str]:
    with serve(receiver.handle) as address:
        yield address


def attributes(span) -> dict[str, str | int]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}


def by_key(spans):
    found = {}
    for span in spans:
        found.setdefault(attributes(span)["syncd.key"], {}).setdefault(span.name, []).append(span)
    return found


async def test_a_document_has_one_trace_though_the_daemon_dies_between_its_stages(
    tmp_path, vector_server, folder, target, receiver, endpoint
):
    (folder / "blank.md").unlink()  # it would pass all of its stages at a moment of its own
    before = OtlpTracer(endpoint)
    async with in_its_own_task(running(tmp_path / "state", vector_server, tracer=before)) as parts:
        gated(parts)
        async with syncing(parts, folder, target):
            await prepared(parts, 2)
    await before.close()
    assert {span.name for span in receiver.spans()} == {"fetch", "prepare", "commit"}
    write(folder, {"blank.md": FILES["blank.md"]})
    after = OtlpTracer(f"{endpoint}/")
    async with in_its_own_task(running(tmp_path / "state", vector_server, tracer=after)) as parts:
        after.know(*await parts.store.sources.list(), *await parts.store.collections.all())
        await parts.sync(folder, target)
    await after.close()
    documents = by_key(receiver.spans())
    assert {key: set(stages) for key, stages in documents.items()} == {
        "lamp.md": {*STAGES, "document"},
        "fox.md": {*STAGES, "document"},
        "blank.md": {"fetch", "prepare", "document"},
    }
    for stages in documents.values():
        (whole,) = stages.pop("document")
        below = [span for spans in stages.values() for span in spans]
        assert all(len(spans) == 1 for spans in stages.values())
        assert {span.trace_id for span in below} == {whole.trace_id}
        assert {span.parent_span_id for span in below} == {whole.span_id}
        assert len({span.span_id for span in below}) == len(below)
        assert whole.parent_span_id == b""
        assert all(span.start_time_unix_nano <= span.end_time_unix_nano for span in [whole, *below])
    assert len({stages["fetch"][0].trace_id for stages in documents.values()}) == 3
    assert before.dropped == after.dropped == 0


async def test_spans_say_where_how_many_and_what_failed_and_nothing_that_a_document_says(
    tmp_path, vector_server, folder, target, receiver, endpoint
):
    tracer = OtlpTracer(endpoint)
    async with in_its_own_task(running(tmp_path / "state", vector_server, tracer=tracer)) as parts:
        refuse = parts.embedder.embed

        async def embed(texts, role, task=None, *, urgent=False):
            if any("Foxes" in text for text in texts):
                raise PermanentError("the model refuses it")
            return await refuse(texts, role, task, urgent=urgent)

        parts.embedder.embed = embed
        await parts.sync(folder, target)
        source = await parts.source(folder)
    await tracer.close()
    documents = by_key(receiver.spans())
    (whole,) = documents["lamp.md"]["document"]
    assert attributes(whole) == {
        "syncd.database": "default_database",
        "syncd.collection": target.collection,
        "syncd.source.type": "folder",
        "syncd.source.name": "folder",
        "syncd.source.id": source.id,
        "syncd.key": "lamp.md",
        "syncd.outcome": "indexed",
        "syncd.chunks": 1,
    }
    said = {stage: attributes(*spans) for stage, spans in documents["lamp.md"].items()}
    assert said["fetch"]["syncd.size_bytes"] == len(FILES["lamp.md"])
    assert (said["prepare"]["syncd.chunks"], said["commit"]["syncd.missing"]) == (1, 1)
    assert said["embed"]["syncd.tokens"] > 0
    assert said["write"]["syncd.written"] == 1
    (blank,) = documents["blank.md"]["document"]
    assert attributes(blank)["syncd.outcome"] == "skipped"
    assert attributes(blank)["syncd.reason"] == "it contains no text"
    (fox,) = documents["fox.md"]["document"]
    assert attributes(fox)["syncd.outcome"] == "failed"
    assert (fox.status.code, fox.status.message) == (Status.STATUS_CODE_ERROR, "the model refuses it")
    assert not any(word in body for body in receiver.bodies for word in (b"keeper", b"Foxes"))


@contextmanager
def nobody(is_listening: bool) -> Iterator[str]:
    """An address where nobody answers: connections are refused, or taken and left at that."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        if is_listening:
            taken.listen()
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.mark.parametrize("is_listening", [False, True])
async def test_a_receiver_that_is_away_changes_nothing_but_a_count(
    tmp_path, vector_server, folder, target, monkeypatch, is_listening
):
    monkeypatch.setattr(otlp, "ANSWER_S", 0.1)
    with nobody(is_listening) as address:
        tracer = OtlpTracer(address)
        async with in_its_own_task(running(tmp_path / "state", vector_server, tracer=tracer)) as parts:
            run = await parts.sync(folder, target)
        await tracer.close()
    assert (run.counts.indexed, run.counts.skipped, run.counts.failed) == (2, 1, 0)
    assert tracer.dropped == 2 * (len(STAGES) + 1) + 3


async def test_what_no_receiver_can_read_costs_no_other_span(receiver, endpoint):
    tracer = OtlpTracer(endpoint)
    for number, reason in enumerate(("it is named \udcff.md", "it contains no text")):
        trace = tracer.of((1, "source", f"{number}.md"), "1", "made")
        for state in (DocumentState.SKIPPED, DocumentState.FAILED):
            trace.begin()
            trace.end(state, reason, {})
    await tracer.close()
    assert len(receiver.spans()) == 4
    assert {span.status.message for span in receiver.spans()} == {"", "it is named ?.md", "it contains no text"}


async def test_what_waits_is_bounded(monkeypatch, receiver, endpoint):
    monkeypatch.setattr(otlp, "WAITING", 512)
    receiver.open.clear()
    tracer = OtlpTracer(endpoint)
    for number in range(600):
        tracer.of((1, "source", f"{number}.md"), "1", "made").spent("embed", 0.0, {})
    assert tracer.dropped == 88
    receiver.open.set()
    await tracer.close()
    assert (len(receiver.spans()), tracer.dropped) == (512, 88)


async def test_of_a_share_whole_documents_are_sampled(receiver, endpoint):
    one, other = OtlpTracer(endpoint, 0.5), OtlpTracer(endpoint, 0.5)
    traces = [[t.of((1, "source", f"{n}.md"), "1", "made") for n in range(200)] for t in (one, other)]
    sampled = [[trace is not UNTRACED for trace in each] for each in traces]
    assert sampled[0] == sampled[1]
    assert 60 < sum(sampled[0]) < 140
    for trace in traces[0]:
        trace.begin()
        trace.end(DocumentState.INDEXED, "", {})
        trace.end(DocumentState.INDEXED, "", {})
    await one.close()
    await other.close()
    assert len(receiver.spans()) == sum(sampled[0])
