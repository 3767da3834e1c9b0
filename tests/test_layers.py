"""Imports point down the layers, and peers do not know each other."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "syncd"

LAYERS = [
    {"syncd.__main__"},
    {"syncd.cli"},
    {"syncd.app"},
    {"syncd.app_services", "syncd.app_models", "syncd.app_documents", "syncd.app_settings", "syncd.app_upkeep"},
    {"syncd.search_views"},
    {"syncd.api", "syncd.declared", "syncd.triggers", "syncd.opening", "syncd.sync"},
    {"syncd.run", "syncd.ingesters"},
    {"syncd.pipeline.ingest", "syncd.search", "syncd.sources"},
    {
        "syncd.pipeline.job",
        "syncd.pipeline.drafts",
        "syncd.pipeline.effects",
        "syncd.pipeline.verify",
        "syncd.pipeline.in_hand",
        "syncd.pipeline.watching",
    },
    {
        "syncd.pipeline.index",
        "syncd.pipeline.lineage",
        "syncd.pipeline.recorder",
        "syncd.pipeline.parse",
        "syncd.pipeline.chunk",
        "syncd.pipeline.embed",
        "syncd.pipeline.sparse",
    },
    {"syncd.pipeline.held", "syncd.pipeline.refill"},
    {"syncd.pipeline.telling", "syncd.pipeline.probe"},
    {"syncd.store", "syncd.chroma"},
    {"syncd.runtime"},
    {"syncd.log", "syncd.config"},
    {"syncd.config_models", "syncd.config_documents"},
    {"syncd.config_sources"},
    {"syncd.rules"},
    {"syncd.model"},
    {"syncd.errors"},
    {"syncd"},
]
"""From the top: a module may import from lower lines only."""

EDGES = {"syncd.config", "syncd.config_documents", "syncd.config_models", "syncd.config_sources"}
READS_CONFIG = {
    "syncd.app",
    "syncd.app_services",
    "syncd.app_models",
    "syncd.app_documents",
    "syncd.app_settings",
    "syncd.app_upkeep",
    "syncd.declared",
    "syncd.cli",
    "syncd.config",
    "syncd.config_documents",
    "syncd.config_models",
    "syncd.config_sources",
}


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> tuple[int, str]:
    """Return the line and name of the longest entry of LAYERS that `module` belongs to."""
    found = [
        (len(room), level, room)
        for level, rooms in enumerate(LAYERS)
        for room in rooms
        if module == room or module.startswith(room + ".")
    ]
    _, level, room = max(found)
    return level, room


def imports_of(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    modules = {module_of(file) for file in ROOT.rglob("*.py")}
    return {name for name in names if name in modules and name != "syncd"}


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=module_of)
def test_imports_point_down(path):
    module = module_of(path)
    level, room = room_of(module)
    for imported in imports_of(path):
        other_level, other_room = room_of(imported)
        assert room == other_room or other_level > level, f"{module} must not import {imported}"
        assert imported not in EDGES or room in READS_CONFIG, f"{module} must not read the configuration"
