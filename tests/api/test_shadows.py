"""Deciding about collections that are built beside those that answer."""

import pytest


@pytest.mark.parametrize("path", ["shadows/switch", "shadows/discard", "rollback"])
async def test_it_is_done_when_it_is_answered_and_only_in_databases_of_the_token(api, path):
    place = {"database_name": api.database, "collection_name": "docs"}
    assert await api.post(f"/api/v1/{path}", place) == (204, None)
    status, answer = await api.post(f"/api/v1/{path}", {**place, "collection_name": "missing"})
    assert (status, answer["message"]) == (404, "collection 'missing' has no shadow")
    limited = await api.store.tokens.create("limited", databases=frozenset({"of-others"}))
    status, _ = await api.post(f"/api/v1/{path}", place, token=limited)
    assert status == 403
