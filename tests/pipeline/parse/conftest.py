from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from syncd.pipeline.parse.pool import ParserPool, ParserSettings
from syncd.pipeline.parse.task import Ocr


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool() -> AsyncIterator[ParserPool]:
    """One pool for a module's tests, without OCR, so that its process starts once."""
    settings = ParserSettings(workers=1, ocr=Ocr(enabled=False), step_limit_s=60)
    async with ParserPool(settings) as pool:
        yield pool
