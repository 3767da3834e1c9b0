"""A collection's documents, as the API lists them."""

from syncd.model import DocumentState, Embedding, Target
from syncd.store.changes import NewChunk, Removal, Replacement, Urgency


async def filled(api, first, second) -> None:
    """Write a document of each of two sources, prepare another one, and leave one out."""
    record = await api.store.collections.open(Target(api.database, "docs"), Embedding(model="hash"))
    chunks = [NewChunk("text", "", b"text", {"chunk_index": 0}), NewChunk("more", "", b"more", {"chunk_index": 1})]
    for source_id, key in ((first, "b.md"), (second, "a.md")):
        change = Replacement(record.id, source_id, key, f"{source_id}-{key}", "1", "made", "hash", 1, chunks)
        await api.store.documents.stage([change])
    waiting = Replacement(record.id, first, "c.md", "waiting", "1", "made", "hash", 1, chunks)
    await api.store.prepared.put(waiting, "hash", Urgency.BACKFILL)
    await api.store.documents.stage([Removal(record.id, first, "d.bin", "1", "made", DocumentState.SKIPPED, "binary")])


async def test_documents_are_listed_with_their_stages_narrowed_down_and_paged(api):
    first, second = await api.make_source(), await api.make_source()
    await filled(api, first, second)
    path = f"/api/v1/documents?database_name={api.database}&collection_name=docs"

    async def listed(more: str = "") -> list[tuple[str, str, int, str]]:
        status, found = await api.get(path + more)
        assert status == 200
        return [(it["key"], it["stage"], it["chunks"], it["reason"]) for it in found]

    whole = [
        ("a.md", "written", 2, ""),
        ("b.md", "written", 2, ""),
        ("c.md", "prepared", 2, ""),
        ("d.bin", "skipped", 0, "binary"),
    ]
    assert await listed() == whole
    assert await listed(f"&source_id={first}") == whole[1:]
    assert await listed("&stage=prepared") == whole[2:3]
    assert await listed("&limit=1&offset=1") == whole[1:2]


async def test_a_collection_that_is_not_there_and_another_database_are_refused(api):
    await filled(api, await api.make_source(), await api.make_source())
    status, answer = await api.get(f"/api/v1/documents?database_name={api.database}&collection_name=dogs")
    assert (status, "did you mean 'docs'?" in answer["message"]) == (404, True)
    token = (await api.post("/api/v1/tokens", {"name": "other", "databases": ["elsewhere"]}))[1]["token"]
    path = f"/api/v1/documents?database_name={api.database}&collection_name=docs"
    assert (await api.get(path, token=token))[0] == 403
    assert (await api.get("/api/v1/documents?collection_name=docs"))[0] == 400


async def test_a_documents_chunks_are_listed_in_the_order_of_its_text_written_or_not(api):
    first, second = await api.make_source(), await api.make_source()
    await filled(api, first, second)

    async def chunks(key: str, more: str = "", token="own"):
        path = f"/api/v1/documents/chunks?database_name={api.database}&collection_name=docs&key={key}{more}"
        return await api.get(path, token=token)

    status, found = await chunks("b.md")
    assert (status, [(it["id"], it["text"]) for it in found]) == (
        200,
        [(f"{first}-b.md-0", "text"), (f"{first}-b.md-1", "more")],
    )
    assert [it["metadata"]["chunk_index"] for it in found] == [0, 1]
    assert [it["text"] for it in (await chunks("b.md", "&limit=1&offset=1"))[1]] == ["more"]
    assert [it["id"] for it in (await chunks("c.md", f"&source_id={first}"))[1]] == ["waiting-0", "waiting-1"]
    assert (await chunks("b.md", f"&source_id={second}"))[0] == 404
    token = await api.store.tokens.create("other", frozenset({"elsewhere"}))
    assert (await chunks("b.md", token=token))[0] == 403
