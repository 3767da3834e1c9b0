"""Which part of a large folder the quick start takes: documentation first, then code, until it is enough for a minute."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

SAMPLE_BYTES = 500_000
"""What all-MiniLM-L6-v2 embeds in about a minute on two cores: some 150,000 tokens at 2,500 a second."""
SAMPLE_MAX_GLOBS = 100
"""A folder source takes 200; a configuration that somebody reads should have fewer."""
MAX_FILES = 20_000
"""Looking further would be a silent wait."""

_DOCUMENTATION = (".md", ".rst")
_CODE = (".py", ".toml", ".sql", ".js", ".ts", ".go", ".rs", ".java", ".c", ".h", ".cpp", ".rb", ".sh", ".txt")
_LEFT_OUT = ("tests", "test", "node_modules", "venv", "build", "dist", "target", "state")


@dataclass(frozen=True, slots=True)
class Sample:
    """`globs` take `files` files of `size_bytes` in all."""

    globs: tuple[str, ...]
    files: int
    size_bytes: int


def sample(folder: Path) -> Sample | None:
    """Return a sample of `folder`, the same each time; None when the whole is no more than that. Tests are left out of it."""
    groups, total_bytes = _groups(folder)
    if total_bytes <= SAMPLE_BYTES:
        return None
    globs: list[str] = []
    files = size_bytes = 0
    for (place, suffix), sizes in sorted(
        groups.items(), key=lambda item: (_CODE.count(item[0][1]), sum(item[1]), item[0])
    ):
        if size_bytes + sum(sizes) <= SAMPLE_BYTES and len(globs) < SAMPLE_MAX_GLOBS:
            globs.append(f"/{_escaped(place)}*{suffix}")
            files += len(sizes)
            size_bytes += sum(sizes)
    return Sample(tuple(globs), files, size_bytes)


def _groups(folder: Path) -> tuple[dict[tuple[str, str], list[int]], int]:
    """Return the sizes of the texts of each folder below `folder` by suffix, and the size of all files seen."""
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    total_bytes = seen = 0
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _LEFT_OUT and not name.startswith((".", "__")))
        place = "" if Path(root) == folder else f"{Path(root).relative_to(folder).as_posix()}/"
        for name in names:
            path = Path(root, name)
            if path.is_symlink() or not path.is_file():
                continue
            size_bytes = path.stat().st_size
            total_bytes += size_bytes
            if path.suffix in _DOCUMENTATION + _CODE:
                groups[place, path.suffix].append(size_bytes)
        seen += len(names)
        if seen > MAX_FILES:
            break
    return groups, total_bytes


def _escaped(place: str) -> str:
    return re.sub(r"([\\*?\[\]!# ])", r"\\\1", place)
