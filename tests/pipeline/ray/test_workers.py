"""Embedding and preparing on a real Ray cluster: by workers that make what this machine does, and by nobody else; through deaths
of any part.
"""

import io
import platform
import random
import re
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import anyio
import numpy as np
import pytest

from syncd.chroma.server import free_port
from syncd.errors import PermanentError, RetryableError
from syncd.model import Chunking, Warnings
from syncd.pipeline.embed.catalog import Catalog, EmbeddingModel, ModelFile
from syncd.pipeline.embed.engine import Cluster, EngineOptions, ModelRequest
from syncd.pipeline.embed.front import running
from syncd.pipeline.embed.local import LocalEmbedder, prepare
from syncd.pipeline.parse.task import Ocr
from syncd.pipeline.parse.text import WHOLE_BYTES
from syncd.pipeline.prepare.preparer import DocumentPreparer
from syncd.pipeline.prepare.process import PreparerSettings
from syncd.pipeline.ray import embedding, preparing, workers
from syncd.pipeline.ray.embedder import RayEmbedder
from syncd.pipeline.ray.order import Order, PreparingOrder, runtime_versions
from syncd.pipeline.ray.preparer import RayPreparer
from syncd.pipeline.ray.preparing import RayPreparers
from syncd.pipeline.ray.preparing_versions import preparing_versions
from syncd.pipeline.ray.workers import RayWorkers
from syncd.runtime.frames import Frame
from syncd.runtime.mailbox import Mailbox
from syncd.runtime.retry import Backoff
from tests.app.test_daemon import configuration, request, syncd, until
from tests.daemon import MINILM, Daemon, held
from tests.pipeline.parse.documents import docx, paragraph, xlsx
from tests.ray_cluster import IMPATIENCE, address_of, kill_worker, living, nodes_of, ray_running

MODEL = EmbeddingModel("own/model", (ModelFile("own", "own.gguf"),), "mean", 384, 256, document_prompt="passage: ")
FAULTY = "tests.pipeline.embed.faulty_worker"
TEXTS = [f"Keeper {number} lights the lamp in the tower at dusk. " * (number % 5 + 1) for number in range(40)]
NOTES = 50


@contextmanager
def small_cluster():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
        with ray_running() as cluster:
            cluster.add_node(1)
            yield cluster


@pytest.fixture(scope="module")
def cluster():
    """Of one node; the last test to use it kills its head."""
    with small_cluster() as cluster:
        yield cluster


@pytest.fixture
def own_cluster():
    with small_cluster() as cluster:
        yield cluster


async def reached(condition):
    with anyio.fail_after(120):
        while not condition():  # noqa: ASYNC110 - it comes from other processes
            await anyio.sleep(0.05)


@pytest.fixture
def files(tmp_path, minilm_folder):
    """The model's file here, and another one on the workers."""
    mine, theirs = tmp_path / "mine" / "own.gguf", tmp_path / "theirs" / "own.gguf"
    weights = next(minilm_folder.glob("*F16.gguf")).read_bytes()
    for path, content in ((mine, weights), (theirs, weights + b"\0")):
        path.parent.mkdir()
        path.write_bytes(content)
    return mine, theirs


@pytest.mark.parametrize("has_path", [False, True])
async def test_workers_with_another_runtime_or_file_are_refused_and_those_with_the_same_compute_the_same(
    cluster, files, has_path, monkeypatch
):
    mine, theirs = files
    options = EngineOptions(worker=FAULTY, cluster=Cluster(cluster.address, 1, models_dir=theirs.parent))
    local = LocalEmbedder(await prepare(MODEL, mine.parent, replace(options, path=mine if has_path else None)))
    only_here = mine.parent.parent / "only here" / mine.name
    request = ModelRequest(MODEL, mine.parent, replace(options, path=only_here if has_path else None))
    embedder = RayEmbedder(local, request, options.cluster, Backoff(cap_s=0.1))
    other = runtime_versions() | {"syncd": "0.0.1"}
    monkeypatch.setattr(embedding, "runtime_versions", lambda: other)
    async with running(embedder):
        await reached(lambda: "it has syncd" in embedder.shortfall)
        assert "this daemon syncd 0.0.1; install the same there; this machine computes alone" in embedder.shortfall
        monkeypatch.undo()
        await reached(lambda: f"its {theirs} is another file of the model" in embedder.shortfall)
        assert not embedder.elsewhere
        alone = await embedder.embed(TEXTS, "document")
        theirs.write_bytes(mine.read_bytes())
        await reached(lambda: embedder.elsewhere)
        assert embedder.shortfall == embedder.trouble == ""
        monkeypatch.delattr(LocalEmbedder, "embed")
        by_worker = await embedder.embed(TEXTS, "document")
        assert np.array_equal(by_worker.vectors, alone.vectors)
        assert by_worker.tokens == alone.tokens
        with pytest.raises(PermanentError, match=r"text 3: .* not finite"):
            await embedder.embed([*TEXTS[:2], "zero"], "document")


