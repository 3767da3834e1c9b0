"""The disk of the state folder fills up and is freed again: work waits in between, says why, and goes on by itself."""

import shutil
import subprocess

import pytest

from tests.app.test_daemon import configuration, until
from tests.daemon import Daemon
from tests.faults.processes import health, indexed, watching, write

SIZE_MB, RESERVE_MB = 96, 24


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own in memory, which takes the right to mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system may be mounted here")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_work_waits_while_little_of_the_disk_is_free_and_goes_on_when_more_is(
    minilm_folder, small_disk, tmp_path, request
):
    folder = tmp_path / "watched"
    folder.mkdir()
    more = f"[sync]\ndisk_reserve_bytes = {RESERVE_MB << 20}\n{watching(folder)}"
    daemon = Daemon(small_disk, configuration(minilm_folder, more)).start()
    request.addfinalizer(daemon.stop)
    until(lambda: write(folder, "before", 3) <= indexed(daemon))
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(shutil.disk_usage(small_disk).free - (RESERVE_MB - 4 << 20)))
    assert "bytes free, less than sync.disk_reserve_bytes" in until(lambda: health(daemon))
    keys = write(folder, "during", 3)
    until(lambda: daemon.rows("SELECT 1 FROM invocations WHERE state = 'processing'"))
    assert not keys & indexed(daemon)
    ballast.unlink()
    until(lambda: keys <= indexed(daemon))
    until(lambda: not health(daemon))
