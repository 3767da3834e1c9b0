"""What tests of runs have in common: parts that run, a folder, and a collection of its own."""

from pathlib import Path

import pytest

from syncd.model import Target
from tests.models import in_its_own_task
from tests.pipeline.parts import running, write
from tests.sync.syncing import FILES


@pytest.fixture
def target(fresh_name):
    return Target("default_database", fresh_name)


@pytest.fixture
def folder(tmp_path) -> Path:
    write(tmp_path / "folder", FILES)
    return tmp_path / "folder"


@pytest.fixture
async def parts(tmp_path, chroma_server):
    async with in_its_own_task(running(tmp_path / "state", chroma_server)) as opened:
        yield opened
