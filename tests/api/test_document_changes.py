"""Documents are synced again and deleted by name."""

from syncd.model import Chunking, DeleteDocuments, Embedding, SomeKeys, Target
from syncd.sources.s3.label_store import Label, Labels
from syncd.sources.upload.settings import UploadSourceSettings
from syncd.store.changes import NewChunk, Replacement
from tests.api.test_sources import KEYS, S3


async def written(api, source_id, collection="docs", key="a.md") -> None:
    record = await api.store.collections.open(Target(api.database, collection), Embedding(model="hash"))
    chunks = [NewChunk("text", "", b"text", {"chunk_index": 0})]
    change = Replacement(record.id, source_id, key, f"{source_id}-{key}", "1", "made", "hash", 1, chunks)
    await api.store.documents.stage([change])


async def test_a_run_over_exactly_these_documents_is_durable_before_it_is_answered(api, store):
    source_id = await api.make_source()
    await written(api, source_id)
    path = f"/api/v1/sources/{source_id}/documents"
    asked = {"keys": ["a.md"], "target_collection_name": "docs"}
    woken = api.woken

    status, made = await api.post(f"{path}/sync", asked)
    assert (status, api.woken) == (201, woken + 1)
    assert (await store.invocations.get(made["invocation_id"])).request == SomeKeys(("a.md",), alone=True)
    assert (await api.post(f"{path}/delete", asked))[0] == 409, "the run may bring it back"
    assert (await api.call("PUT", f"/api/v1/invocations/{made['invocation_id']}"))[0] == 202
    status, made = await api.post(f"{path}/delete", asked)
    assert (status, api.woken) == (201, woken + 3)
    assert (await store.invocations.get(made["invocation_id"])).request == DeleteDocuments(("a.md",))


async def test_what_cannot_be_is_refused_with_what_to_do(api, store):
    source_id = await api.make_source(github={"repository": "octo/kept", "watch": WATCH})
    await written(api, source_id, "kept")
    path = f"/api/v1/sources/{source_id}/documents"
    asked = {"keys": ["a.md"]}
    status, answer = await api.post(f"{path}/delete", asked)
    assert (status, "remove them where they come from, or exclude them" in answer["message"]) == (409, True)
    status, answer = await api.post(f"{path}/sync", {"keys": ["b.md"]})
    assert (status, "no document 'b.md' in collection 'kept'" in answer["message"]) == (404, True)
    assert (await api.post(f"{path}/sync", {**asked, "target_collection_name": "keep"}))[0] == 404
    assert (await api.post(f"{path}/sync", {"keys": []}))[0] == 400
    token = await api.store.tokens.create("other", frozenset({"elsewhere"}))
    assert (await api.post(f"{path}/sync", asked, token=token))[0] == 403
    assert await store.invocations.list(source_id=source_id) == []


async def test_a_collection_that_a_label_of_a_followed_bucket_names_is_kept_in_step_too(api, store):
    followed = await api.make_source(s3={**S3, **KEYS, "auto_sync": "direct"})
    asked_for = await api.make_source(s3={**S3, **KEYS, "bucket_name": "other", "auto_sync": "none"})
    asked = {"keys": ["a.md"], "target_collection_name": "labelled"}
    for source_id in (followed, asked_for):
        await Labels(store.database).say(source_id, Label("", "a.md", "labelled", "", {}, "", 1.0))
        await written(api, source_id, "labelled")
        await written(api, source_id, "unnamed")

    status, answer = await api.post(f"/api/v1/sources/{followed}/documents/delete", asked)
    assert (status, "whose next run would bring" in answer["message"]) == (409, True)
    elsewhere = {**asked, "target_collection_name": "unnamed"}
    assert (await api.post(f"/api/v1/sources/{followed}/documents/delete", elsewhere))[0] == 201
    assert (await api.post(f"/api/v1/sources/{asked_for}/documents/delete", asked))[0] == 201


async def test_an_uploaded_document_is_deleted_and_not_synced_again(api, store):
    source = await store.sources.get_or_create(
        "file_upload", api.database, UploadSourceSettings(), Embedding(model="hash"), Chunking()
    )
    await written(api, source.id)
    path, asked = f"/api/v1/sources/{source.id}/documents", {"keys": ["a.md"], "target_collection_name": "docs"}
    status, answer = await api.post(f"{path}/sync", asked)
    assert (status, "use POST /api/v1/add-file" in answer["message"]) == (400, True)
    assert (await api.post(f"{path}/delete", {"keys": ["a.md"]}))[0] == 400, "it has no collection of its own"
    assert (await api.post(f"{path}/delete", asked))[0] == 201


WATCH = {"target_collection_name": "kept", "interval_s": 60}
