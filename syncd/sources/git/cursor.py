"""Which commit a collection holds: the cursor of a repository."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class CommitCursor:
    """Which commit a collection holds, under which settings; `toward` while a run to another commit is under way."""

    sha: str
    settings: str
    toward: str | None = None

    @classmethod
    def read(cls, text: str | None) -> CommitCursor | None:
        """Return what a stored cursor says; None for none, and for what cannot be one."""
        try:
            value: Any = json.loads(text) if text else None
            return cls(**value) if value else None
        except (ValueError, TypeError):
            return None

    def __str__(self) -> str:
        return json.dumps(asdict(self))


def commit_of(cursor: str | None) -> str | None:
    """Return the commit that a collection with this cursor holds; None if it holds none, or is on its way to another."""
    read = CommitCursor.read(cursor)
    return read.sha if read and read.toward is None else None
