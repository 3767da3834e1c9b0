"""SIGKILL at random moments, and the collection still equals that of a run nobody disturbed."""

import random
import time
from pathlib import Path

import pytest

from tests.crash import history
from tests.daemon import MINILM, Daemon, held

FILES, COMMITS, KILLS_PER_COMMIT = 24, 5, 2


def configuration(git_server, chroma_server, models: Path, collection: str) -> str:
    return f"""
[api]
port = 0
[chroma]
mode = "server"
host = "{chroma_server.host}"
port = {chroma_server.port}
[embedding]
default_model = "{MINILM}"
models_dir = "{models}"
threads = 1
[github]
base_url = "{git_server.url}"
[[sources]]
name = "code"
type = "github"
repository = "owner/code"
collection = "{collection}"
interval_s = 1
chunking = {{ target_size_bytes = 200 }}
"""


@pytest.mark.parametrize("seed", range(3))
def test_a_killed_daemon_ends_in_the_same_collection(
    seed, git_server, chroma_server, minilm_folder, tmp_path, fresh_name
):
    rng = random.Random(seed)
    files = history.first(rng, FILES)
    steps = list(history.commits(rng, files, COMMITS))
    head = git_server.create("owner/code", files)
    calm, killed = (
        Daemon(tmp_path / name, configuration(git_server, chroma_server, minilm_folder, f"{fresh_name}-{name}"))
        for name in ("calm", "killed")
    )
    calm.start()
    kills = 0
    for changes in [None, *steps]:
        if changes is not None:
            head = git_server.commit("owner/code", changes)
        calm.wait_for(head)
        for _ in range(KILLS_PER_COMMIT):
            killed.launch()
            killed.wait_ready()
            # A run takes about a second from here; the moment of death is spread over it and a little beyond.
            time.sleep(rng.random() * 1.2)
            killed.kill()
            kills += 1
        killed.start()
        killed.wait_for(head)
        killed.kill()
    assert kills == (COMMITS + 1) * KILLS_PER_COMMIT
    assert calm.stop() == 0
    undisturbed, disturbed = (
        held(chroma_server.host, chroma_server.port, f"{fresh_name}-{name}") for name in ("calm", "killed")
    )
    assert len(undisturbed.rows) > FILES
    disturbed.assert_equals(undisturbed)
