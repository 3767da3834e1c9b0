"""A model's lanes against its one process, in turns in one run: tokens per second, and how long queries wait meanwhile.

    python -m tests.benchmarks.scale lanes [FILE.gguf ...] [--pairs 6] [--tokens 20000] [--lanes N]

all-MiniLM-L6-v2, and each FILE as a model pooled by its last token (`make_qwen3_shape` makes one of the default model's shape).
A pair is the same texts by one process of all threads and by N lanes (default: one a core), who begins taking turns. The texts are
chunks of syncd's own source, as many as have the tokens; both are running all the time, and idle while the other computes.
Last the daemon's own choice is made, as in a first backfill.
"""

import argparse
import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import psutil
import structlog

from syncd.model import Embedder
from syncd.pipeline.embed import local
from syncd.pipeline.embed.catalog import MINILM, Catalog, EmbeddingModel, ModelFile
from syncd.pipeline.embed.gguf_facts import read_facts
from syncd.pipeline.embed.lanes import own_bytes
from syncd.pipeline.embed.local import EngineOptions, open_embedder
from syncd.pipeline.embed.variant import usable_cores
from tests.benchmarks.embedding import chunks_of

ROOT = Path(__file__).parents[2]
QUERY_EVERY_S = 0.3
TEXTS_PER_CALL = 64


@dataclass
class Side:
    embedder: Embedder
    rates: list[float] = field(default_factory=list)
    waits_s: list[float] = field(default_factory=list)

    async def measure(self, texts):
        over = asyncio.Event()
        asking = asyncio.create_task(self._ask(over))
        begin = time.perf_counter()
        calls = [texts[start : start + TEXTS_PER_CALL] for start in range(0, len(texts), TEXTS_PER_CALL)]
        found = await asyncio.gather(*(self.embedder.embed(call, "document") for call in calls))
        self.rates.append(sum(each.tokens for each in found) / (time.perf_counter() - begin))
        over.set()
        await asking

    async def _ask(self, over):
        number = 0
        while not over.is_set():
            begin, number = time.perf_counter(), number + 1
            await self.embedder.embed([f"where is number {number} kept?"], "query")
            self.waits_s.append(time.perf_counter() - begin)
            await asyncio.sleep(QUERY_EVERY_S)

    def __str__(self):
        waits = sorted(self.waits_s)
        worst = waits[len(waits) * 9 // 10]
        return f"{median(self.rates):8.0f} tokens/s, queries p50 {median(waits):.3f} s, p90 {worst:.3f} s"


async def compare(model, folder, arguments, path=None):
    texts = chunks_of(ROOT / "syncd", 4000, 2 * model.max_tokens)
    async with AsyncExitStack() as stack:
        sides = []
        for lanes in (1, arguments.lanes):
            options = EngineOptions(path=path, lanes=lanes)
            sides.append(Side(await stack.enter_async_context(open_embedder(model, folder, options))))
        one, several = sides
        texts = texts[: await enough(one.embedder, texts, arguments.tokens)]
        for side in sides:
            await side.embedder.embed(texts[:TEXTS_PER_CALL], "document")
        ratios = []
        for number in range(arguments.pairs):
            for side in sides if number % 2 else reversed(sides):
                await side.measure(texts)
            ratios.append(several.rates[-1] / one.rates[-1])
        each_mib = own_bytes(one.embedder.process.pid) >> 20
    print(f"{model.name}: {len(texts)} texts, {arguments.pairs} pairs, load {psutil.getloadavg()[0]:.1f}")
    print(f"  one process of {usable_cores()} threads: {one}, {each_mib} MiB of its own")
    print(f"  {arguments.lanes} lanes:                {several}")
    print(f"  ratio: median {median(ratios):.2f}, of each pair {' '.join(f'{ratio:.2f}' for ratio in ratios)}")
    await choose(model, folder, EngineOptions(path=path), texts)


async def choose(model, folder, options, texts):
    local.AFTER_S, local.is_calm = 1.0, lambda _: True
    with structlog.testing.capture_logs() as logged:
        async with open_embedder(model, folder, options) as embedder:
            while not (chosen := [entry for entry in logged if entry["event"] == "model.lanes_measured"]):
                await embedder.embed(texts, "document")
    print(f"  chosen by itself: {chosen[0]}")


async def enough(embedder, texts, tokens):
    """How many of the texts have so many tokens."""
    count, total = 0, 0
    while total < tokens and count < len(texts):
        total += sum(await embedder.count_tokens(texts[count : count + 8]))
        count += 8
    return count


async def measure(arguments):
    with TemporaryDirectory() as folder:
        await compare(Catalog().find(MINILM), Path(folder), arguments)
        for path in arguments.files:
            dimensions = read_facts(path).dimensions
            model = EmbeddingModel(path.name, (ModelFile("file", path.name),), "last", dimensions, 2048)
            await compare(model, Path(folder), arguments, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", type=Path, nargs="*")
    parser.add_argument("--pairs", type=int, default=6)
    parser.add_argument("--tokens", type=int, default=20_000)
    parser.add_argument("--lanes", type=int, default=usable_cores())
    asyncio.run(measure(parser.parse_args()))


if __name__ == "__main__":
    main()
