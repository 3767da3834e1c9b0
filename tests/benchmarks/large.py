"""What grows with a collection and with the number of sources: `python -m tests.benchmarks.large [--chunks 10000 100000] [--sources 100 1000 10000]`.

Chunks are pieces of the Python sources installed here with random vectors (384 dimensions), put into the store and into a real Chroma; then a
daemon starts on that state folder. Sources are folders of one small file, declared in the configuration. Printed: the figures of each size, and
how many times those of the size before they are. CPU is the daemon's own process, not Chroma's or the model's.

A million chunks take most of an hour to fill: with `--folder FOLDER` they are kept there, and a call that was interrupted is gone on with by
the next.
"""

import argparse
import asyncio
import itertools
import json
import random
import statistics
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import anyio
import chromadb
import structlog

from syncd.chroma.client import Chroma
from syncd.chroma.connection import ChromaSettings
from syncd.chroma.server import ChromaServer
from syncd.index.changes import WRITE_SIZE
from syncd.model import Embedding, Rows
from syncd.pipeline.sparse.catalog import SparseModels
from syncd.pipeline.sparse.encoding import SparseEncoding
from syncd.runtime.supervisor import Supervisor
from syncd.sources.registry import TYPES
from syncd.store import Store
from tests.benchmarks.processes import Watched
from tests.benchmarks.search import MODEL, TARGET, documents_of, pieces, questions, stored
from tests.daemon import MINILM, Daemon

CONFIGURATION = f"""
[api]
port = 0
[embedding]
default_model = "{MINILM}"
threads = 1
"""
SOURCE = """
[[sources]]
name = "{name}"
type = "folder"
path = "{path}"
collection = "{collection}"
watch = true
"""
IDLE_S = 20.0
LIMIT_S = 3600.0


@dataclass
class Figures:
    """What was measured of one size, by name."""

    daemon: Daemon
    of: dict[str, float] = field(default_factory=dict)

    @property
    def watched(self) -> Watched:
        assert self.daemon.process is not None
        return Watched(self.daemon.process.pid)

    def add(self, what: str, value: float) -> None:
        self.of[what] = value
        print(f"  {what}: {value:,.1f}", flush=True)

    def timed(self, what: str, work: Callable[[int], object], times: int = 1) -> None:
        """Add p50 and p95 by the clock, in ms, and the daemon's CPU of one call."""
        spent, before = [], self.watched.cpu().own_s
        for turn in range(times):
            began = time.perf_counter()
            work(turn)
            spent.append((time.perf_counter() - began) * 1000)
        self.add(f"{what}, p50 ms", statistics.median(spent))
        if times > 10:
            self.add(f"{what}, p95 ms", statistics.quantiles(spent, n=20)[18])
        self.add(f"{what}, CPU ms", (self.watched.cpu().own_s - before) * 1000 / times)

    def ask(self, path: str, body: object = None) -> object:
        """Return what the API answers."""
        asked = urllib.request.Request(
            self.daemon.announced()["url"] + path,
            None if body is None else json.dumps(body).encode(),
            {"x-chroma-token": self.daemon.token(), "content-type": "application/json"},
        )
        with urllib.request.urlopen(asked, timeout=LIMIT_S) as answer:
            return json.load(answer)

    def start(self) -> None:
        began = time.perf_counter()
        self.daemon.start()
        self.add("start, s", time.perf_counter() - began)

    def idle(self) -> None:
        """Add what the daemon uses while nothing happens."""
        before = self.watched.cpu().own_s
        time.sleep(IDLE_S)
        self.add("idle, CPU ms a second", (self.watched.cpu().own_s - before) * 1000 / IDLE_S)
        self.add("memory, MiB", self.watched.memory_mib())