async def test_workers_have_a_model_at_its_own_path_beside_another_one_of_its_file_name(cluster, files):
    mine, theirs = files
    there = Cluster(cluster.address, 1, models_dir=theirs.parent)
    options = EngineOptions(path=mine, worker=FAULTY, cluster=there)
    local = LocalEmbedder(await prepare(MODEL, mine.parent, options))
    embedder = RayEmbedder(local, ModelRequest(MODEL, mine.parent, options), there)
    async with running(embedder):
        await reached(lambda: embedder.elsewhere or embedder.shortfall.count("another file"))
        assert embedder.elsewhere, embedder.shortfall


class Nodes:
    """Stands in for the driver of a cluster with these nodes: each has the worker of its place, and a wrong one refuses it."""

    alive = True

    def __init__(self, *names):
        self.names = list(names)

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        pass

    async def call(self, header, payload=b"", *, timeout_s):
        match header:
            case {"op": "look"}:
                return Frame({"room": len(self.names), "nodes": self.names})
            case {"op": "start", "worker": number} if number < len(self.names):
                node = self.names[number]
                return Frame({"node": node, "pid": 7, **({"refused": "another syncd"} if "wrong" in node else {})})
            case {"op": "start" | "watch"}:
                await anyio.sleep_forever()
        return Frame()


@dataclass
class Echoed:
    """Texts that workers give back with their name."""

    texts: Mailbox
    address: str = "auto"
    name = "echoed"

    @property
    def order(self):
        return Order(Cluster(self.address), PreparingOrder(PreparerSettings()))

    @property
    def mailboxes(self):
        return (self.texts,)

    def objection(self, facts, payload):
        return ""

    async def serve(self, worker):
        while True:
            for each in await self.texts.take_many(1):
                each.reply.settle((each.message, worker.name))


@asynccontextmanager
async def employed(nodes, monkeypatch):
    """Yield the workers of these nodes, and where their texts are put in."""
    monkeypatch.setattr(workers, "_LOOK_S", 0.01)
    texts = Mailbox("texts", 10)
    found = RayWorkers(Echoed(texts), Backoff(cap_s=0.01))
    monkeypatch.setattr(found, "_driver", lambda: nodes)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(found.run)
        yield found, texts
        tasks.cancel_scope.cancel()


async def test_a_refusal_is_told_until_its_node_has_left(monkeypatch):
    nodes = Nodes("right", "wrong")
    async with employed(nodes, monkeypatch) as (found, _):
        await reached(lambda: found.trouble == "a Ray worker on wrong, process 7 is refused: another syncd")
        nodes.names.append("wrong too")
        nodes.names.remove("wrong")
        await reached(lambda: found.trouble == "a Ray worker on wrong too, process 7 is refused: another syncd")
        nodes.names.remove("wrong too")
        await reached(lambda: found.trouble == "")
        assert found.names == {0: "right, process 7"}


async def test_texts_go_back_while_there_is_no_worker_and_none_does_once_one_has_joined(monkeypatch):
    nodes = Nodes()
    async with employed(nodes, monkeypatch) as (found, texts):
        with pytest.raises(RetryableError, match="no Ray worker is left"):
            await texts.ask("first")
        nodes.names.append("right")
        await reached(lambda: found.names)
        await anyio.wait_all_tasks_blocked()
        assert await texts.ask("second") == ("second", "right, process 7")


async def test_the_driver_calls_nodes_as_their_workers_do(cluster):
    async with RayWorkers(Echoed(Mailbox("texts", 10), cluster.address))._driver() as driver:
        found = await driver.call({"op": "look"}, timeout_s=60)
    assert found.header["room"] == 1
    assert set(found.header["nodes"]) == {platform.node()}


