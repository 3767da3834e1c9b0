"""Kill a daemon that follows buckets by their events again and again; its collections must always be f(bucket).

    python -m tests.crash.soak_buckets [--seeds 50] [--first 1000] [--kills 5] [--server ministack]

Each seed is three buckets with a history of their own, told badly through one queue over a bad line, and costs about half a
minute. The daemon runs its own Chroma, which dies with it. Ends with an error, and keeps its folder, at the first difference.
"""

import argparse
import asyncio
import shutil
import tempfile
import time
from pathlib import Path

from syncd.pipeline.embed.catalog import MINILM, Catalog
from syncd.pipeline.embed.files import find_file
from tests.aws_servers import Aws, served
from tests.crash.killing_buckets import configuration, differences, storm
from tests.crash.test_kill_buckets import histories
from tests.daemon import Daemon


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seeds", type=int, default=50)
    options.add_argument("--first", type=int, default=1000)
    options.add_argument("--kills", type=int, default=5)
    options.add_argument("--server", choices=["ministack", "moto"], default="ministack")
    given = options.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="syncd-soak-"))
    print(f"soaking in {folder}", flush=True)
    model = Catalog().find(MINILM)
    asyncio.run(find_file(model, model.file(), folder / "models"))
    for aws in served(given.server, folder):
        asyncio.run(soak(given, folder, aws))
    shutil.rmtree(folder)


async def soak(given: argparse.Namespace, folder: Path, aws: Aws) -> None:
    """Live through every seed."""
    calm = Daemon(folder / "calm", configuration(folder / "models", "", aws.url)).start()
    kills, within_work, began = 0, 0, time.monotonic()
    try:
        for seed in range(given.first, given.first + given.seeds):
            async with storm(aws, folder / str(seed), folder / "models", "", histories(seed)) as it:
                await it.live(given.kills)
                if it.followed[0].history.drops:
                    await it.reconcile()
                assert await differences(it, calm, aws) == []
                kills, within_work = kills + it.kills, within_work + it.kills_within_work
            shutil.rmtree(folder / str(seed))
            minutes = (time.monotonic() - began) / 60
            print(f"seed {seed}: {kills} kills, {within_work} of them within work, {minutes:.1f} min", flush=True)
    finally:
        calm.stop()


if __name__ == "__main__":
    main()
