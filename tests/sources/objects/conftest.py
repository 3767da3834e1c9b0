from collections.abc import AsyncIterator

import pytest

from tests.sources.objects.clouds import Cloud, fresh_cloud


@pytest.fixture(params=["gcs", "azure"])
async def cloud(request: pytest.FixtureRequest) -> AsyncIterator[Cloud]:
    async with fresh_cloud(request.getfixturevalue(f"{request.param}_server")) as made:
        yield made
