"""Print the Markdown of one file as the parser pool makes it: `python -m tests.benchmarks.parsing FILE`.

The adapter for scoring scripts that compare converters; `--times` adds seconds and peak memory on stderr.
"""

from __future__ import annotations

import asyncio
import resource
import sys
import time
from pathlib import Path

import structlog

from syncd.errors import PermanentError
from syncd.pipeline.parse.pool import ParserPool, ParserSettings


async def convert(path: Path) -> str:
    async with ParserPool(frozenset(), ParserSettings(workers=1)) as pool:
        with path.open("rb") as file:
            return "".join([part.text async for part in pool.parse(file, path.name)])


def main() -> None:
    arguments = [argument for argument in sys.argv[1:] if argument != "--times"]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    started = time.perf_counter()
    try:
        sys.stdout.write(asyncio.run(convert(Path(arguments[0]))))
    except PermanentError as error:
        sys.exit(str(error))
    if "--times" in sys.argv:
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        print(
            f"{time.perf_counter() - started:.2f} s, {children.ru_utime + children.ru_stime:.2f} CPU s, "
            f"{children.ru_maxrss / 1024:.0f} MiB",
            file=sys.stderr,
        )


if __name__ == "__main__":
    main()
