"""What the quick start takes of a folder that is too large for it."""

from pathlib import Path

import pytest

from syncd.cli.sample import SAMPLE_BYTES, sample
from syncd.sources.globs import Globs

ROOT = Path(__file__).parent.parent.parent


def fill(path: Path, size_bytes: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size_bytes)


def test_a_small_folder_is_taken_whole(tmp_path):
    fill(tmp_path / "notes.md", 1000)
    assert sample(tmp_path) is None


def test_documentation_comes_before_code_and_what_does_not_fit_is_passed_over(tmp_path):
    fill(tmp_path / "README.md", SAMPLE_BYTES // 2)
    fill(tmp_path / "small" / "a.py", 1000)
    fill(tmp_path / "large" / "b.py", SAMPLE_BYTES)
    fill(tmp_path / "lock.lock", SAMPLE_BYTES)
    taken = sample(tmp_path)
    assert taken is not None
    assert taken.globs == ("/*.md", "/small/*.py")
    assert (taken.files, taken.size_bytes) == (2, SAMPLE_BYTES // 2 + 1000)


@pytest.mark.parametrize("place", ["tests", ".venv", "node_modules", "__pycache__"])
def test_tests_and_what_others_wrote_are_left_out(tmp_path, place):
    fill(tmp_path / "code.py", SAMPLE_BYTES)
    fill(tmp_path / "docs" / "more.py", 100)
    fill(tmp_path / place / "more.md", 100)
    taken = sample(tmp_path)
    assert taken is not None
    assert not Globs(taken.globs, "include_globs").match(f"{place}/more.md")


def test_names_with_signs_of_patterns_stand_for_themselves(tmp_path):
    fill(tmp_path / "[slug] *" / "page.md", 100)
    fill(tmp_path / "big.py", SAMPLE_BYTES + 1)
    taken = sample(tmp_path)
    assert taken is not None
    globs = Globs(taken.globs, "include_globs")
    assert globs.match("[slug] */page.md")
    assert not globs.match("s x/page.md")


def test_however_large_this_checkout_grows_its_sample_is_its_documentation_and_package_and_no_more(tmp_path):
    taken = sample(ROOT)
    assert taken is not None
    assert taken.size_bytes <= SAMPLE_BYTES
    globs = Globs(taken.globs, "include_globs")
    assert globs.match("README.md")
    assert globs.match("syncd/README.md")
    assert any(glob.startswith("/syncd/") and glob.endswith(".py") for glob in taken.globs)
    assert not any(globs.match(path) for path in ("tests/test_layers.py", "requirements.lock", ".venv/lib/x.py"))
