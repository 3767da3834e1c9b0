"""Compares embedding engines on the same texts in one run: llama.cpp's `Llama.embed` one by one, and syncd's engines.

    python -m tests.benchmarks.embedding FILE.gguf [--pooling last|mean] [--max-tokens N] [--texts N] [--rounds N]
                                         [--source FOLDER] [--no-stock] [--runtimes llama torch]

The texts are chunks of the source files under FOLDER. The engines take turns, round by round. Printed per engine: tokens
per second of wall time and of CPU time of the process that computes (what a busy machine cannot distort as much), the
ratio of the latter to stock, and the smallest cosine to stock's vectors. `make_qwen3_shape` makes a file of the default
model's shape.
"""

import argparse
import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import llama_cpp
import numpy as np
import psutil

from syncd.model import Chunking, Part
from syncd.pipeline.chunk import chunk_document
from syncd.pipeline.embed.catalog import Model, ModelFile
from syncd.pipeline.embed.embedder import EngineOptions, open_embedder
from syncd.pipeline.embed.probe import cosine
from syncd.pipeline.embed.windows import normalised


@dataclass
class Figures:
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    cosine: float = 1.0


class Stock:
    """The bindings' own high-level call, one text at a time, with their defaults."""

    def __init__(self, path, pooling, max_tokens):
        kinds = {"last": llama_cpp.LLAMA_POOLING_TYPE_LAST, "mean": llama_cpp.LLAMA_POOLING_TYPE_MEAN}
        self._llama = llama_cpp.Llama(
            str(path), embedding=True, n_ctx=max_tokens, n_batch=max_tokens, n_ubatch=max_tokens,
            pooling_type=kinds[pooling], verbose=False,
        )  # fmt: skip

    async def embed(self, texts):
        return normalised(np.array([self._llama.embed(text) for text in texts], dtype=np.float32))

    def cpu_s(self):
        return time.process_time()


class Engine:
    """A syncd embedder."""

    def __init__(self, embedder):
        self._embedder = embedder

    async def embed(self, texts):
        return (await self._embedder.embed(texts, "document")).vectors

    def cpu_s(self):
        used = psutil.Process(self._embedder.process.pid).cpu_times()
        return used.user + used.system


def chunks_of(folder, count, max_bytes):
    """`count` chunks spread over the Python, Markdown and C files below `folder`, none longer than `max_bytes`."""
    texts = []
    for path in sorted(path for path in folder.rglob("*") if path.suffix in {".py", ".md", ".c", ".h", ".toml"}):
        part = Part(path.read_text("utf-8", "replace"), "code")
        texts += [chunk.embedded_text for chunk in chunk_document([part], path.name, Chunking())]
    texts = [text for text in texts if text.strip() and len(text.encode()) <= max_bytes]
    return texts[:: max(1, len(texts) // count)][:count]


async def measure(engine, figures, texts, tokens):
    wall, cpu = time.perf_counter(), engine.cpu_s()
    vectors = await engine.embed(texts)
    figures.wall.append(tokens / (time.perf_counter() - wall))
    figures.cpu.append(tokens / (engine.cpu_s() - cpu))
    return vectors


async def compare(arguments, texts, folder):
    model = Model(
        "benchmark", (ModelFile("file", arguments.file.name),), arguments.pooling, arguments.dimensions,
        arguments.max_tokens,
    )  # fmt: skip
    async with AsyncExitStack() as stack:
        engines = {}
        if not arguments.no_stock:
            engines["stock"] = Stock(arguments.file, arguments.pooling, arguments.max_tokens)
        for runtime in arguments.runtimes:
            options = EngineOptions(path=arguments.file, runtime=runtime)
            embedder = await stack.enter_async_context(open_embedder(model, folder, options))
            engines[runtime] = Engine(embedder)
        tokens = (await embedder.embed(texts, "document")).tokens
        figures = {name: Figures() for name in engines}
        for _ in range(arguments.rounds):
            vectors = {name: await measure(engine, figures[name], texts, tokens) for name, engine in engines.items()}
            for name, found in vectors.items():
                figures[name].cosine = cosine(found, next(iter(vectors.values())))
    return figures, tokens


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--pooling", default="last", choices=["last", "mean"])
    parser.add_argument("--dimensions", type=int, default=1024)
    parser.add_argument("--max-tokens", type=int, default=2048)
    parser.add_argument("--texts", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--source", type=Path, default=Path(__file__).parents[2] / "syncd")
    parser.add_argument("--no-stock", action="store_true")
    parser.add_argument("--runtimes", nargs="+", default=["llama"], choices=["auto", "llama", "torch"])
    arguments = parser.parse_args()
    # Two bytes a token is dense text: stock cuts what is over the model's limit, and would compute something else.
    texts = chunks_of(arguments.source, arguments.texts, 2 * arguments.max_tokens)
    with TemporaryDirectory() as folder:
        figures, tokens = asyncio.run(compare(arguments, texts, Path(folder)))
    print(f"{len(texts)} texts, {tokens} tokens, {arguments.rounds} rounds; medians")
    first = median(next(iter(figures.values())).cpu)
    for name, found in figures.items():
        wall, cpu = median(found.wall), median(found.cpu)
        print(f"{name:8} {wall:8.0f} tok/s {cpu:8.0f} tok/cpu-s {cpu / first:6.2f}x  cosine >= {found.cosine:.6f}")


if __name__ == "__main__":
    main()
