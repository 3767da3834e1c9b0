"""Documents with warnings, as the API lists them."""

from syncd.model import DocumentWarning, Embedding, Target
from syncd.store.changes import NewChunk, Replacement

CUT = DocumentWarning("table_cut", "after row 10", 3)


async def warned(api, source_id, key, collection="docs") -> None:
    record = await api.store.collections.open(Target(api.database, collection), Embedding(model="hash"))
    chunks = [NewChunk("text", "", b"text", {"chunk_index": 0})]
    await api.store.documents.stage(
        [Replacement(record.id, source_id, key, f"{collection}-{key}", "1", "made", "hash", 1, chunks, warnings=[CUT])]
    )


async def keys(api, query="", **options) -> list[str]:
    status, found = await api.get(f"/api/v1/documents/warnings{query}", **options)
    assert status == 200
    return [document["key"] for document in found]


async def test_documents_are_listed_with_what_was_left_out_of_them(api):
    source_id = await api.make_source()
    await warned(api, source_id, "a.xlsx")
    _, (document,) = await api.get("/api/v1/documents/warnings")
    assert document.pop("at")
    assert document == {
        "source_id": source_id,
        "database_name": api.database,
        "collection_name": "docs",
        "key": "a.xlsx",
        "version": "1",
        "stage": "written",
        "warnings": [{"code": "table_cut", "message": "after row 10", "count": 3}],
    }


async def test_they_can_be_narrowed_down_and_paged(api):
    first, second = await api.make_source(), await api.make_source()
    await warned(api, first, "a")
    await warned(api, second, "b")
    await warned(api, second, "c", "wiki")
    assert await keys(api) == ["a", "b", "c"]
    assert await keys(api, f"?source_id={second}") == ["b", "c"]
    assert await keys(api, "?collection_name=wiki") == ["c"]
    assert await keys(api, "?code=encoding_guessed") == []
    assert await keys(api, "?limit=1&offset=1") == ["b"]


async def test_what_is_not_a_kind_or_an_id_is_refused_and_other_databases_are_not_shown(api):
    await warned(api, await api.make_source(), "a")
    assert (await api.get("/api/v1/documents/warnings?code=nonsense"))[0] == 400
    assert (await api.get("/api/v1/documents/warnings?source_id=nonsense"))[0] == 400
    token = (await api.post("/api/v1/tokens", {"name": "other", "databases": ["elsewhere"]}))[1]["token"]
    assert await keys(api, token=token) == []
    assert (await api.get(f"/api/v1/documents/warnings?database_name={api.database}", token=token))[0] == 403
