"""Where uploaded files lie until their invocation is over."""

from __future__ import annotations

from pathlib import Path

from syncd.runtime.state import UPLOADS_FOLDER
from syncd.sources.upload.settings import UPLOAD_NAME
from syncd.store.database import Database
from syncd.store.invocation_codec import UPLOADED_FILE


def upload_folder(state: Path) -> Path:
    """Return the folder of uploaded files, which have generated names."""
    return state / UPLOADS_FOLDER


async def files_needed(database: Database) -> frozenset[str]:
    """Return the uploaded files of invocations that are not complete or cancelled."""
    is_needed = "source_type = ? AND state IN ('pending', 'processing', 'failed')"
    statement = f"SELECT {UPLOADED_FILE} FROM invocations WHERE {is_needed}"  # noqa: S608 - of constants
    return await database.read(lambda c: frozenset(name for (name,) in c.execute(statement, (UPLOAD_NAME,))))