async def filled(state: Path, count: int) -> list[str]:
    """Put so many chunks into a state folder and its Chroma; return their texts."""
    random.seed(7)
    texts = list(itertools.islice(pieces(), count))
    server = ChromaServer(state / "chroma")
    store = await Store.open(state, TYPES)
    async with anyio.create_task_group() as group, Chroma(ChromaSettings(port=server.port)) as chroma:
        await group.start(Supervisor("benchmark", [server, chroma]).run)
        await chroma.available()
        await anyio.to_thread.run_sync(create_quickly_filled, server.port)
        await chroma.open_collection(TARGET)
        collection = await store.collections.open(TARGET, Embedding(model=MINILM))
        await write_left(store, chroma, collection.id)
        of_made = "SELECT count(*) FROM documents WHERE collection_id = ? AND source_id = 'source'"
        (made,) = await store.database.read(lambda c: c.execute(of_made, (collection.id,)).fetchone())
        await fill(store, chroma, collection.id, texts, made)
        group.cancel_scope.cancel()
    await store.close()
    return texts


async def write_left(store: Store, chroma: Chroma, collection_id: int) -> None:
    """Write what was stored and not written when the last call was interrupted."""
    left = await store.outbox.ids(collection_id)
    for start in range(0, len(left), WRITE_SIZE):
        await write(store, chroma, collection_id, left[start : start + WRITE_SIZE], may_be_there=True)


async def write(
    store: Store, chroma: Chroma, collection_id: int, ids: Sequence[str], *, may_be_there: bool = False
) -> None:
    waiting = await store.outbox.waiting(collection_id, ids)
    found = [entry.row for entry in waiting if entry.row]
    rows = Rows(
        [row.id for row in found],
        [row.metadata for row in found],
        [row.text for row in found],
        [row.vector for row in found],
    )
    await chroma.write(TARGET, rows.ids if may_be_there else (), rows, Rows([], []))
    await store.outbox.clear(collection_id, waiting)


async def fill(store: Store, chroma: Chroma, collection_id: int, texts: list[str], made: int) -> None:
    """Store documents with what words are searched in, while Chroma takes those before them. The first `made` are there."""
    encode = SparseEncoding(store, SparseModels()).with_sparse_vectors
    to_chroma, from_store = anyio.create_memory_object_stream[Sequence[str]](1)

    async def send() -> None:
        async for ids in from_store:
            await write(store, chroma, collection_id, ids)

    async with anyio.create_task_group() as group:
        group.start_soon(send)
        for documents in documents_of(collection_id, texts, made):
            changes = [replace(one, chunks=await encode(MODEL, one.chunks)) for one in documents]
            await to_chroma.send((await stored(store, changes)).ids)
        to_chroma.close()


def create_quickly_filled(port: int) -> None:
    """Create the collection with an index that is made in a third less time than by default, and is searched like any."""
    index = {"space": "cosine", "ef_construction": 20}
    chromadb.HttpClient(port=port, database=TARGET.database).get_or_create_collection(
        TARGET.collection, configuration={"hnsw": index}
    )


def measure_chunks(folder: Path, count: int) -> dict[str, float]:
    notes = folder / "notes"
    notes.mkdir(parents=True, exist_ok=True)
    (notes / "first.txt").write_text("the first note\n")
    declared = SOURCE.format(name="notes", path=notes, collection=TARGET.collection)
    figures = Figures(Daemon(folder, CONFIGURATION + declared))
    began = time.perf_counter()
    texts = asyncio.run(filled(figures.daemon.state, count))
    figures.add("filled, s", time.perf_counter() - began)
    of_collection = {"database_name": TARGET.database, "collection_name": TARGET.collection}

    def search(text: str, mode: str) -> list[dict]:
        return figures.ask("/api/v1/search", {**of_collection, "query": text, "mode": mode})["hits"]

    def changed_until_found(turn: int) -> None:
        word = f"quagga{turn}x{random.randrange(10**9)}"
        (notes / "changing.txt").write_text(f"a note of {word}\n")
        figures.daemon.wait_until(lambda: any(word in hit["text"] for hit in search(word, "sparse")), LIMIT_S)

    def restart(what: str) -> None:
        figures.daemon.stop()
        figures.start()
        figures.daemon.wait_until(lambda: figures.daemon.unsettled() == 0, LIMIT_S)
        figures.timed(what, lambda _: search("where is the lamp", "sparse"))

    try:
        figures.start()
        figures.daemon.wait_until(lambda: figures.daemon.unsettled() == 0, LIMIT_S)
        figures.add("memory before any search, MiB", figures.watched.memory_mib())
        search_hybrid = "where is the lamp"
        figures.timed("first search by words ever", lambda _: search(search_hybrid, "sparse"))
        restart("first search by words after a start")
        asked = list(questions(texts, 100))
        for mode in ("sparse", "dense", "hybrid"):
            figures.timed(f"search, {mode}", lambda turn, mode=mode: search(asked[turn], mode), len(asked))
        figures.add("memory, MiB", figures.watched.memory_mib())
        figures.timed("status", lambda _: figures.ask("/api/v1/status"), 10)
        listed = "/api/v1/documents?" + urllib.parse.urlencode(of_collection)
        figures.timed("documents, the first page", lambda _: figures.ask(listed), 10)
        figures.timed("documents, the last page", lambda _: figures.ask(f"{listed}&offset={count // 10 - 50}"), 10)
        figures.timed("a changed file until it is found", changed_until_found, 3)
        figures.timed("verify of 2 %", lambda _: verify(figures, {**of_collection, "share": 0.02}))
        figures.timed("verify of everything", lambda _: verify(figures, of_collection))
    finally:
        figures.daemon.stop()
    for name in ("syncd.sqlite", "words.sqlite"):
        figures.add(f"{name}, MB", (figures.daemon.state / name).stat().st_size / 1e6)
    return figures.of


