"""What search by words costs and how long searches take: `python -m tests.benchmarks.search [--chunks 100000]`.

Chunks are pieces of the Python sources installed here, vectors are random (384 dimensions), Chroma is real. Printed: bytes
and time per chunk of the sparse vectors, the first search (which reads them all), then p50 and p95 of each mode, idle and
while documents keep arriving. Embedding the query is left out: it is the model's time, not the search's.

`--shaped` measures only, in turns over the same questions: hybrid without rules, with them, and with them and lines, or the definition,
around each hit; phrases and regular expressions.
"""

import argparse
import asyncio
import itertools
import json
import random
import re
import statistics
import sysconfig
import tempfile
import time
from pathlib import Path

import anyio
import numpy as np
import structlog

from syncd.chroma.client import Chroma
from syncd.chroma.connection import ChromaSettings
from syncd.chroma.server import ChromaServer
from syncd.index.sparse_backfill import SparseBackfill
from syncd.model import Embedded, Embedding, Rows, Target
from syncd.pipeline.sparse.catalog import SparseModels
from syncd.pipeline.sparse.encoding import SparseEncoding
from syncd.runtime.supervisor import Supervisor
from syncd.search import Query, Search
from syncd.sources.registry import TYPES
from syncd.store import Store
from syncd.store.changes import NewChunk, Replacement
from syncd.store.vectors import vector_key

DIMENSIONS = 384
DIRECTIONS = np.random.default_rng(7).standard_normal((24, DIMENSIONS), np.float32)
"""Which the vectors mostly lie in, as those of texts do: fewer than they have numbers."""
CHUNK_CHARACTERS = 1200
CHUNKS_PER_DOCUMENT = 10
DOCUMENTS_AT_ONCE = 300
TARGET = Target("default_database", "benchmark")
MODEL = Embedding(model="random")


class RandomEmbedder:
    """A vector for any text, at no cost."""

    model, fingerprint, dimensions = "random", "random", DIMENSIONS

    async def embed(self, texts, role, task=None, *, urgent=False):
        return Embedded(vectors_of([vector_key("random", None, text) for text in texts]), 0)


def vectors_of(keys):
    """Return a vector for each of some vector keys, as random as they are: the same for the same texts."""
    made = [np.random.default_rng(list(key)).standard_normal(len(DIRECTIONS) + DIMENSIONS, np.float32) for key in keys]
    along, across = np.split(np.stack(made), [len(DIRECTIONS)], axis=1)
    vectors = along @ DIRECTIONS + 0.5 * across
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def pieces():
    """Yield pieces of installed sources, again and again, each time with another word in it."""
    roots = [Path(sysconfig.get_path(name)) for name in ("purelib", "stdlib")]
    for turn in itertools.count():
        for file in (file for root in roots for file in sorted(root.rglob("*.py"))):
            text = file.read_text("utf-8", "replace")
            for start in range(0, len(text) - 200, CHUNK_CHARACTERS):
                yield f"{text[start : start + CHUNK_CHARACTERS]}\nturn_{turn}_{start}"


def replacement(collection_id, key, texts):
    chunks, line = [], 1
    for i, text in enumerate(texts):
        last = line + text.count("\n")
        scope = {"scope": f"Class{i // 4}"} if i % 4 else {}
        place = {"key": key, "chunk_index": i, "start_line": line, "end_line": last, "stage": "code", **scope}
        chunks.append(NewChunk(text, f"{key}\n", vector_key("random", None, text), place))
        line = last + 1
    return Replacement(collection_id, "source", key, key, str(hash(tuple(texts))), "f", "h", 1, chunks)


async def stored(store, changes):
    """Store documents; return the rows that Chroma is to have of them."""
    chunks = [(f"{change.prefix}-{i}", c) for change in changes for i, c in enumerate(change.chunks)]
    vectors = vectors_of([c.vector_key for _, c in chunks])
    await store.vectors.put({c.vector_key: v for (_, c), v in zip(chunks, vectors, strict=True)})
    await store.documents.stage(changes)
    return Rows([i for i, _ in chunks], [c.metadata for _, c in chunks], [c.text for _, c in chunks], vectors)


async def write(store, chroma, changes):
    """Store documents and put their chunks into Chroma."""
    rows = await stored(store, changes)
    await chroma.write(TARGET, [], rows, Rows([], []))
    collection_id = changes[0].collection_id
    await store.outbox.clear(collection_id, await store.outbox.waiting(collection_id, rows.ids))


