from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from syncd.sources.registry import TYPES
from syncd.store.database import Database
from tests.web_traps import TrapServer, trap_server


@pytest.fixture
async def site() -> AsyncIterator[TrapServer]:
    async with trap_server() as server:
        yield server


@pytest.fixture
async def other_site() -> AsyncIterator[TrapServer]:
    async with trap_server() as server:
        yield server


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = await Database.open(tmp_path / "state.db", TYPES.migrations)
    yield opened
    await opened.close()
