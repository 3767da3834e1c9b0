"""A few seeds of the soak, and one that the mistake it is there for does not get through."""

import pytest

from tests.soak.world import Servers, story

ENOUGH_S = 15.0
"""Many times what a change takes to be indexed once nothing is in trouble."""


@pytest.fixture
def shared(chroma_server, ministack, gcs_server) -> Servers:
    return Servers(chroma_server, ministack, gcs_server)


@pytest.mark.parametrize("seed", [0, 1])
async def test_whatever_was_away_each_collection_comes_to_hold_what_its_source_holds(seed, shared, tmp_path):
    async with story(seed, tmp_path, shared) as it:
        await it.happen()
        assert await it.equal() == {}, it.told


async def test_to_remember_what_was_asked_and_not_what_was_achieved_is_caught(shared, tmp_path):
    async with story(0, tmp_path, shared, "tests.soak.forgetful") as it:
        assert await it.equal() == {}
        await it.outwait("s3")
        assert await it.equal(ENOUGH_S) != {}
