"""The real program's state is exported while it runs and taken up on another machine, over another Chroma, with nothing embedded again."""

import pytest

from tests.app.test_daemon import syncd
from tests.daemon import Daemon, held
from tests.faults.synced import Synced, configuration, write_notes


@pytest.fixture
def notes(tmp_path):
    return write_notes(tmp_path / "notes", 6, 4)


@pytest.fixture
def synced(notes, fresh_name, tmp_path):
    synced = Synced.start(tmp_path / "daemon", {fresh_name: notes})
    yield synced
    assert synced.daemon.stop() == 0


@pytest.fixture
def other(synced, notes, chroma_server, fresh_name, tmp_path):
    """A daemon over another Chroma and a state folder of its own, which was never started."""
    server = f'mode = "server"\nhost = "{chroma_server.host}"\nport = {chroma_server.port}'
    first = synced.daemon
    other = Daemon(tmp_path / "other", configuration({fresh_name: notes}, server), first.program, first.environment)
    other.write_configuration()
    yield other
    if other.process is not None:
        assert other.stop() == 0


def test_a_running_daemons_export_fills_another_chroma_and_goes_on_without_embedding(
    synced, other, chroma_server, fresh_name, tmp_path
):
    file = tmp_path / "export"
    done = syncd(synced.daemon, "export", str(file))
    assert (done.returncode, "without credentials" in done.stdout) == (0, True), done.stderr
    (before,) = synced.daemon.rows("SELECT max(seq) FROM invocations")
    done = syncd(other, "import", str(file))
    assert (done.returncode, "fills its collections" in done.stdout) == (0, True), done.stderr
    other.start()
    run = "SELECT state, json_extract(counts, '$.chunks_embedded') FROM invocations WHERE seq > ?"
    other.wait_until(lambda: other.rows(run, *before) and not other.unsettled())
    other.wait_until(lambda: other.rows("SELECT 1 FROM collections WHERE rebuilding IS NULL"))
    held(chroma_server.host, chroma_server.port, fresh_name).assert_equals(synced.right[fresh_name])
    assert {*other.rows(run, *before)} == {("complete", 0)}
    again = syncd(synced.daemon, "import", str(file))
    assert (again.returncode, "another syncd" in again.stderr) == (78, True)
