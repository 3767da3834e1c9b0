"""What preparing documents costs: a folder's files to chunks, in processor seconds and memory, by the real processes alone.

    python -m tests.benchmarks.preparing FOLDER ... [--digest]

Files are taken four at once, as ingesters do; OCR is off. `--digest` prints a hash over all chunks, to compare two versions.
"""

import argparse
import asyncio
import itertools
import os
import resource
import time
from collections.abc import Iterator
from contextlib import aclosing
from hashlib import sha256
from pathlib import Path

from syncd.errors import PermanentError
from syncd.model import Chunking
from syncd.pipeline.parse.task import Ocr
from syncd.pipeline.prepare.preparer import DocumentPreparer
from syncd.pipeline.prepare.process import PreparerSettings
from tests.benchmarks.processes import MIB, Watched

AT_ONCE = 4


async def prepare(preparer: DocumentPreparer, path: Path) -> tuple[int, str]:
    """Return how many chunks a file has, and a hash of them, or of why it has none."""
    digest, count = sha256(), 0
    try:
        with path.open("rb") as file:
            async with aclosing(preparer.prepare(file, path.name, None, path.name, Chunking())) as batches:
                async for batch in batches:
                    count += len(batch)
                    digest.update(repr(batch).encode())
    except PermanentError as error:
        digest.update(str(error).encode())
    return count, digest.hexdigest()


async def prepare_all(paths: list[Path]) -> tuple[dict[Path, tuple[int, str]], float]:
    """Return what each file is made into, and the most memory all processes had together, in MiB."""
    found: dict[Path, tuple[int, str]] = {}
    waiting: Iterator[Path] = iter(paths)
    watched, peak_mib = Watched(os.getpid()), 0.0
    async with DocumentPreparer(PreparerSettings(ocr=Ocr(enabled=False))) as preparer:

        async def take() -> None:
            nonlocal peak_mib
            for path in waiting:
                found[path] = await prepare(preparer, path)
                peak_mib = max(peak_mib, sum(watched.children_memory_mib().values()))

        await asyncio.gather(*(take() for _ in range(AT_ONCE)))
    return found, peak_mib


def used_s(who: int) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("folders", type=Path, nargs="+")
    options.add_argument("--digest", action="store_true")
    given = options.parse_args()
    paths = sorted(path for path in itertools.chain(*(folder.rglob("*") for folder in given.folders)) if path.is_file())
    started = time.perf_counter()
    found, processes_mib = asyncio.run(prepare_all(paths))
    wall_s, own_s, processes_s = (
        time.perf_counter() - started,
        used_s(resource.RUSAGE_SELF),
        used_s(resource.RUSAGE_CHILDREN),
    )
    own_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MIB
    chunks = sum(count for count, _ in found.values())
    print(f"{len(found)} files, {chunks} chunks, {wall_s:.1f} s by the clock")
    print(f"CPU: {own_s:.2f} s here, {processes_s:.2f} s in the processes: ", end="")
    print(f"{(own_s + processes_s) / len(found) * 1000:.1f} ms a file")
    print(f"memory: {own_mib:.0f} MiB here, {processes_mib:.0f} in all processes at most (between files)")
    if given.digest:
        print(sha256("".join(digest for _, digest in (found[path] for path in paths)).encode()).hexdigest())


if __name__ == "__main__":
    main()
