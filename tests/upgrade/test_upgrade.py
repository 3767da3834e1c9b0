"""A state folder of an earlier version opens, and goes on without embedding anything again."""

import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from syncd.pipeline.sparse.bm25 import code_bm25
from tests.daemon import Daemon, Held, held
from tests.git_server import GitServer
from tests.serving import serve
from tests.upgrade.make_state import configuration, wait_settled

ARCHIVE = Path(__file__).with_name("state.tar.xz")


@dataclass
class Upgraded:
    """The running daemon on the earlier state, and what its sources read."""

    daemon: Daemon
    server: GitServer
    notes: Path

    def holds(self, collection: str) -> Held:
        return held(**self.daemon.announced()["chroma"], name=collection)

    def new_counts(self) -> list[str]:
        """The counts of the runs since the upgrade, as stored."""
        return [counts for (counts,) in self.daemon.rows("SELECT counts FROM invocations ORDER BY created_at")][3:]


@pytest.fixture
def upgraded(tmp_path):
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    (tmp_path / "state").chmod(0o700)
    server = GitServer(tmp_path / "repositories")
    server.held.set()
    with serve(server.answer) as server.url:
        daemon = Daemon(tmp_path, configuration(tmp_path / "notes", server.url)).start()
        try:
            wait_settled(daemon, 5)
            yield Upgraded(daemon, server, tmp_path / "notes")
        finally:
            assert daemon.stop() == 0, daemon.log()


def test_it_opens_syncs_on_and_embeds_only_what_changed(upgraded):
    before = {name: upgraded.holds(name) for name in ("notes", "tools", "handbook")}
    assert [len(it.rows) for it in before.values()] == [3, 2, 1]
    assert all('"chunks_embedded":0' in counts and '"failed":0' in counts for counts in upgraded.new_counts())

    (upgraded.notes / "tides.md").write_text(
        "# Tides\n\nThe sea rises twice a day.\n\n## Neap tides\n\nThe moon pulls alone.\n"
    )
    commit = upgraded.server.commit("acme/tools", {"saw.py": "def saw(board):\n    return board / 2\n"})
    upgraded.daemon.wait_for(commit)
    upgraded.daemon.wait_until(lambda: "Neap" in str(upgraded.holds("notes").rows) and upgraded.daemon.unsettled() == 0)

    models = "SELECT DISTINCT model FROM postings"
    upgraded.daemon.wait_until(lambda: upgraded.daemon.rows(models) == [(code_bm25().fingerprint,)])

    embedded = sum(counts.count('"chunks_embedded":1') for counts in upgraded.new_counts())
    assert embedded == 2, upgraded.new_counts()
    assert before["handbook"].rows == upgraded.holds("handbook").rows
