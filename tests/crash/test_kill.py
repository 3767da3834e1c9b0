"""SIGKILL at random moments, and the collection still equals that of a run nobody disturbed."""

import random

import pytest

from tests.crash.killing import Killing, daemons

FILES, COMMITS, KILLS_PER_COMMIT = 24, 5, 2


@pytest.mark.parametrize("seed", range(2))
def test_a_killed_daemon_ends_in_the_same_collection(
    seed, git_server, chroma_server, minilm_folder, tmp_path, fresh_name
):
    chroma = f'mode = "server"\nhost = "{chroma_server.host}"\nport = {chroma_server.port}'
    names = (f"{fresh_name}-calm", f"{fresh_name}-killed")
    killing = Killing(*daemons(tmp_path, names, git_server, minilm_folder, chroma), names, git_server, KILLS_PER_COMMIT)
    kills = [killing.kills for _ in killing.live(random.Random(seed), FILES, COMMITS)]
    assert kills[-1] == (COMMITS + 1) * KILLS_PER_COMMIT


def test_one_killed_together_with_its_own_chroma_does_too(git_server, minilm_folder, tmp_path):
    names = ("calm", "killed")
    killing = Killing(*daemons(tmp_path, names, git_server, minilm_folder), names, git_server, kills_per_commit=2)
    kills = [killing.kills for _ in killing.live(random.Random(7), FILES, commits=1)]
    assert kills[-1] == 4
