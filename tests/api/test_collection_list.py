from tests.api.test_documents import filled


async def test_collections_say_what_they_hold_and_how_much_of_it_is_embedded(api):
    await filled(api, await api.make_source(), await api.make_source())
    status, found = await api.get("/api/v1/collections")
    assert status == 200
    assert found == [
        {
            "database_name": api.database,
            "collection_name": "docs",
            "indexed": 2,
            "skipped": 1,
            "failed": 0,
            "chunks": 4,
            # Four written chunks and two that wait for their vectors.
            "embedded_share": 0.6667,
            "bloat": 1.0,
            "filled": None,
        }
    ]
    assert await api.get("/api/v1/collections?offset=1") == (200, [])


async def test_a_limited_token_is_told_of_its_databases_collections_only(api, store):
    await filled(api, await api.make_source(), await api.make_source())
    token = await store.tokens.create("other", frozenset({"elsewhere"}))
    assert await api.get("/api/v1/collections", token=token) == (200, [])


async def test_runs_that_hold_deletes_are_listed_for_those_who_may_see_them(api, store):
    first = await api.make_source()
    await filled(api, first, await api.make_source())
    *_, run = [await api.make_invocation(first) for _ in range(3)]
    await store.progress.hold_deletes(run, ["b.md", "gone.md"], "suspiciously many")
    held = {"invocation_id": run, "source_id": first, "database_name": api.database, "collection_name": "docs"}
    assert await api.get("/api/v1/held-deletes") == (200, [{**held, "documents": 1}])
    token = await store.tokens.create("other", frozenset({"elsewhere"}))
    assert await api.get("/api/v1/held-deletes", token=token) == (200, [])
