"""After any history, told badly over a bad line to a daemon that dies in between, the collections are f(bucket)."""

from pathlib import Path
from typing import Any

import anyio
import pytest

from syncd.sources.objects.poller import QueuePoller
from syncd.sources.s3.settings import AutoSync
from syncd.sources.s3.source import BucketSource
from tests.aws_servers import Aws
from tests.crash.mistaken import DeletesFirst, TrustsEvents, believed
from tests.sources.s3.histories import FAULTS, ONCE, History, Outcome, World, live_through, world

SEEDS = range(50)
AT_ONCE = 10


def history(seed: int, **changes: Any) -> History:
    mode = AutoSync.METADATA if seed % 5 == 4 else AutoSync.DIRECT
    return History(seed, **{"drops": seed % 3 == 2, "auto_sync": mode, "kills": seed % 4 and 1} | changes)


async def outcomes(
    histories: list[History], aws: Aws, folder: Path, poller: type[QueuePoller] = QueuePoller
) -> list[Outcome]:
    found: list[Outcome] = []

    async def one(history: History, shared: World) -> None:
        found.append(await live_through(history, shared, folder / str(history.seed), poller))

    async with world(aws) as shared, anyio.create_task_group() as group:
        for each in histories:
            (folder / str(each.seed)).mkdir()
            group.start_soon(one, each, shared)
    return found


@pytest.mark.parametrize("first", range(0, len(SEEDS), AT_ONCE))
async def test_the_collections_are_what_the_bucket_says(ministack: Aws, tmp_path: Path, first: int):
    suffered: set[str] = set()
    for outcome in await outcomes([history(seed) for seed in SEEDS[first : first + AT_ONCE]], ministack, tmp_path):
        seed = outcome.history.seed
        suffered |= outcome.history.suffered.keys()
        if not outcome.history.drops:
            assert outcome.indexed == outcome.expected, f"seed {seed}, before any reconcile"
        assert outcome.after_reconcile == outcome.expected, f"seed {seed}"
        assert outcome.dead == 0
        if not outcome.history.kills:
            for key in ONCE:
                deliveries = sum(key.split("/")[1][:6] in body.replace("+", " ") for body in outcome.history.sent)
                assert outcome.made.count(key) <= max(deliveries, 1) + 4, f"seed {seed}: {key} made too often"
    assert suffered == set(FAULTS), "the line was better than it should be"


async def test_the_order_of_events_does_not_matter(ministack: Aws, tmp_path: Path):
    histories = [history(seed, drops=False, backwards=True) for seed in range(4)]
    for outcome in await outcomes(histories, ministack, tmp_path):
        assert outcome.indexed == outcome.expected, f"seed {outcome.history.seed}"


async def test_the_same_holds_against_the_other_server(moto: Aws, tmp_path: Path):
    for outcome in await outcomes([history(seed) for seed in range(4)], moto, tmp_path):
        assert outcome.after_reconcile == outcome.expected, f"seed {outcome.history.seed}"


@pytest.mark.parametrize("mistake", [DeletesFirst, TrustsEvents])
async def test_the_check_notices_mistakes(
    ministack: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mistake: type[QueuePoller]
):
    if mistake is TrustsEvents:
        monkeypatch.setattr(BucketSource, "present", believed)
    backwards = mistake is TrustsEvents
    histories = [
        history(seed, drops=False, kills=1, auto_sync=AutoSync.DIRECT, backwards=backwards) for seed in range(8)
    ]
    wrong = [o for o in await outcomes(histories, ministack, tmp_path, mistake) if o.indexed != o.expected]
    assert wrong


@pytest.mark.soak
@pytest.mark.parametrize("first", range(1000, 2000, AT_ONCE))
async def test_a_thousand_more_histories(ministack: Aws, tmp_path: Path, first: int):
    for outcome in await outcomes(
        [history(seed, kills=2) for seed in range(first, first + AT_ONCE)], ministack, tmp_path
    ):
        assert outcome.after_reconcile == outcome.expected, f"seed {outcome.history.seed}"
