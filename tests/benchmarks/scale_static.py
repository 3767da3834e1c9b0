"""A static model beside all-MiniLM-L6-v2, on the same texts in turns: tokens per second, and processor seconds of model and daemon.

    python -m tests.benchmarks.scale static [--texts 2000] [--pairs 3]

The static one has MiniLM's vocabulary and 256 dimensions, as many as model2vec's small ones have, of random numbers: what it costs
does not depend on them. MiniLM gets a fiftieth of the texts.
"""

import argparse
import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import psutil
from tokenizers import BertWordPieceTokenizer

from syncd.pipeline.embed.catalog import MINILM, Catalog, EmbeddingModel, ModelFile
from syncd.pipeline.embed.engine import EngineOptions
from syncd.pipeline.embed.files import packaged_weights
from syncd.pipeline.embed.local import open_embedder
from tests.benchmarks.scale_servers import CALLERS, TEXTS_PER_CALL, texts_of
from tests.pipeline.embed.made_static import write_tensors

DIMENSIONS = 256


def write_model(folder):
    tokenizer = BertWordPieceTokenizer(str(packaged_weights() / "vocab.txt"))
    table = np.random.default_rng(0).standard_normal((tokenizer.get_vocab_size(), DIMENSIONS), dtype=np.float32)
    write_tensors(folder / "model.safetensors", {"embeddings": table})
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text('{"normalize": true}')
    return folder


async def timed(embedder, texts):
    turns = asyncio.Semaphore(CALLERS)
    model = psutil.Process(embedder.process.pid)

    async def call(some):
        async with turns:
            return (await embedder.embed(some, "document")).tokens

    def spent():
        return time.perf_counter(), sum(model.cpu_times()[:2]), time.process_time()

    begin = spent()
    calls = (call(texts[start : start + TEXTS_PER_CALL]) for start in range(0, len(texts), TEXTS_PER_CALL))
    tokens = sum(await asyncio.gather(*calls))
    return [tokens / (after - before) for before, after in zip(begin, spent(), strict=True)]


async def measure(arguments):
    with TemporaryDirectory() as name:
        folder = Path(name)
        static = EmbeddingModel("static", (ModelFile("own", "static"),), "static", DIMENSIONS, 8192)
        options = EngineOptions(path=write_model(folder / "static"))
        texts = texts_of(arguments.texts)
        begin = time.perf_counter()
        async with AsyncExitStack() as stack:
            fast = await stack.enter_async_context(open_embedder(static, folder, options))
            await fast.embed(texts[:1], "query")
            ready_s = time.perf_counter() - begin
            slow = await stack.enter_async_context(
                open_embedder(Catalog().find(MINILM), folder, EngineOptions(lanes=1))
            )
            await slow.embed(texts[:8], "document")
            pairs = [(await timed(fast, texts), await timed(slow, texts[::50])) for _ in range(arguments.pairs)]
    print(f"{arguments.texts} texts, {arguments.pairs} pairs, load {psutil.getloadavg()[0]:.1f}")
    print(f"  first query of the static model answered {ready_s:.1f} s after it was asked for")
    for number, what in enumerate(
        ("second by the clock", "processor second of the model", "processor second of the daemon")
    ):
        one, other = (median(pair[side][number] for pair in pairs) for side in (0, 1))
        print(f"  tokens a {what}: static {one:,.0f}, MiniLM {other:,.0f}, ratio {one / other:.0f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=int, default=3000)
    parser.add_argument("--pairs", type=int, default=3)
    asyncio.run(measure(parser.parse_args()))


if __name__ == "__main__":
    main()
