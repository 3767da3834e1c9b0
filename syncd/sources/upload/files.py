"""Where uploaded files lie until their invocation is over."""

from __future__ import annotations

from pathlib import Path

from syncd.sources.upload.settings import NAME
from syncd.store.database import Database


def upload_folder(state: Path) -> Path:
    """Return the folder of uploaded files, which lie there under generated names."""
    return state / "uploads"


async def files_needed(database: Database) -> frozenset[str]:
    """Return the uploaded files (`request["file"]`) of invocations that are not complete or cancelled."""
    statement = (
        "SELECT json_extract(request, '$.file') FROM invocations "
        "WHERE source_type = ? AND state IN ('pending', 'processing', 'failed')"
    )
    return await database.read(lambda c: frozenset(name for (name,) in c.execute(statement, (NAME,))))
