"""`gpu`'s second part: llama.cpp's kernel by sizes of batches, the daemon's pipeline over both engines, and cosines to the CPU."""

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from syncd.pipeline.embed.catalog import EmbeddingModel, ModelFile
from syncd.pipeline.embed.llama import LlamaContext, LlamaModel, quieten
from syncd.pipeline.embed.local import EngineOptions, open_embedder
from syncd.pipeline.embed.probe import cosine
from syncd.pipeline.embed.worker import compute
from tests.benchmarks.gpu import ROOT, TINY
from tests.benchmarks.gpu_torch import MAX_TOKENS, Power, add_speed, opened, part, settings_of, speed, windows_of_chunks
from tests.benchmarks.make_qwen3_shape import Shape

CALLERS = 64
TEXTS_PER_CALL = 16
TEXT_BYTES = 1200


def measure(report, work, tiny):
    quieten()
    shape, tokens = (TINY, 3000) if tiny else (Shape(), 200_000)
    windows = windows_of_chunks(tokens, 256)
    cosines(report, work, windows[:8])
    for runtime, processes in (("torch", 2), ("torch", 1), ("llama", 1), ("llama", 2), ("auto", 0)):
        name = f"pipeline {runtime}, {processes or 'usual'} processes"
        with report.measuring(name):
            report.require(40)
            options = EngineOptions(path=work / "Q8_0.gguf", runtime=runtime, lanes=processes)
            asyncio.run(pipeline(report, name, shape, options, texts_of(32 if tiny else 6000)))
    for kind, sizes in (("Q8_0", (0, 512, 1024, 2048, 8192, 16384)), ("F16", (0,))):
        for size in sizes:
            name = f"kernel llama.cpp, {kind}, {size or 'usual'} tokens"
            with report.measuring(name):
                report.require(20)
                context = LlamaContext(LlamaModel(settings_of(work / f"{kind}.gguf", size)), tap=True)
                if not context.devices and not tiny:
                    raise RuntimeError("llama.cpp finds no GPU")
                found = speed(context, windows, 2)
                add_speed(report, name, shape, [len(window) for window in windows], *found)


def cosines(report, work, windows):
    """How far the devices' vectors are from llama.cpp's on the CPU, which computes the file in its own precision."""
    settings = settings_of(work / "F16.gguf")
    expected = compute(LlamaContext(LlamaModel(replace(settings, device="cpu")), tap=True), windows)
    for kind in ("F16", "Q8_0"):
        with report.measuring(f"cosine of llama.cpp, {kind}"):
            report.require(20)
            context = LlamaContext(LlamaModel(replace(settings, path=work / f"{kind}.gguf")), tap=True)
            found = cosine(compute(context, windows), expected)
            report.add(f"cosine of llama.cpp, {kind}", least=found, on="GPU" if context.devices else "CPU")
    with report.measuring("cosine of PyTorch, Q8_0"):
        kernel = opened(work, 0)
        found = cosine(compute(kernel, windows), expected)
        report.add("cosine of PyTorch, Q8_0", least=found, on="GPU" if kernel.devices else "CPU")


async def pipeline(report, name, shape, options, texts):
    """Embed `texts` by many callers, as a daemon's documents do, after as many that are not counted."""
    model = EmbeddingModel("benchmark", (ModelFile("file", options.path.name),), "last", shape.width, MAX_TOKENS)
    async with open_embedder(model, options.path.parent, options) as embedder:
        await called(embedder, texts[::4])
        with Power() as power:
            begin = time.perf_counter()
            lengths = await called(embedder, texts)
            seconds = time.perf_counter() - begin
        print(embedder.process._settings.variant, embedder.process.devices, "devices", flush=True)
    add_speed(report, name, shape, lengths, sum(lengths) / seconds, power.watts)


async def called(embedder, texts):
    """The tokens of each call, as a length each would be if its texts were equally long."""
    turns = asyncio.Semaphore(CALLERS)

    async def call(some):
        async with turns:
            found = await embedder.embed(some, "document")
        assert np.isfinite(found.vectors).all()
        return [found.tokens // len(some)] * len(some)

    calls = (call(texts[start : start + TEXTS_PER_CALL]) for start in range(0, len(texts), TEXTS_PER_CALL))
    return [length for each in await asyncio.gather(*calls) for length in each]


def texts_of(count):
    """Pieces of the repository's own files, none twice."""
    files = sorted(path for folder in ("syncd", "tests") for path in Path(ROOT, folder).rglob("*.py"))
    whole = "".join(path.read_text("utf-8", "replace") for path in files)
    pieces = [whole[start : start + TEXT_BYTES] for start in range(0, len(whole), TEXT_BYTES)]
    return [f"{number // len(pieces)} {pieces[number % len(pieces)]}" for number in range(count)]


if __name__ == "__main__":
    part(measure)
