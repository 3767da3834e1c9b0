"""Ray workers: how much faster several are than one, and what the way to them costs against processes of this machine.

    python -m tests.benchmarks.scale ray [--workers 1 2 4 8] [--texts 500] [--documents 20] [--pairs 4] [--tokens 20000]

The cluster is a head and two nodes of processes on this machine. First a stub of a card's speed without a card's heat: 5,000 tokens a
second of sleep for each worker (`napping_worker.py`), texts of 200 tokens, 64 in each of 8 calls as the daemon's queue asks. Then
the same for workers that prepare (`scale_preparing.py`), and all-MiniLM-L6-v2, one worker a core against one lane a core, in turns, of the same texts.
"""

import argparse
import asyncio
import os
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import psutil
import structlog

from syncd.pipeline.embed.catalog import MINILM, Catalog
from syncd.pipeline.embed.engine import Cluster, EngineOptions, ModelRequest
from syncd.pipeline.embed.front import running
from syncd.pipeline.embed.local import open_embedder
from syncd.pipeline.embed.variant import usable_cores
from syncd.pipeline.ray.embedder import make_embedder
from tests.benchmarks.embedding import chunks_of
from tests.benchmarks.napping_worker import TOKENS_PER_S
from tests.benchmarks.processes import processor_s
from tests.benchmarks.scale_preparing import measure_preparing
from tests.benchmarks.scale_servers import texts_of
from tests.ray_cluster import ray_running

ROOT = Path(__file__).parents[2]
STUB = "tests.benchmarks.napping_worker"
CALLERS, TEXTS_PER_CALL = 8, 64
ROUNDS = 3
NODES = 2


async def rate(embedder, texts):
    """Tokens a second of `texts`, by as many callers as the daemon's queue has."""
    turns = asyncio.Semaphore(CALLERS)

    async def call(some):
        async with turns:
            return (await embedder.embed(some, "document")).tokens

    begin = time.perf_counter()
    calls = [texts[start : start + TEXTS_PER_CALL] for start in range(0, len(texts), TEXTS_PER_CALL)]
    return sum(await asyncio.gather(*map(call, calls))) / (time.perf_counter() - begin)


async def employed(embedder, workers):
    while len(embedder.elsewhere) < workers:  # noqa: ASYNC110 - they come from other processes
        await asyncio.sleep(0.1)


async def stub(address, folder, arguments):
    print(f"a stub of {TOKENS_PER_S} tokens/s a worker, load {psutil.getloadavg()[0]:.1f}")
    for workers in arguments.workers:
        options = EngineOptions(worker=STUB, cluster=Cluster(address, workers))
        embedder = await make_embedder(ModelRequest(Catalog().find(MINILM), folder, options))
        texts = texts_of(arguments.texts * workers)
        async with running(embedder):
            await employed(embedder, workers)
            await rate(embedder, texts[: TEXTS_PER_CALL * CALLERS])
            found = median([await rate(embedder, texts) for _ in range(ROUNDS)])
        share = found / (workers * TOKENS_PER_S)
        print(f"  {workers} workers: {found:8.0f} tokens/s, {share:.2f} of what they can")


async def minilm(address, folder, arguments):
    model, cores = Catalog().find(MINILM), usable_cores()
    texts = chunks_of(ROOT / "syncd", 4000, 2 * model.max_tokens)
    options = EngineOptions(cluster=Cluster(address, cores))
    async with (
        open_embedder(model, folder, EngineOptions(lanes=cores)) as lanes,
        running(await make_embedder(ModelRequest(model, folder, options))) as workers,
    ):
        tokens = await lanes.count_tokens(texts[:200])
        texts = texts[: 200 * arguments.tokens // sum(tokens)]
        await employed(workers, cores)
        ratios, of_cores = [], []
        for number in range(arguments.pairs):
            rates, spent_s = {}, {}
            for side in (lanes, workers) if number % 2 else (workers, lanes):
                begin_s = processor_s()
                rates[side] = await rate(side, texts)
                spent_s[side] = processor_s() - begin_s
            ratios.append(rates[workers] / rates[lanes])
            of_cores.append(spent_s[lanes] / spent_s[workers])
            print(f"  {cores} lanes {rates[lanes]:6.0f} tokens/s, {cores} workers {rates[workers]:6.0f}")
    by_cores = f"by processor seconds, Ray's own included, {median(of_cores):.2f}"
    print(f"  workers against lanes: median {median(ratios):.2f}, {by_cores}, load {psutil.getloadavg()[0]:.1f}")


async def measure(address, arguments):
    with TemporaryDirectory() as folder:
        await stub(address, Path(folder), arguments)
        await measure_preparing(address, arguments)
        print(f"all-MiniLM-L6-v2, {arguments.pairs} pairs")
        await minilm(address, Path(folder), arguments)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--texts", type=int, default=500, help="of the stub, for each worker")
    parser.add_argument("--documents", type=int, default=20, help="of the stub that prepares, for each worker")
    parser.add_argument("--pairs", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=20_000)
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    os.environ["PYTHONPATH"] = str(ROOT)
    with ray_running() as cluster:
        for _ in range(NODES):
            cluster.add_node(-(-max(*arguments.workers, usable_cores()) // NODES))
        asyncio.run(measure(cluster.address, arguments))


if __name__ == "__main__":
    main()
