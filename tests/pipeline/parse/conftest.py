from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from syncd.pipeline.parse.task import Ocr
from syncd.pipeline.prepare.process import PreparerSettings
from tests.pipeline.parse.reading import PartReader


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool() -> AsyncIterator[PartReader]:
    """One pool for a module's tests, without OCR, so that its process starts once."""
    settings = PreparerSettings(workers=1, ocr=Ocr(enabled=False), step_limit_s=60)
    async with PartReader(settings) as pool:
        yield pool
