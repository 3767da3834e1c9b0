"""Kill the daemon in mid-crawl, again and again for as long as you like; it must never differ from an undisturbed one.

    python -m tests.crash.soak_crawls [--histories 10] [--kills 6] [--seed 0]

Each history is a new daemon that crawls five sites at once, twice, and dies `--kills` times in each crawl. Each kill costs
a start: allow five seconds. Ends with an error, and keeps its folder, at the first difference.
"""

import argparse
import asyncio
import random
import shutil
import tempfile
from pathlib import Path

from syncd.pipeline.embed.catalog import MINILM, Catalog
from syncd.pipeline.embed.files import find_file
from tests.crash.killing_crawls import crawling
from tests.crash.site import SiteFactory
from tests.serving import serve

SITES = 5
EDITIONS = (1, 2)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--histories", type=int, default=10)
    options.add_argument("--kills", type=int, default=6)
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="syncd-soak-"))
    print(f"soaking in {folder}", flush=True)
    model = Catalog().find(MINILM)
    asyncio.run(find_file(model, model.file(), folder / "models"))
    sites = SiteFactory(SITES, given.seed)
    with serve(sites.answer) as url:
        calm = crawling(folder, "calm", sites, url, folder / "models")
        undisturbed = {edition: calm.crawl(edition) for edition in EDITIONS}
        deaths = 0
        for seed in range(given.seed, given.seed + given.histories):
            killed = crawling(folder, f"killed-{seed}", sites, url, folder / "models")
            rng = random.Random(seed)
            for edition in EDITIONS:
                for one, other in zip(killed.crawl(edition, given.kills, rng), undisturbed[edition], strict=True):
                    one.assert_equals(other)
            assert killed.asked_again == []
            deaths += killed.deaths_of_crawls
            print(
                f"{(seed - given.seed + 1) * 2 * given.kills} kills, {deaths} crawls disturbed, all equal", flush=True
            )
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
