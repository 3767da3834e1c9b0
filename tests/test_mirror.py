"""Tests are found where the code is: their folders mirror the packages, and a module is named after what it tests."""

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "syncd"
WHOLE_PROGRAM = {"benchmarks", "crash", "faults", "security", "simulation", "soak", "systemd", "upgrade"}
"""What they put to the test is no package: the running program, what may break it or into it, its unit file, its speed."""

MODULES = [path for path in sorted(TESTS.rglob("test_*.py")) if path.parent != TESTS]


@pytest.mark.parametrize("folder", sorted({path.parent for path in MODULES}), ids=lambda folder: folder.name)
def test_a_folder_of_tests_has_the_name_of_a_package(folder):
    place = folder.relative_to(TESTS)
    assert place.parts[0] in WHOLE_PROGRAM or (PACKAGE / place).is_dir()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_a_module_has_the_name_of_a_module_or_says_which_behaviour_it_tests(path):
    subject = PACKAGE / path.parent.relative_to(TESTS) / path.stem.removeprefix("test_")
    assert subject.is_dir() or subject.with_suffix(".py").exists() or ast.get_docstring(ast.parse(path.read_text()))
