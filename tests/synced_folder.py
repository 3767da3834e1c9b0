"""Fixtures: a folder of the module's FILES, the collection it is synced into, and the parts that do it over a real Chroma server."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from syncd.model import Target
from tests.models import in_its_own_task
from tests.pipeline.parts import Parts, running, write


@pytest.fixture
def target(fresh_name: str) -> Target:
    return Target("default_database", fresh_name)


@pytest.fixture
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    write(tmp_path / "folder", request.module.FILES)
    return tmp_path / "folder"


@pytest.fixture
def vector_server(chroma_server: Any) -> Any:
    """Where the parts find Chroma; a module may put something in between."""
    return chroma_server


@pytest.fixture
async def parts(tmp_path: Path, vector_server: Any) -> AsyncIterator[Parts]:
    async with in_its_own_task(running(tmp_path / "state", vector_server)) as opened:
        yield opened