def documents_of(collection_id, texts, made=0):
    """Yield documents of a few texts each, many at once, but for the first `made`."""
    for start in range(made * CHUNKS_PER_DOCUMENT, len(texts), DOCUMENTS_AT_ONCE * CHUNKS_PER_DOCUMENT):
        some = range(start, min(start + DOCUMENTS_AT_ONCE * CHUNKS_PER_DOCUMENT, len(texts)), CHUNKS_PER_DOCUMENT)
        yield [
            replacement(collection_id, f"folder/{i // CHUNKS_PER_DOCUMENT:06}.py", texts[i : i + CHUNKS_PER_DOCUMENT])
            for i in some
        ]


async def fill(store, chroma, collection_id, texts):
    for changes in documents_of(collection_id, texts):
        await write(store, chroma, changes)


async def size_of(store):
    await store.database.write(lambda c: None)
    return (await store.database.read(lambda c: c.execute("PRAGMA page_count").fetchone()))[0] * 4096


async def told_nobody(_collection_id, _chunk_ids):
    """Stand for Chroma, which hears of sparse vectors only where it takes them."""


async def postings_cost(store, texts, report):
    """Add the sparse vectors of everything, and of single documents."""
    before, start, cpu = await size_of(store), time.perf_counter(), time.process_time()
    await SparseBackfill(store, SparseModels().of, told_nobody).fill_all()
    count = len(texts)
    report["sparse_fill_us_per_chunk"] = round((time.perf_counter() - start) / count * 1e6, 1)
    report["sparse_fill_cpu_us_per_chunk"] = round((time.process_time() - cpu) / count * 1e6, 1)
    report["sparse_bytes_per_chunk"] = round((await size_of(store) - before) / count)
    report["text_bytes_per_chunk"] = round(statistics.mean(len(text.encode()) for text in texts))


async def update_cost(store, collection_id, texts, report):
    """Change documents with and without sparse vectors."""
    sparse_encoding = SparseEncoding(store, SparseModels())
    for name, with_sparse_vectors in (("without", False), ("with", True), ("without", False), ("with", True)):
        spent, cpu = [], []
        for n in range(30):
            some = [f"{text}\nnew_{name}_{n}_{random.random()}" for text in random.sample(texts, CHUNKS_PER_DOCUMENT)]
            change = replacement(collection_id, f"changing/{n}.py", some)
            keys = [c.vector_key for c in change.chunks]
            await store.vectors.put(dict(zip(keys, vectors_of(keys), strict=True)))
            start, begun = time.perf_counter(), time.process_time()
            chunks = (
                await sparse_encoding.with_sparse_vectors(MODEL, change.chunks)
                if with_sparse_vectors
                else change.chunks
            )
            await store.documents.stage(
                [Replacement(**{f: getattr(change, f) for f in change.__slots__} | {"chunks": chunks})]
            )
            spent.append((time.perf_counter() - start) / len(some) * 1e6)
            cpu.append((time.process_time() - begun) / len(some) * 1e6)
        report[f"update_us_per_chunk_{name}_sparse"] = round(statistics.median(spent), 1)
        report[f"update_cpu_us_per_chunk_{name}_sparse"] = round(statistics.median(cpu), 1)


def questions(texts, count):
    """Return queries of two to six words, of which texts have some."""
    for _ in range(count):
        words = re.findall(r"[A-Za-z_]{3,}", random.choice(texts))
        yield " ".join(random.sample(words, min(len(words), random.randint(2, 6))))


async def latency(search, texts, mode, count, **options):
    spent = []
    for question in questions(texts, count):
        start = time.perf_counter()
        await search.search(Query(TARGET, question, mode, **options))
        spent.append((time.perf_counter() - start) * 1000)
    cut = statistics.quantiles(spent, n=20)
    return {"p50_ms": round(statistics.median(spent), 1), "p95_ms": round(cut[18], 1), "max_ms": round(max(spent), 1)}


