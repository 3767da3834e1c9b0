import json
import os
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from syncd.cli import main
from syncd.cli.client import SERVICE
from syncd.cli.service import LINK, UNIT, UNIT_PROGRAM

UNITS = Path(__file__).parents[2] / "systemd"


@pytest.fixture
def root(tmp_path):
    """The root folder of a machine's image."""
    (tmp_path / "etc").mkdir()
    return tmp_path


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it printed."""

    status: int
    stdout: str
    stderr: str


@pytest.fixture
def syncd(capsys):
    """The command line, in this process."""

    def run(action: str, *arguments: object) -> Ended:
        with pytest.raises(SystemExit) as ended:
            main(["service", action, *map(str, arguments)])
        return Ended(ended.value.code, *capsys.readouterr())

    return run


@pytest.fixture
def install(syncd, root):
    def run(*more: str) -> str:
        done = syncd("install", "--root", root, "--program", UNIT_PROGRAM, *more)
        assert done.status == 0, done.stderr
        return done.stdout

    return run


def files(root: Path) -> dict[str, tuple[str, str]]:
    """Every file below a root that is ours, with its mode and text."""
    paths = [path for path in (root / "etc").rglob("*syncd*") if path.is_file()] + [*(root / "etc").rglob("gpu.conf")]
    return {
        str(path.relative_to(root)): (oct(stat.S_IMODE(path.stat().st_mode)), path.read_text()) for path in set(paths)
    }


def test_a_service_is_laid_down_with_its_user_and_an_empty_configuration(root, install):
    said = install()
    laid = files(root)
    assert {name: mode for name, (mode, _) in laid.items()} == {
        "etc/sysusers.d/syncd.conf": "0o644",
        "etc/syncd/syncd.env": "0o600",
        "etc/syncd/syncd.toml": "0o644",
        UNIT: "0o644",
    }
    assert laid[UNIT][1] == (UNITS / "syncd.service").read_text()
    assert "next: declare sources in /etc/syncd/syncd.toml" in said
    assert "systemctl enable --now syncd" in said
    assert f"/{UNIT}".startswith("/etc/systemd/system/")
    assert str(SERVICE.config) == "/etc/syncd/syncd.toml"
    if shutil.which("systemd-sysusers"):
        assert "syncd:" in (root / "etc/passwd").read_text()


def test_the_unit_starts_the_program_that_was_named_and_a_gpu_is_a_drop_in(root, install):
    install("--program", "/srv/tools/bin/syncd", "--gpu")
    unit = (root / UNIT).read_text()
    assert "\nExecStart=/srv/tools/bin/syncd run --config /etc/syncd/syncd.toml\n" in unit
    assert (root / f"{UNIT}.d/gpu.conf").read_text() == (UNITS / "syncd-gpu.conf").read_text()


def test_installing_again_keeps_the_configuration_and_an_edited_unit_beside_the_new_one(root, install):
    install()
    (root / "etc/syncd/syncd.toml").write_text("[api]\nport = 9000\n")
    (root / UNIT).write_text("# mine\n")
    assert "syncd.service.before; what you changed in it belongs into a drop-in" in install()
    assert (root / "etc/syncd/syncd.toml").read_text() == "[api]\nport = 9000\n"
    assert (root / f"{UNIT}.before").read_text() == "# mine\n"
    before = files(root)
    assert "wrote" not in install()
    assert files(root) == before


def test_a_dry_run_says_all_and_does_nothing(root, install, syncd):
    said = json.loads(install("--dry-run", "--json"))
    assert f"would write {root}/{UNIT} (mode 0644)" in said["done"]
    assert list((root / "etc").iterdir()) == []
    install()
    before = files(root)
    assert f"would remove {root}/{UNIT}" in syncd("uninstall", "--root", root, "--dry-run").stdout
    assert files(root) == before


def test_uninstalling_leaves_the_configuration_and_twice_is_safe(root, install, syncd):
    install("--gpu")
    (root / LINK).parent.mkdir()
    (root / LINK).symlink_to(f"/{UNIT}")
    assert "configuration and state are kept" in syncd("uninstall", "--root", root).stdout
    assert files(root).keys() == {"etc/syncd/syncd.env", "etc/syncd/syncd.toml"}
    assert not (root / LINK).is_symlink()
    assert syncd("uninstall", "--root", root).stdout == "no service is installed\n"


def test_what_could_not_work_is_refused_before_anything_is_written(root, syncd, tmp_path_factory):
    here = syncd("install", "--root", root, "--program", "/root/.venv/bin/syncd")
    assert (here.status, "units see no home folders" in here.stderr) == (78, True)
    odd = syncd("install", "--root", root, "--program", "/opt/my tools/syncd")
    assert (odd.status, "give a whole path" in odd.stderr) == (78, True)
    nowhere = syncd("install", "--root", root / "nowhere")
    assert (nowhere.status, "is not a folder" in nowhere.stderr) == (78, True)
    outside = tmp_path_factory.mktemp("outside")
    (root / "etc/systemd").symlink_to(outside)
    led = syncd("install", "--root", root, "--program", UNIT_PROGRAM)
    assert (led.status, "leads out of" in led.stderr) == (78, True)
    assert list(outside.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0 or not Path("/usr/bin/setpriv").exists(), reason="becomes another user")
def test_on_a_real_machine_it_takes_systemd_and_root():
    as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable]
    done = subprocess.run(
        [*as_nobody, "-m", "syncd", "service", "install", "--program", UNIT_PROGRAM],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == (77 if Path("/run/systemd/system").exists() else 78)
    assert "sudo" in done.stderr or "systemd does not run this machine" in done.stderr