def verify(figures: Figures, portion: dict[str, object]) -> None:
    """Have it compared. An index filled as quickly as this one does not let quite all of its vectors find themselves."""
    drift = figures.ask("/api/v1/verify", portion)
    differences = ("missing", "texts", "vectors", "metadata", "damaged", "unreadable", "extra")
    assert not any(drift[name] for name in differences), drift
    print(
        f"  {drift['chunks']:,} chunks compared, {drift['unfindable']} of the sampled do not find themselves",
        flush=True,
    )


def measure_sources(folder: Path, count: int) -> dict[str, float]:
    declared = []
    for number in range(count):
        path = folder / "folders" / f"{number:05}"
        path.mkdir(parents=True)
        (path / "note.txt").write_text(f"note {number}\n")
        declared.append(SOURCE.format(name=f"folder-{number:05}", path=path, collection="notes"))
    figures = Figures(Daemon(folder, CONFIGURATION + "".join(declared)))
    try:
        figures.start()
        began = time.perf_counter()
        done = "SELECT count(*) FROM invocations WHERE state = 'complete'"
        figures.daemon.wait_until(lambda: figures.daemon.rows(done)[0][0] >= count, LIMIT_S)
        figures.add("first runs of all, s", time.perf_counter() - began)
        figures.daemon.stop()
        figures.start()
        time.sleep(IDLE_S)
        figures.daemon.wait_until(lambda: figures.daemon.unsettled() == 0, LIMIT_S)
        figures.idle()
        figures.timed("status", lambda _: figures.ask("/api/v1/status"), 5)
        figures.timed("sources, a page", lambda _: figures.ask("/api/v1/sources"), 5)
        figures.timed("one source", lambda _: figures.ask("/api/v1/sources?limit=1"), 5)
    finally:
        figures.daemon.stop()
    return figures.of


def compare(
    unit: str, sizes: list[int], measure: Callable[[Path, int], dict[str, float]], kept: Path | None = None
) -> None:
    """Measure all sizes; print by what each figure grew from one to the next. `kept`: where what is made for it stays."""
    found = []
    for size in sizes:
        print(f"{size:,} {unit}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            found.append(measure(kept / f"{size}" if kept else Path(folder) / "run", size))
    for (small, before), (large, after) in itertools.pairwise(zip(sizes, found, strict=True)):
        print(f"\n| {unit} | {small:,} | {large:,} | growth, of {large / small:g} |\n|---|---|---|---|")
        for what, value in after.items():
            print(
                f"| {what} | {before[what]:,.1f} | {value:,.1f} | {value / before[what] if before[what] else 0:.1f} |"
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunks", type=int, nargs="*", default=[10_000, 100_000])
    parser.add_argument("--sources", type=int, nargs="*", default=[100, 1_000, 10_000])
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    compare("chunks", given.chunks, measure_chunks, given.folder)
    compare("sources", given.sources, measure_sources)