SHAPES = {
    "hybrid": {"mode": "hybrid", "rules": frozenset()},
    "with rules": {"mode": "hybrid"},
    "with rules, 10 lines around": {"mode": "hybrid", "expand": 10},
    "with rules, the definition around": {"mode": "hybrid", "expand": "section"},
    "with rules, the definition around, 2,000 tokens": {"mode": "hybrid", "expand": "section", "max_tokens": 2000},
}
PATTERNS = {
    "phrase": ("phrase", "return the number of"),
    "regex, rare": ("regex", r"def get_\w+_name\("),
    "regex, frequent": ("regex", r"self\.\w+\("),
    "regex without letters": ("regex", r"\d{4}-\d\d-\d\d"),
}


async def shaped_latency(search, texts, count):
    """Return p50, p95 and the ratio to the first one's p95 of each shape, measured in turns over the same questions."""
    spent = {name: [] for name in SHAPES}
    for question in questions(texts, count):
        for name, options in SHAPES.items():
            start = time.perf_counter()
            await search.search(Query(TARGET, question, **options))
            spent[name].append((time.perf_counter() - start) * 1000)
    p95 = {name: statistics.quantiles(some, n=20)[18] for name, some in spent.items()}
    return {
        name: f"{statistics.median(some):.1f} / {p95[name]:.1f} ms, {p95[name] / p95['hybrid']:.2f}"
        for name, some in spent.items()
    }


async def exact_latency(search):
    found = {}
    for name, (mode, text) in PATTERNS.items():
        start = time.perf_counter()
        answer = await search.search(Query(TARGET, text, mode))
        found[name] = f"{time.perf_counter() - start:.2f} s, {len(answer.hits)} hits, {answer.notices}"
    return found


async def keep_arriving(store, chroma, collection_id, texts):
    sparse_encoding = SparseEncoding(store, SparseModels())
    for n in itertools.count():
        some = [f"{text}\narriving_{n}" for text in random.sample(texts, CHUNKS_PER_DOCUMENT)]
        change = replacement(collection_id, f"arriving/{n}.py", some)
        chunks = await sparse_encoding.with_sparse_vectors(MODEL, change.chunks)
        await write(
            store, chroma, [Replacement(**{f: getattr(change, f) for f in change.__slots__} | {"chunks": chunks})]
        )


async def latencies(search, store, chroma, collection_id, texts, queries):
    """Return the latency of each mode, idle and while documents arrive."""
    report = {}
    for mode in ("sparse", "dense", "hybrid"):
        report[f"{mode}_idle"] = await latency(search, texts, mode, queries)
    report["sparse_where"] = await latency(search, texts, "sparse", queries // 4, where={"chunk_index": 3})
    report["hybrid_path"] = await latency(search, texts, "hybrid", queries // 4, paths=["folder/00*"])
    arriving = asyncio.create_task(keep_arriving(store, chroma, collection_id, texts))
    for mode in ("sparse", "dense", "hybrid"):
        report[f"{mode}_backfill"] = await latency(search, texts, mode, queries)
    arriving.cancel()
    return report


async def measure(count, queries, folder, shaped):
    random.seed(7)
    report = {"chunks": count}
    texts = list(itertools.islice(pieces(), count))
    server = ChromaServer(folder / "chroma")
    store = await Store.open(folder / "state", TYPES)
    async with anyio.create_task_group() as group, Chroma(ChromaSettings(port=server.port)) as chroma:
        await group.start(Supervisor("benchmark", [server, chroma]).run)
        await chroma.available()
        await chroma.open_collection(TARGET)
        collection = await store.collections.open(TARGET, MODEL)
        start = time.perf_counter()
        await fill(store, chroma, collection.id, texts)
        report["filled_s"] = round(time.perf_counter() - start)
        await postings_cost(store, texts, report)

        async def embedder(_name):
            return RandomEmbedder()

        search = Search(store, chroma, embedder, SparseModels(), told_nobody)
        report["first_sparse_search_ms"] = (await latency(search, texts, "sparse", 2))["max_ms"]
        if shaped:
            report |= {"shaped": await shaped_latency(search, texts, queries), "exact": await exact_latency(search)}
        else:
            await update_cost(store, collection.id, texts, report)
            report |= await latencies(search, store, chroma, collection.id, texts, queries)
        group.cancel_scope.cancel()
    await store.close()
    return report


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--shaped", action="store_true")
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    with tempfile.TemporaryDirectory() as temporary:
        print(
            json.dumps(
                asyncio.run(measure(arguments.chunks, arguments.queries, Path(temporary), arguments.shaped)), indent=1
            )
        )
