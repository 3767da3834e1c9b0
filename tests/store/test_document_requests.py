"""What is asked of documents by name is durable with what makes it true."""

import pytest

from syncd.errors import ConflictError, NotFoundError
from syncd.model import (
    Chunking,
    DeleteDocuments,
    Embedding,
    GitRef,
    Origin,
    SomeKeys,
    State,
    Target,
    Upload,
    WholeSource,
)
from syncd.model.requests import may_bring
from syncd.sources.registry import TYPES
from syncd.sources.upload.settings import UploadSourceSettings
from syncd.store import Store
from syncd.store.changes import NewChunk, Replacement, Urgency

DOCS = Target("default_database", "docs")


@pytest.fixture
async def store(tmp_path):
    opened = await Store.open(tmp_path, TYPES)
    yield opened
    await opened.close()


@pytest.fixture
async def source_id(store) -> str:
    source = await store.sources.create(
        "file_upload", "default_database", UploadSourceSettings(), Embedding("hash"), Chunking()
    )
    return source.id


async def write(store, source_id, key, seen=0, collection="docs") -> Replacement:
    record = await store.collections.open(Target("default_database", collection), Embedding("hash"))
    chunks = [NewChunk("text", "", b"text", {})]
    change = Replacement(record.id, source_id, key, f"{source_id}-{key}", "1", "made", "hash", seen, chunks)
    await store.documents.stage([change])
    return change


async def known(store, change: Replacement):
    return await store.documents.get(change.collection_id, change.source_id, change.key)


async def test_a_document_to_be_synced_again_is_unknown_in_its_collection_from_then_on_and_no_other_is(
    store, source_id
):
    asked, other = await write(store, source_id, "a.md"), await write(store, source_id, "b.md")
    elsewhere = await write(store, source_id, "a.md", collection="more")
    ref = WholeSource(ref=GitRef(branch="dev"))
    await store.invocations.create(source_id, DOCS, Origin.WATCH, ref)

    made = await store.document_requests.sync_again(source_id, DOCS, ["a.md"])

    assert made.request == SomeKeys(("a.md",), ref, alone=True), "of the branch that the collection is of"
    assert [(await known(store, it)).is_wanted_anew for it in (asked, other, elsewhere)] == [True, False, False]
    assert (await known(store, asked)).version == ""
    await write(store, source_id, "a.md")
    assert not (await known(store, asked)).is_wanted_anew


async def test_a_document_that_the_source_does_not_have_there_is_refused_and_nothing_is_asked(store, source_id):
    written = await write(store, source_id, "a.md")
    for ask in (store.document_requests.sync_again, store.document_requests.delete):
        with pytest.raises(NotFoundError, match=r"no document 'c\.md' in collection 'docs'"):
            await ask(source_id, DOCS, ["a.md", "c.md"])
    assert not (await known(store, written)).is_wanted_anew
    assert await store.invocations.list() == []


async def test_a_document_that_waits_for_vectors_can_be_deleted_and_not_while_a_file_of_its_name_waits(
    store, source_id
):
    change = await write(store, source_id, "a.md")
    await store.prepared.put(change, "other", Urgency.BACKFILL)
    upload = Upload(file="f.part", filename="notes.md", custom_id="a.md")
    waiting = await store.invocations.create(source_id, DOCS, Origin.API, upload)
    with pytest.raises(ConflictError, match=f"invocation {waiting.id} is still pending"):
        await store.document_requests.delete(source_id, DOCS, ["a.md"])
    await store.invocations.settle(waiting.id, State.COMPLETE, waiting.counts)
    made = await store.document_requests.delete(source_id, DOCS, ["a.md"])
    assert (made.request, made.state) == (DeleteDocuments(("a.md",)), State.PENDING)


async def test_what_came_or_comes_anew_since_a_delete_was_asked_for_is_not_what_was_meant(store, source_id):
    change = await write(store, source_id, "a.md")
    made = await store.document_requests.delete(source_id, DOCS, ["a.md"])
    number = await store.progress.run_number(made.id)
    place = (change.collection_id, source_id, "a.md", number)
    assert not await store.document_requests.came_since(*place)
    again = await store.invocations.create(source_id, DOCS, Origin.API, Upload(file="g.part", filename="a.md"))
    assert await store.document_requests.came_since(*place), "it comes"
    await store.invocations.settle(again.id, State.COMPLETE, again.counts)
    assert not await store.document_requests.came_since(*place)
    await write(store, source_id, "a.md", seen=number + 1)
    assert await store.document_requests.came_since(*place), "it came"


@pytest.mark.parametrize(
    ("request_", "brings"),
    [
        (WholeSource(), True),
        (SomeKeys(("a", "b")), True),
        (SomeKeys(("b",)), False),
        (Upload(file="f", filename="a"), True),
        (Upload(file="f", filename="a", custom_id="b"), False),
        (DeleteDocuments(("a",)), False),
    ],
)
def test_a_run_may_bring_what_it_is_over(request_, brings):
    assert may_bring(request_, frozenset({"a"})) is brings