SETTINGS = PreparerSettings(step_limit_s=30, ocr=Ocr(enabled=False))
DEADLY = "tests.pipeline.prepare.faulty_worker"
KEY = "-----BEGIN PRIVATE KEY-----\n" + "bTNhc2Vk" * 40 + "\n-----END PRIVATE KEY-----\n"
LONG = (b"The keeper lights the lamp at dusk, and trims the wick. " * 2 + b"\n") * (WHOLE_BYTES // 100)
"""More than is read at a time, so that it comes in batches."""
DOCUMENTS = {
    "note.md": b"# One\n\nwords\n\n# Two\n\nmore words\n",
    "empty.txt": b"",
    "code.py": b"def f():\n    pass\n" * 200,
    "page.html": b"<html><body><h1>Lamp</h1><p>It is lit at dusk.</p></body></html>",
    "report.docx": docx(paragraph("The keeper", "H1") + paragraph("lights the lamp at dusk.")),
    "table.xlsx": xlsx({"Lamps": {"A1": "Lamp", "B1": "Oil", "A2": "North", "B2": 3.5}}),
    "damaged.docx": b"PK\3\4 no archive",
    "key.md": f"# Secret\n\n{KEY}".encode(),
    "crash.py": b"def f():\n    pass  # die parsing\n" * 20,
    "deadly.md": b"die always",
    "killed.md": b"killed always",
}
HARMLESS = ("note.md", "code.py", "page.html", "report.docx", "table.xlsx")


@asynccontextmanager
async def preparers(address, secrets="mask", count=1):
    """Yield a preparer that has documents prepared by workers of a cluster, and the one of this machine."""
    async with DocumentPreparer(SETTINGS, module=DEADLY) as processes, anyio.create_task_group() as tasks:
        pool = RayPreparers(Cluster(address, count, cpus=0.0), SETTINGS, DEADLY, Backoff(cap_s=0.1))
        tasks.start_soon(pool.run)
        here = processes.treating(secrets)
        yield RayPreparer(here, pool, secrets, only_text=False, least_text_bytes=0), here
        tasks.cancel_scope.cancel()


async def outcome(preparer, name, data, after_a_batch=lambda: None):
    """What becomes of a document: its chunks and warnings, or why it has none."""
    warnings, chunks = Warnings(), []
    try:
        async with aclosing(preparer.prepare(io.BytesIO(data), name, None, name, Chunking(), warnings)) as batches:
            async for batch in batches:
                chunks.extend(batch)
                after_a_batch()
    except PermanentError as error:
        return type(error), re.sub(r"(text|parser)-\d+", r"\1", str(error))
    return chunks, warnings.all()


async def test_workers_with_other_code_are_refused_and_those_with_the_same_make_of_documents_what_this_machine_does(
    cluster, monkeypatch
):
    other = preparing_versions(SETTINGS) | {"syncd": "0.0.1"}
    with monkeypatch.context() as patched:
        patched.setattr(preparing, "preparing_versions", lambda _: other)
        async with preparers(cluster.address) as (elsewhere, _):
            await reached(lambda: "this daemon syncd 0.0.1" in elsewhere.workers.shortfall)
            chunks, _ = await outcome(elsewhere, "note.md", DOCUMENTS["note.md"])
            assert [chunk.text for chunk in chunks] == [DOCUMENTS["note.md"].decode()]
            assert not elsewhere.workers.elsewhere
    async with preparers(cluster.address, "skip") as (elsewhere, here):
        expected = {name: await outcome(here, name, data) for name, data in DOCUMENTS.items()}
        await reached(lambda: elsewhere.workers.elsewhere)
        worker, found = elsewhere.workers.elsewhere, {}
        monkeypatch.delattr(DocumentPreparer, "prepare")

        async def make(name):
            found[name] = await outcome(elsewhere, name, DOCUMENTS[name])

        async with anyio.create_task_group() as tasks:
            for name in DOCUMENTS:
                tasks.start_soon(make, name)
        for name, made in expected.items():
            assert found[name] == made, name
        assert (elsewhere.workers.elsewhere, elsewhere.workers.shortfall) == (worker, "")


async def test_a_document_whose_worker_dies_in_its_middle_is_gone_on_with_here_and_another_worker_comes(cluster):
    async with preparers(cluster.address) as (elsewhere, here):
        expected = await outcome(here, "long.txt", LONG)
        await reached(lambda: elsewhere.workers.elsewhere)
        dead = []

        def kill():
            if not dead:
                dead.extend(elsewhere.workers.elsewhere)
                kill_worker(dead[0])

        assert await outcome(elsewhere, "long.txt", LONG, kill) == expected
        await reached(lambda: elsewhere.workers.elsewhere and elsewhere.workers.elsewhere != dead)


async def test_each_node_has_one_worker_also_where_it_joins_later_or_in_place_of_another(own_cluster):
    first, *_ = own_cluster.nodes
    async with preparers(own_cluster.address, count=0) as (elsewhere, _):

        async def spread():
            await reached(lambda: len(living(elsewhere.workers.elsewhere)) == 2)
            assert len(nodes_of(elsewhere.workers.elsewhere)) == 2

        await reached(lambda: len(elsewhere.workers.elsewhere) == 1)
        own_cluster.add_node(1)
        await spread()
        own_cluster.kill_node(first)
        await reached(lambda: len(elsewhere.workers.elsewhere) == 1)
        own_cluster.add_node(1)
        await spread()


async def test_workers_come_with_nodes_and_go_with_the_head_and_this_machine_goes_on(cluster, monkeypatch):
    for name, value in IMPATIENCE.items():
        monkeypatch.setenv(name, value)
    async with preparers(cluster.address, count=0) as (elsewhere, here):
        expected = {name: await outcome(here, name, DOCUMENTS[name]) for name in HARMLESS}

        async def make(name):
            assert await outcome(elsewhere, name, DOCUMENTS[name]) == expected[name], name

        await reached(lambda: len(elsewhere.workers.elsewhere) == 1)
        cluster.add_node(1)
        await reached(lambda: len(elsewhere.workers.elsewhere) == 2)
        cluster.kill_head()
        async with anyio.create_task_group() as tasks:
            for name in HARMLESS:
                tasks.start_soon(make, name)
        await reached(lambda: not elsewhere.workers.elsewhere)
        assert "this machine prepares alone" in elsewhere.workers.shortfall
        await make("report.docx")


def put(folder: Path, number: int) -> None:
    """Write a document: a note, a page, code or a Word file."""
    text = f"The keeper of lamp {number} climbs the tower, trims the wick, and waits. " * 6
    name, data = [
        ("md", f"# Note {number}\n\n{text}".encode()),
        ("html", f"<html><body><h1>Page {number}</h1><p>{text}</p></body></html>".encode()),
        ("py", f'def lamp_{number}():\n    """{text}"""\n'.encode()),
        ("docx", docx(paragraph(f"Report {number}", "H1") + paragraph(text))),
    ][number % 4]
    (folder / f"{number}.{name}").write_bytes(data)


def made(folder: Path, models: Path, notes: Path, more: str) -> Daemon:
    source = f'[[sources]]\nname = "notes"\ntype = "folder"\npath = "{notes}"\ncollection = "notes"\n'
    return Daemon(folder, configuration(models, more + source), environment=IMPATIENCE).start()


def all_held(daemon: Daemon, count: int = NOTES):
    until(lambda: indexed(daemon) == count and daemon.unsettled() == 0)
    chroma = daemon.announced()["chroma"]
    return held(chroma["host"], chroma["port"], "notes")


def indexed(daemon: Daemon) -> int:
    return daemon.rows("SELECT count(*) FROM documents WHERE state = 'indexed'")[0][0]


def test_a_daemon_whose_cluster_is_away_does_the_work_itself_and_says_so(minilm_folder, tmp_path):
    notes = tmp_path / "notes"
    notes.mkdir()
    for number in range(4):
        put(notes, number)
    address = f"127.0.0.1:{free_port()}"
    daemon = made(tmp_path / "daemon", minilm_folder, notes, f'[workers]\nray = "{address}"\n')
    try:
        until(lambda: indexed(daemon) == 4)
        health = until(lambda: len((found := request(daemon, "GET", "/health")).get("degraded", ())) == 2 and found)
        assert health["status"] == "ok"
        of_model, of_documents = health["degraded"]
        assert of_model.startswith(f"model {MINILM}: ")
        assert of_model.endswith("this machine computes alone")
        assert of_documents.startswith("preparing: ")
        assert of_documents.endswith("this machine prepares alone")
        assert address in of_model
        assert address in of_documents
        assert "degraded: preparing: " in syncd(daemon, "status").stdout
    finally:
        assert daemon.stop() == 0


@pytest.mark.soak
def test_a_daemon_whose_cluster_grows_and_loses_workers_and_its_head_holds_what_an_undisturbed_one_does(
    own_cluster, minilm_folder, tmp_path
):
    notes = tmp_path / "notes"
    notes.mkdir()
    put(notes, 0)
    disturbed = made(tmp_path / "disturbed", minilm_folder, notes, f'[workers]\nray = "{own_cluster.address}"\n')
    undisturbed = None
    try:

        def workers_now() -> list[str]:
            return request(disturbed, "GET", "/api/v1/status")["models_elsewhere"].get(MINILM, [])

        def preparers_now() -> list[str]:
            return request(disturbed, "GET", "/api/v1/status")["preparers_elsewhere"]

        until(lambda: len(workers_now()) == 1)
        own_cluster.add_node(1)
        names = until(lambda: len(found := workers_now()) == 2 and found)
        assert f"{MINILM} is computed by: {names[0]}; {names[1]}" in syncd(disturbed, "status").stdout
        readers = until(lambda: len(found := preparers_now()) == 2 and found)
        assert f"documents are prepared by: {readers[0]}; {readers[1]}" in syncd(disturbed, "status").stdout
        assert request(disturbed, "GET", "/health") == {"status": "ok"}
        for number in range(1, NOTES):
            put(notes, number)
        assert syncd(disturbed, "sync", "notes", "--no-wait").returncode == 0
        until(lambda: indexed(disturbed) > NOTES // 4)
        kill_worker(names[0])
        kill_worker(readers[0])
        until(lambda: names[0] not in workers_now() and readers[0] not in preparers_now())
        until(lambda: indexed(disturbed) > NOTES // 2)
        own_cluster.kill_head()
        found = all_held(disturbed)
        until(lambda: "this machine computes alone" in syncd(disturbed, "status").stdout)
        health = request(disturbed, "GET", "/health")
        assert health["status"] == "ok"
        assert "this machine computes alone" in health["degraded"][0]
        assert "this machine prepares alone" in health["degraded"][1]
        undisturbed = made(tmp_path / "undisturbed", minilm_folder, notes, "")
        found.assert_equals(all_held(undisturbed))
    finally:
        assert [daemon.stop() for daemon in (disturbed, undisturbed) if daemon] == [0] * (1 + bool(undisturbed))


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(19, 24))
async def test_hundreds_of_deaths_of_workers_and_heads_lose_and_mix_nothing(seed, minilm_folder, monkeypatch):
    """Of 20 heads at one address; and of each, five times, a worker that embeds and one that prepares; all in the middle of work."""
    for name, value in IMPATIENCE.items():
        monkeypatch.setenv(name, value)
    port, chance = free_port(), random.Random(seed)
    model, options = Catalog().find(MINILM), EngineOptions(cluster=Cluster(address_of(port)))
    local = LocalEmbedder(await prepare(model, minilm_folder, options))
    request = ModelRequest(model, minilm_folder, options)
    embedder = RayEmbedder(local, request, options.cluster, Backoff(cap_s=0.5))
    documents = {"long.txt": LONG, **{name: DOCUMENTS[name] for name in HARMLESS}}
    async with running(embedder), preparers(options.cluster.address, count=0) as (elsewhere, here):
        vectors = (await embedder.local.embed(TEXTS, "document")).vectors
        expected = {name: await outcome(here, name, data) for name, data in documents.items()}

        async def embed():
            assert np.array_equal((await embedder.embed(TEXTS, "document")).vectors, vectors)

        async def make(name):
            assert await outcome(elsewhere, name, documents[name]) == expected[name], name

        async def work_through(death):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(embed)
                for name in documents:
                    tasks.start_soon(make, name)
                await anyio.sleep(chance.random())
                death()

        def living_workers():
            return [living(of.elsewhere) for of in (embedder, elsewhere.workers)]

        def kill_workers():
            for names in living_workers():
                kill_worker(names[0])

        for number in range(20):
            with ray_running(port) as cluster:
                for _ in range(2):
                    cluster.add_node(1)
                for _ in range(5):
                    await reached(lambda: all(living_workers()))
                    await work_through(kill_workers)
                await reached(lambda: all(living_workers()))
                await work_through(cluster.kill_head)
                await reached(lambda: not embedder.elsewhere and not elsewhere.workers.elsewhere)
            print(f"{number + 1} heads and {(number + 1) * 10} workers have died")
