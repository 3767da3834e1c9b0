"""The half of `scale ray` about workers that prepare: how much faster several are than one, and what the way to them costs.

First a stub that takes a second for each text (`napping_preparer.py`). Then the package's own code and made Word files, by two
workers and by two processes here, in turns.
"""

import asyncio
import io
import time
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from statistics import median

import psutil

from syncd.model import Chunking
from syncd.pipeline.embed.engine import Cluster
from syncd.pipeline.parse.task import Ocr
from syncd.pipeline.prepare.preparer import DocumentPreparer
from syncd.pipeline.prepare.process import PREPARE_WORKER_MODULE, PreparerSettings
from syncd.pipeline.ray.preparer import LEAST_TEXT_BYTES, RayPreparer
from syncd.pipeline.ray.preparing import RayPreparers
from tests.benchmarks.napping_preparer import NAP_S
from tests.benchmarks.processes import processor_s
from tests.pipeline.parse.documents import docx, paragraph

ROOT = Path(__file__).parents[2]
STUB = "tests.benchmarks.napping_preparer"
AT_ONCE = 64
WORD_FILES, PARAGRAPHS = 40, 1500
SETTINGS = PreparerSettings(ocr=Ocr(enabled=False))


async def prepare(preparer, name, data):
    async with aclosing(preparer.prepare(io.BytesIO(data), name, None, name, Chunking())) as batches:
        return [chunk async for batch in batches for chunk in batch]


async def rate(preparer, documents):
    """Documents a second, and all their chunks, with as many under way as the daemon has."""
    turns, begin = asyncio.Semaphore(AT_ONCE), time.perf_counter()

    async def take(name, data):
        async with turns:
            return await prepare(preparer, name, data)

    found = await asyncio.gather(*(take(*document) for document in documents))
    return len(documents) / (time.perf_counter() - begin), found


@asynccontextmanager
async def employed(here, address, count, module=PREPARE_WORKER_MODULE, least_text_bytes=LEAST_TEXT_BYTES):
    """Yield a preparer once it has so many workers."""
    pool = RayPreparers(Cluster(address, count, cpus=0.0), SETTINGS, module)
    running = asyncio.create_task(pool.run())
    try:
        while len(pool.elsewhere) < count:  # noqa: ASYNC110 - they come from other processes
            await asyncio.sleep(0.1)
        yield RayPreparer(here, pool, "mask", only_text=False, least_text_bytes=least_text_bytes)
    finally:
        running.cancel()
        await asyncio.wait([running])


async def stub(address, arguments):
    print(f"preparing: a stub of {NAP_S:g} s a text, load {psutil.getloadavg()[0]:.1f}")
    async with DocumentPreparer(SETTINGS) as here:
        for workers in arguments.workers:
            texts = [
                (f"{number}.md", b"# One\n\nwords in a line\n" * 40) for number in range(arguments.documents * workers)
            ]
            async with employed(here, address, workers, STUB, least_text_bytes=0) as preparer:
                await rate(preparer, texts[: 2 * workers])
                found, _ = await rate(preparer, texts)
            print(f"  {workers} workers: {found:6.1f} texts/s, {found * NAP_S / workers:.2f} of what they can")


def real_documents():
    code = [(str(path.relative_to(ROOT)), path.read_bytes()) for path in sorted((ROOT / "syncd").rglob("*.py"))]
    body = "".join(
        paragraph(f"Paragraph {number}: the keeper lights the lamp at dusk." * 4) for number in range(PARAGRAPHS)
    )
    return [*code, *((f"{number}.docx", docx(body)) for number in range(WORD_FILES))]


async def real(address, pairs):
    documents = real_documents()
    print(f"preparing: {len(documents)} real documents, {pairs} pairs, load {psutil.getloadavg()[0]:.1f}")
    async with DocumentPreparer(SETTINGS) as here, employed(here, address, 2) as elsewhere:
        ratios, of_cores = [], []
        for number in range(pairs + 1):
            rates, spent_s, made = {}, {}, {}
            for side in (here, elsewhere) if number % 2 else (elsewhere, here):
                begin_s = processor_s()
                rates[side], made[side] = await rate(side, documents)
                spent_s[side] = processor_s() - begin_s
            assert made[here] == made[elsewhere]
            if number:  # the first pair starts processes
                ratios.append(rates[elsewhere] / rates[here])
                of_cores.append(spent_s[here] / spent_s[elsewhere])
                print(f"  here {rates[here]:5.0f} documents/s, two workers {rates[elsewhere]:5.0f}")
        by_cores = f"by processor seconds, Ray's own included, {median(of_cores):.2f}"
    print(
        f"  two workers against two processes: median {median(ratios):.2f}, {by_cores}, load {psutil.getloadavg()[0]:.1f}"
    )


async def measure_preparing(address, arguments):
    await stub(address, arguments)
    await real(address, arguments.pairs)
