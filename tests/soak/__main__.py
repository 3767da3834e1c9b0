"""Live through as many seeded stories as you like; each must end with every collection equal to its source.

    python -m tests.soak [--seeds 50] [--first 0] [--limit 90] [--program tests.soak.hurried]

A story takes about half a minute. Prints a line for each, and what happened in those that went wrong, whose folders are kept.
"""

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.soak.story import LIMIT_S
from tests.soak.world import Servers, servers, story


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seeds", type=int, default=50)
    options.add_argument("--first", type=int, default=0)
    options.add_argument("--limit", type=float, default=LIMIT_S, help="seconds within which all must be equal")
    options.add_argument("--program", default="tests.soak.hurried")
    given = options.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="syncd-soak-"))
    with servers(folder) as shared:
        wrong = [
            seed
            for seed in range(given.first, given.first + given.seeds)
            if not asyncio.run(lived(seed, folder / f"{seed}", shared, given))
        ]
    print(f"{given.seeds - len(wrong)} of {given.seeds} stories ended well; wrong: {wrong or 'none'}; {folder}")
    if not wrong:
        shutil.rmtree(folder)
    return len(wrong) > 0


async def lived(seed: int, folder: Path, shared: Servers, given: argparse.Namespace) -> bool:
    """Tell whether a story ended well, and print how."""
    folder.mkdir()
    async with story(seed, folder, shared, given.program) as it:
        began = time.monotonic()
        await it.happen()
        over = time.monotonic()
        wrong = await it.equal(given.limit)
        equal = time.monotonic()
    print(
        f"seed {seed}: {over - began:.0f} s, then equal in {equal - over:.1f} s"
        if not wrong
        else f"seed {seed}: {wrong}"
    )
    for line in it.told if wrong else ():
        print(f"    {line}")
    sys.stdout.flush()
    if not wrong:
        shutil.rmtree(folder)
    return not wrong


if __name__ == "__main__":
    sys.exit(main())
