import pytest

from syncd.errors import RetryableError
from syncd.search import Answer

QUERY = {"query": "where is it", "database_name": "api-tests", "collection_name": "docs"}


async def test_a_search_answers_hits_with_their_lineage(api):
    status, answer = await api.post("/api/v1/search", {**QUERY, "mode": "hybrid", "where": {"key": "a"}})
    assert status == 200
    (hit,) = answer["hits"]
    assert answer["mode"] == "hybrid"
    assert (hit["id"], hit["score"], hit["text"], hit["metadata"]) == ("a-0", 0.5, "where is it", {"key": "a"})
    assert (hit["highlights"], hit["also"], hit["indexed_at"], hit["stage"]) == ([], [], None, "written")
    assert (hit["first_line"], hit["cut"], answer["next_offset"]) == (None, False, None)
    assert (answer["notices"], answer["semantic_coverage"]) == (["half of it"], 0.5)


async def test_filters_are_handed_on(api_with):
    asked = []

    async def search(query):
        asked.append(query)
        return Answer([])

    filters = {"path": "a/", "paths": ["b/"], "languages": ["Python"], "content": "code", "rules": ["path"]}
    async with api_with(search=search) as api:
        await api.post("/api/v1/search", {**QUERY, **filters, "modified_after": "1970-01-01T01:00:00+01:00"})
        await api.post("/api/v1/search", {**QUERY, "max_tokens": 2000, "expand": "section"})
    query, filling = asked
    assert (query.expand, filling.expand) == (None, "section")
    assert (query.limit, query.max_tokens, filling.limit, filling.max_tokens) == (10, None, 100, 2000)
    assert (query.paths, query.languages, query.content) == (("a/", "b/"), ("python",), "code")
    assert (query.modified_after, query.rules) == (0.0, frozenset({"path"}))


async def test_several_collections_are_searched_at_once(api):
    several = {key: value for key, value in QUERY.items() if key != "collection_name"}
    status, answer = await api.post("/api/v1/search", {**several, "collections": ["docs", "code", "docs"]})
    assert (status, [hit["id"] for hit in answer["hits"]]) == (200, ["a-0", "a-0"])
    assert answer["notices"] == ["docs: half of it", "code: half of it"]
    for wrong in (several, {**QUERY, "collections": ["docs"]}, {**several, "collections": []}):
        assert (await api.post("/api/v1/search", wrong))[0] == 400, wrong
    assert (await api.post("/api/v1/search", {**several, "collections": ["docs", "missing"]}))[0] == 404


async def test_searching_a_missing_collection_is_404(api):
    status, answer = await api.post("/api/v1/search", {**QUERY, "collection_name": "missing"})
    assert (status, answer["error"]) == (404, "not_found")


async def test_a_filter_may_have_as_many_conditions_and_values_as_chroma_takes(api):
    for where in ({"$or": [{"a": number} for number in range(500)]}, {"a": {"$in": list(range(10_000))}}):
        assert (await api.post("/api/v1/search", {**QUERY, "where": where}))[0] == 200


@pytest.mark.parametrize(
    "wrong",
    [
        {"query": ""},
        {"source_ids": []},
        {"limit": 0},
        {"max_tokens": 5},
        {"expand": "file"},
        {"expand": -1},
        {"limit": 10**9},
        {"offset": -1},
        {"mode": "exact"},
        {"query": 1, "mode": "regex"},
        {"where": []},
        {"where": {"$or": [{"a": number} for number in range(501)]}},
        {"where": {"$and": [{"b": 1}, {"$or": [{"a": 1}] * 500}]}},
        {"where": {"a": {"$in": list(range(10_001))}}},
        {"where_document": {"$or": [{"$contains": "x"}] * 20_000}},
        {"query": None},
        {"path": ""},
        {"content": "pictures"},
        {"modified_after": "yesterday"},
        {"modified_after": "2026-01-31T00:00:00"},
        {"rules": ["luck"]},
        {"group_by": "key"},
        {"fusion": {"k": 0}},
    ],
)
async def test_a_wrong_search_is_400(api, wrong):
    assert (await api.post("/api/v1/search", {**QUERY, **wrong}))[0] == 400


async def test_related_chunks_are_asked_for_by_id_or_by_place(api):
    where = {"database_name": "api-tests", "collection_name": "docs"}
    status, answer = await api.post("/api/v1/related", {**where, "chunk_id": "a-0"})
    assert (status, answer["hits"][0]["text"], answer["notices"]) == (200, "a-0", ["by words"])
    assert (await api.post("/api/v1/related", {**where, "key": "a", "line": 3}))[0] == 404
    for wrong in ({}, {"chunk_id": "a-0", "key": "a"}, {"key": "a", "line": 0}):
        assert (await api.post("/api/v1/related", {**where, **wrong}))[0] == 400, wrong


async def test_what_is_away_answers_503_with_the_reason_and_when_to_come_back(api_with):
    async def away(wanted):
        raise RetryableError("the model is restarting", 7)

    async with api_with(search=away) as api:
        status, answer = await api.post("/api/v1/search", QUERY)
    assert (status, answer["message"]) == (503, "the model is restarting")


async def test_one_text_or_many_are_embedded(api_with):
    async with api_with(loopback=True) as api:
        path = "/embed/api-tests/docs/query"
        assert await api.post(path, {"inputs": "a"}) == (200, [[1.0, 0.0, 0.0]])
        assert await api.post(path, {"inputs": []}) == (200, [])
        for wrong in ({"inputs": [""]}, {"inputs": ""}, {"inputs": [1]}, {"inputs": ["a"] * 257}, {}, []):
            assert (await api.post(path, wrong))[0] == 400, wrong


async def test_status_is_what_the_daemon_says(api):
    said = {"version": "test", "mailboxes": {}, "queues": [], "lags": [], "chroma": {"host": "h", "port": 8000}}
    assert await api.get("/api/v1/status") == (200, said)


async def test_health_says_why_it_is_not_well(api_with):
    async def unwell():
        return "Chroma does not answer"

    async with api_with(health=unwell) as api:
        status, answer = await api.get("/health", token=None)
    assert (status, answer) == (503, {"error": "unavailable", "message": "Chroma does not answer"})


async def test_health_is_ok_while_others_do_the_work_of_what_is_away_and_says_what_is(api_with):
    async with api_with(degraded=lambda: ["model m: a worker is away"]) as api:
        assert await api.get("/health", token=None) == (
            200,
            {"status": "ok", "degraded": ["model m: a worker is away"]},
        )
