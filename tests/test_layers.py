"""Imports point down the layers, peers do not know each other, and child processes load little."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "syncd"

LAYERS = [
    {"syncd.cli"},
    {"syncd.app"},
    {"syncd.mcp"},
    {"syncd.api", "syncd.config"},
    {"syncd.sync", "syncd.search"},
    {"syncd.index", "syncd.pipeline", "syncd.sources"},
    {"syncd.chroma", "syncd.html", "syncd.qdrant", "syncd.store"},
    {"syncd.row_checks", "syncd.runtime"},
    {"syncd.model", "syncd.errors", "syncd.log", "syncd"},
    {"syncd.redaction"},
    {"syncd.dashboard", "syncd.json_types"},
]
"""From the top: a module may import from its own package and from lower lines only."""

READS_CONFIG = {"syncd.app", "syncd.cli", "syncd.config"}


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> tuple[int, str]:
    """Return the line and name of the longest entry of LAYERS that `module` belongs to; `python -m syncd` is the command line."""
    module = "syncd.cli" if module == "syncd.__main__" else module
    found = [
        (len(room), level, room)
        for level, rooms in enumerate(LAYERS)
        for room in rooms
        if module == room or module.startswith(room + ".")
    ]
    _, level, room = max(found)
    return level, room


MODULES = {module_of(file) for file in ROOT.rglob("*.py")}


def imports_of(path: Path) -> set[str]:
    """Return the package's own modules that a file imports: a module taken from its package counts, the package does not."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            taken = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= taken if taken <= MODULES else {node.module, *taken}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name for name in names if name in MODULES and name != "syncd"}


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=module_of)
def test_imports_point_down(path):
    module = module_of(path)
    level, room = room_of(module)
    for imported in imports_of(path):
        other_level, other_room = room_of(imported)
        assert room == other_room or other_level > level, f"{module} must not import {imported}"
        assert other_room != "syncd.config" or room in READS_CONFIG, f"{module} must not read the configuration"


def test_no_module_imports_itself_through_others():
    modules = {module_of(path): path for path in ROOT.rglob("*.py")}
    imported = {module: {name for name in imports_of(path) if name != module} for module, path in modules.items()}
    done: set[str] = set()

    def walk(module: str, above: tuple[str, ...]) -> None:
        assert module not in above, f"a circle of imports: {' → '.join((*above[above.index(module) :], module))}"
        if module not in done:
            for name in sorted(imported[module]):
                walk(name, (*above, module))
            done.add(module)

    for module in sorted(modules):
        walk(module, ())


@pytest.mark.parametrize(
    ("program", "unneeded"),
    [
        (
            "from syncd.pipeline.prepare import worker, request; from syncd.pipeline import chunk; from syncd.pipeline.parse import readers",
            {"aiohttp", "asyncio", "numpy", "pydantic", "structlog"},
        ),
        ("from syncd.pipeline.embed import worker", {"aiohttp", "asyncio", "pydantic", "structlog"}),
        ("from syncd.cli import client", {"numpy", "chromadb", "llama_cpp"}),
    ],
)
def test_processes_of_which_there_are_many_load_nothing_that_they_have_no_use_for(program, unneeded):
    look = f"import sys; {program}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, timeout=120, check=True)
    assert set(done.stdout.split()) & unneeded == set()
