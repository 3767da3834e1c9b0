"""The unit file says what the README promises of the service."""

import configparser
import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "systemd"

needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")


@pytest.fixture(params=["plain", "gpu"])
def unit(request, tmp_path):
    """The unit as it would be installed, but for a program that exists here; with and without the drop-in for GPUs."""
    lines = (FOLDER / "syncd.service").read_text().splitlines()
    text = "\n".join("ExecStart=/bin/true" if line.startswith("ExecStart=") else line for line in lines)
    if request.param == "gpu":
        # The offline check reads no drop-ins; at the end of [Service] it means the same.
        drop_in = (FOLDER / "syncd-gpu.conf").read_text().replace("[Service]", "")
        text = text.replace("[Install]", drop_in + "\n[Install]")
    path = tmp_path / "syncd.service"
    path.write_text(text)
    return path


@needs_systemd
def test_systemd_understands_the_unit(unit):
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
    complaints = [line for line in (done.stdout + done.stderr).splitlines() if "syncd.service" in line]
    assert (done.returncode, complaints) == (0, [])


@needs_systemd
def test_systemd_understands_the_unit_of_workers(tmp_path):
    lines = (FOLDER / "syncd-worker.service").read_text().splitlines()
    path = tmp_path / "syncd-worker.service"
    path.write_text("\n".join("ExecStart=/bin/true" if line.startswith("ExecStart=") else line for line in lines))
    done = subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True)
    complaints = [line for line in (done.stdout + done.stderr).splitlines() if "syncd-worker" in line]
    assert (done.returncode, complaints) == (0, [])


@needs_systemd
def test_the_unit_is_hardened(unit):
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=15", unit]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def settings_of(name: str) -> configparser.SectionProxy:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str
    parser.read(FOLDER / name)
    return parser["Service"]


def test_what_gets_out_of_hand_leaves_memory_to_the_machine_and_the_daemon_alive():
    service = settings_of("syncd.service")
    high, most = (int(service[name].removesuffix("%")) for name in ("MemoryHigh", "MemoryMax"))
    assert high < most < 100
    assert service["OOMPolicy"] == "continue"
    assert not {"MemoryHigh", "MemoryMax", "OOMPolicy"} & set(settings_of("syncd-gpu.conf"))


def test_the_daemon_gets_the_signals_and_the_time_that_it_counts_on():
    service = settings_of("syncd.service")
    assert service["Type"] == "notify"
    assert service["KillMode"] == "mixed"
    assert service["RestartPreventExitStatus"] == "78"
    assert int(service["WatchdogSec"]) > 0
    assert int(service["TimeoutStopSec"]) > 60
