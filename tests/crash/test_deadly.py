"""A document that the daemon dies of is found out among its company, and left out."""

import signal
import time

from tests.crash.deadly import NAME
from tests.daemon import MINILM, Daemon

FILES = 20


def test_a_document_that_the_daemon_died_of_three_times_is_set_aside_and_the_others_go_on(
    chroma_server, minilm_folder, tmp_path, fresh_name
):
    folder = tmp_path / "files"
    folder.mkdir()
    for name in [*(f"{number}.txt" for number in range(FILES)), NAME]:
        (folder / name).write_text(f"What {name} says.\n")
    daemon = Daemon(
        tmp_path / "daemon",
        f"""
[api]
port = 0
[chroma]
mode = "server"
host = "{chroma_server.host}"
port = {chroma_server.port}
[embedding]
default_model = "{MINILM}"
models_dir = "{minilm_folder}"
threads = 1
[folder]
allowed_roots = ["{folder}"]
[[sources]]
name = "files"
type = "folder"
path = "{folder}"
collection = "{fresh_name}"
""",
        program=("tests.crash.deadly",),
    )
    for _ in range(3):
        daemon.launch()
        assert daemon.wait_dead() == -signal.SIGKILL, daemon.log()
    daemon.start()
    deadline = time.monotonic() + 60
    while daemon.unsettled():
        assert daemon.process.poll() is None, daemon.log()
        assert time.monotonic() < deadline, daemon.log()
        time.sleep(0.05)
    assert daemon.stop() == 0
    failed = daemon.rows("SELECT key, reason FROM documents WHERE state = 'failed'")
    assert [key for key, _ in failed] == [NAME]
    assert "syncd retry" in failed[0][1]
    assert daemon.rows("SELECT count(*) FROM documents WHERE state = 'indexed'") == [(FILES,)]
    assert daemon.rows("SELECT held, deaths, condemned FROM in_hand") == [(0, 3, 1)]
