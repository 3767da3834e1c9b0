"""What shortened vectors save in Chroma, and cost in search: `python -m tests.benchmarks.dimensions [--chunks 20000]`.

Whole vectors have 1,024 dimensions, random ones around 200 centres; each length gets a state and a Chroma server of its own. Printed: the bytes
of Chroma's HNSW files and of its whole folder, the server's resident memory above that of an empty one, SQLite's size, p50 and p95 of dense
searches. How good hits are is not measured: that needs a model trained for shortened vectors.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import anyio
import numpy as np
import structlog

from syncd.chroma.client import Chroma
from syncd.chroma.connection import ChromaSettings
from syncd.chroma.server import ChromaServer
from syncd.index.writer import Index
from syncd.model import Embedded, Embedding, Target
from syncd.pipeline.sparse.catalog import SparseModels
from syncd.runtime.supervisor import Supervisor
from syncd.search import Query, Search
from syncd.sources.registry import TYPES
from syncd.store import Store
from syncd.store.changes import NewChunk, Replacement
from syncd.store.vectors import vector_key

WHOLE = 1024
CENTRES = 200
PER_DOCUMENT = 100
MODEL = Embedding("random")
TARGET = Target("default_database", "benchmark")


class RandomEmbedder:
    """A vector near one of the centres for any text, at no cost."""

    model, fingerprint, dimensions = "random", "random", WHOLE

    def __init__(self):
        self.random = np.random.default_rng(7)
        self.centres = self.random.standard_normal((CENTRES, WHOLE), np.float32)

    def some(self, count):
        rows = self.centres[self.random.integers(CENTRES, size=count)]
        rows = rows + self.random.standard_normal((count, WHOLE), np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    async def embed(self, texts, role, task=None, *, urgent=False):
        return Embedded(self.some(len(texts)), 0)


def document(collection_id, number):
    texts = [f"Piece {i} of document {number}, which has few words." for i in range(PER_DOCUMENT)]
    chunks = [
        NewChunk(text, "", vector_key("random", None, text), {"key": str(number), "chunk_index": i})
        for i, text in enumerate(texts)
    ]
    return Replacement(collection_id, "source", str(number), str(number), "1", "f", "h", 1, chunks)


async def fill(store, index, collection, embedder, count):
    for number in range(count // PER_DOCUMENT):
        change = document(collection.id, number)
        vectors = embedder.some(PER_DOCUMENT)
        await store.vectors.put(dict(zip([c.vector_key for c in change.chunks], vectors, strict=True)))
        await index.apply(change)


async def latency(search, count):
    spent = []
    for _ in range(count):
        start = time.perf_counter()
        await search.search(Query(TARGET, "any", "dense", limit=10))
        spent.append((time.perf_counter() - start) * 1000)
    return {"p50_ms": round(statistics.median(spent), 1), "p95_ms": round(statistics.quantiles(spent, n=20)[18], 1)}


def resident_mib():
    """Return the resident memory of this process's children, which are Chroma's server."""
    children = " ".join(file.read_text() for file in Path("/proc/self/task").glob("*/children")).split()
    lines = [line for pid in children for line in Path(f"/proc/{pid}/status").read_text().splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def mib(folder, pattern="**/*"):
    return round(sum(file.stat().st_size for file in folder.glob(pattern) if file.is_file()) / 2**20, 1)


async def measure(dimensions, count, queries, folder):
    server, embedder = ChromaServer(folder / "chroma"), RandomEmbedder()
    store = await Store.open(folder / "state", TYPES)
    async with anyio.create_task_group() as group, Chroma(ChromaSettings(port=server.port)) as chroma:
        index = Index(store, chroma, lambda _: None, gather_s=0.0)
        await group.start(Supervisor("benchmark", [server, chroma, index]).run)
        await chroma.available()
        empty = resident_mib()
        collection = await index.open(TARGET, replace(MODEL, dimensions=dimensions))
        await fill(store, index, collection, embedder, count)

        async def embedder_of(_name):
            return embedder

        search = Search(store, chroma, embedder_of, SparseModels(), index.damaged)
        report = {"dimensions": dimensions or WHOLE, "dense": await latency(search, queries)}
        report["server_resident_above_empty_mib"] = round(resident_mib() - empty, 1)
        report["hnsw_files_mib"] = mib(folder / "chroma", "**/*.bin")
        report["chroma_folder_mib"], report["sqlite_mib"] = mib(folder / "chroma"), mib(folder / "state")
        group.cancel_scope.cancel()
    await store.close()
    return report


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=20_000)
    parser.add_argument("--queries", type=int, default=100)
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    for length in (256, 512, None):
        with tempfile.TemporaryDirectory() as temporary:
            print(json.dumps(asyncio.run(measure(length, arguments.chunks, arguments.queries, Path(temporary)))))
