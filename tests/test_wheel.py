"""The wheel holds all that the program reads, and the program works from it with no checkout in reach."""

import os
import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

from tests.app.test_daemon import configuration, until
from tests.daemon import Daemon

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return Path(
        next(WheelBuilder(str(ROOT)).build(directory=str(tmp_path_factory.mktemp("dist")), versions=["standard"]))
    )


@pytest.fixture(scope="module")
def unpacked(wheel, tmp_path_factory):
    folder = tmp_path_factory.mktemp("site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    place = [sys.executable, "-c", "import syncd; print(syncd.__file__)"]
    done = subprocess.run(place, capture_output=True, text=True, env={**os.environ, **paths(folder)})
    assert done.stdout.strip() == str(folder / "syncd" / "__init__.py")
    return folder


def paths(unpacked: Path) -> dict[str, str]:
    """The variables with which Python finds the package there, and not in the folder that it is started in."""
    return {"PYTHONPATH": str(unpacked), "PYTHONSAFEPATH": "1"}


def syncd(unpacked: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "syncd", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **paths(unpacked)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_holds_every_file_of_the_package_and_none_of_the_tests(wheel):
    package = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "syncd").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    about = {name for name in names if ".dist-info/" in name}
    assert names - about == package
    assert {name.partition("/")[2] for name in about} == {
        "METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE",
    }  # fmt: skip


def test_no_file_of_it_leads_back_into_the_checkout(unpacked):
    """What lies elsewhere in the checkout and belongs to the package is linked into it."""
    linked = [path.relative_to(ROOT) for path in (ROOT / "syncd").rglob("*") if path.is_symlink()]
    assert linked
    for path in linked:
        assert not (unpacked / path).is_symlink()
        assert (unpacked / path).read_bytes() == (ROOT / path).read_bytes()


def test_the_template_of_a_configuration_is_in_it(unpacked):
    assert syncd(unpacked, "config", "template") == (ROOT / "config" / "syncd.toml").read_text()


def test_a_daemon_from_it_migrates_syncs_code_and_pages_searches_and_shows_the_dashboard(
    unpacked, minilm_folder, tmp_path
):
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "kite.py").write_text('def fly():\n    """A kite flies higher in the evening."""\n')
    (notes / "pear.html").write_text(
        "<html><body><main><h1>Pears</h1><p>Pears ripen in the dark.</p></main></body></html>"
    )
    declared = f'[[sources]]\nname = "notes"\ntype = "folder"\npath = "{notes}"\ncollection = "notes"\n'
    config = configuration(minilm_folder, declared)
    daemon = Daemon(tmp_path / "daemon", config, environment=paths(unpacked)).start()
    try:
        until(lambda: len(daemon.rows("SELECT 1 FROM documents WHERE state = 'indexed'")) == 2)
        asking = ("search", "a kite in the evening", "--collection", "notes", "--config")
        assert "kite.py" in syncd(unpacked, *asking, str(daemon.folder / "syncd.toml"))
        with urllib.request.urlopen(daemon.announced()["url"] + "/dashboard/app.js", timeout=60) as answer:
            assert answer.read() == (ROOT / "syncd" / "dashboard" / "app.js").read_bytes()
    finally:
        assert daemon.stop() == 0
