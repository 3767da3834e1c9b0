"""A few seeds of the soak, and one that the mistake it is there for does not get through."""

import pytest

from tests.soak.story import story

ENOUGH_S = 20.0
"""Twice what the stories of these seeds take to end well."""


@pytest.mark.parametrize("seed", [0, 1])
async def test_whatever_was_away_each_collection_comes_to_hold_what_its_source_holds(
    seed, chroma_server, ministack, tmp_path
):
    async with story(seed, tmp_path, (chroma_server.host, chroma_server.port), ministack) as it:
        await it.happen()
        assert await it.equal() == {}, it.told


async def test_to_remember_what_was_asked_and_not_what_was_achieved_is_caught(chroma_server, ministack, tmp_path):
    address = (chroma_server.host, chroma_server.port)
    async with story(0, tmp_path, address, ministack, "tests.soak.forgetful") as it:
        await it.happen()
        assert await it.equal(ENOUGH_S) != {}
