"""SIGKILL at random moments while buckets change and tell of it badly over a bad line: the collections are f(bucket)."""

import pytest

from syncd.sources.s3.settings import AutoSync
from tests.aws_servers import KEY
from tests.crash.killing_buckets import TextHistory, configuration, differences, storm
from tests.daemon import Daemon

BUCKETS, KILLS = 3, 3


def histories(seed: int, **changes) -> list[TextHistory]:
    """Return the histories of one run: of two modes, and in every other run with events that never come."""
    modes = [AutoSync.DIRECT, AutoSync.DIRECT, AutoSync.METADATA]
    return [
        TextHistory(
            100 * seed + number,
            **{"drops": seed % 2 == 1, "auto_sync": mode, "tenant": f"tenant-{seed}-{number}"} | changes,
        )
        for number, mode in enumerate(modes)
    ]


@pytest.fixture(scope="module")
def calm(ministack, minilm_folder, tmp_path_factory):
    """A daemon with its own Chroma that nobody disturbs."""
    daemon = Daemon(tmp_path_factory.mktemp("calm"), configuration(minilm_folder, "", ministack.url)).start()
    yield daemon
    assert daemon.stop() == 0


@pytest.fixture
def chroma(chroma_server):
    return f'mode = "server"\nhost = "{chroma_server.host}"\nport = {chroma_server.port}'


@pytest.mark.parametrize("seed", range(1))
async def test_a_killed_daemon_loses_no_event(seed, ministack, calm, chroma, minilm_folder, tmp_path):
    async with storm(ministack, tmp_path, minilm_folder, chroma, histories(seed)) as it:
        await it.live(KILLS)
        assert it.kills == KILLS
        if it.followed[0].history.drops:
            await it.reconcile()
        assert await differences(it, calm, ministack) == []
        kept = [tmp_path / "log", *(tmp_path / "state").glob("syncd.*")]
        assert not any(KEY.secret_access_key.encode() in file.read_bytes() for file in kept)


async def test_deleting_the_message_first_is_caught(ministack, calm, chroma, minilm_folder, tmp_path):
    program = ("tests.crash.mistaken", "deletes-first")
    async with storm(ministack, tmp_path, minilm_folder, chroma, histories(2, fault_share=0.0), program) as it:
        await it.live(1, it.until_empty)
        assert await differences(it, calm, ministack) != []


async def test_trusting_the_event_is_caught(ministack, calm, chroma, minilm_folder, tmp_path):
    program = ("tests.crash.mistaken", "trusts-events")
    told = histories(4, fault_share=0.0, backwards=True)
    async with storm(ministack, tmp_path, minilm_folder, chroma, told, program) as it:
        await it.live(0)
        assert await differences(it, calm, ministack) != []
