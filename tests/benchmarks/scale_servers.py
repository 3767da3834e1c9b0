"""What embedding servers cost the daemon: its processor seconds for a million tokens that a stub computes at once.

    python -m tests.benchmarks.scale servers [--texts 20000] [--dimensions 1024] [--servers 2] [--late-ms 0]

The stub is one process for each server, which answers the same vector for every text, in base64, `late-ms` after it was asked.
Texts are pieces of syncd's own source of 800 bytes, 200 tokens; 16 callers ask for 64 at a time, as the daemon's queue does.
Counted is this process: prompts, batches, HTTP, vectors. What SQLite and Chroma cost is the same with every engine.
"""

import argparse
import asyncio
import base64
import multiprocessing
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import orjson
import psutil
from aiohttp import web

from syncd.pipeline.embed.catalog import EmbeddingModel
from syncd.pipeline.embed.front import running
from syncd.pipeline.embed.remote import RemoteEmbedder, prepare_remote
from syncd.pipeline.embed.servers import Server

ROOT = Path(__file__).parents[2]
TEXT_BYTES = 800
BYTES_PER_TOKEN = 4
CALLERS, TEXTS_PER_CALL = 16, 64
GOAL_TOKENS_PER_CORE_S = 250_000
ROUNDS = 5


def serve(pipe, dimensions, late_s):
    vector = np.ones(dimensions, dtype=np.float32) / np.sqrt(dimensions)
    row = base64.b64encode(vector.astype("<f4").tobytes())
    most = 0

    async def answer(request):
        nonlocal most
        texts = orjson.loads(await request.read())["input"]
        most = max(most, len(texts))
        rows = b",".join(b'{"index":%d,"embedding":"%s"}' % (number, row) for number in range(len(texts)))
        tokens = sum(map(len, texts)) // BYTES_PER_TOKEN
        await asyncio.sleep(late_s)
        return web.Response(
            body=b'{"data":[%s],"usage":{"total_tokens":%d}}' % (rows, tokens), content_type="application/json"
        )

    async def run():
        application = web.Application(client_max_size=64 << 20)
        application.router.add_post("/v1/embeddings", answer)
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        pipe.send(runner.addresses[0][1])
        await asyncio.to_thread(pipe.recv)
        pipe.send(most)

    asyncio.run(run())


async def measure(urls, arguments):
    model = EmbeddingModel("stub", (), "last", arguments.dimensions, 2048)
    servers = [Server(url, "openai", "stub") for url in urls]
    texts = texts_of(arguments.texts)
    with TemporaryDirectory() as folder:
        prepared = await prepare_remote(model, servers, Path(folder))
        async with running(RemoteEmbedder(prepared)) as embedder:
            await embed(embedder, texts[: len(texts) // 4])
            return [await timed(embedder, texts) for _ in range(ROUNDS)]


async def timed(embedder, texts):
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    tokens = await embed(embedder, texts)
    return tokens / (time.process_time() - cpu_s), tokens / (time.perf_counter() - wall_s)


async def embed(embedder, texts):
    turns = asyncio.Semaphore(CALLERS)

    async def call(some):
        async with turns:
            return (await embedder.embed(some, "document")).tokens

    calls = (call(texts[start : start + TEXTS_PER_CALL]) for start in range(0, len(texts), TEXTS_PER_CALL))
    return sum(await asyncio.gather(*calls))


def texts_of(count):
    whole = "".join(path.read_text("utf-8") for path in sorted((ROOT / "syncd").rglob("*.py")))
    starts = range(0, len(whole) - TEXT_BYTES, TEXT_BYTES)
    return [
        f"{number} " + whole[(start := starts[number % len(starts)]) : start + TEXT_BYTES] for number in range(count)
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=int, default=20_000)
    parser.add_argument("--dimensions", type=int, default=1024)
    parser.add_argument("--servers", type=int, default=2)
    parser.add_argument("--late-ms", type=float, default=0.0)
    arguments = parser.parse_args()
    spawn = multiprocessing.get_context("spawn")
    pipes = [spawn.Pipe() for _ in range(arguments.servers)]
    for _, other in pipes:
        options = (other, arguments.dimensions, arguments.late_ms / 1000)
        spawn.Process(target=serve, args=options, daemon=True).start()
    urls = [f"http://127.0.0.1:{pipe.recv()}/v1" for pipe, _ in pipes]
    rounds = asyncio.run(measure(urls, arguments))
    per_cpu_s, per_s = median(cpu for cpu, _ in rounds), median(wall for _, wall in rounds)
    for pipe, _ in pipes:
        pipe.send(None)
    print(
        f"{arguments.texts} texts, {arguments.dimensions} dimensions, {ROUNDS} rounds, load {psutil.getloadavg()[0]:.1f}"
    )
    print(f"  {per_cpu_s:10,.0f} tokens a processor second, {per_s:,.0f} tokens/s by the clock")
    print(f"  {GOAL_TOKENS_PER_CORE_S / per_cpu_s:10.2f} cores for 250,000 tokens/s (goal: at most 1)")
    print(f"  texts of the largest request, for each server: {[pipe.recv() for pipe, _ in pipes]}")


if __name__ == "__main__":
    main()
