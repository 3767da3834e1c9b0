"""What a source left in another database is not reached through it: by handing over, or because its table in the configuration moved."""

import pytest

from syncd.model import Chunking, Counts, Embedding, OneObject, State, Target
from syncd.sources.folder.settings import FolderSourceSettings
from syncd.store.changes import NewChunk, Replacement
from syncd.store.progress import Outcome

THEIRS = "default_database"


async def written(api, source_id, database, collection="docs") -> None:
    record = await api.store.collections.open(Target(database, collection), Embedding(model="hash"))
    chunks = [NewChunk("text", "", b"text", {"chunk_index": 0})]
    change = Replacement(record.id, source_id, "a.md", f"{database}-a.md", "1", "made", "hash", 1, chunks)
    await api.store.documents.stage([change])


@pytest.fixture
async def moved(api, store):
    """A declared source that had documents in another database, and has some in the one that it was moved to."""
    settings = FolderSourceSettings(path="/srv/notes", collection_name="docs")
    given = ("folder", THEIRS, settings, Embedding(model="hash"), Chunking())
    source = await store.sources.create(*given, name="notes")
    await written(api, source.id, THEIRS)
    run = await store.invocations.create(source.id, Target(THEIRS, "docs"), "api")
    await store.progress.note(run.id, [Outcome("b.md", "failed", "x")])
    await store.invocations.start(run.id)
    await store.invocations.settle(run.id, State.COMPLETE, Counts(failed=1))
    await store.sources.replace(source, api.database, settings, source.embedding, source.chunking, name="notes")
    await written(api, source.id, api.database)
    return source.id, run.id


@pytest.fixture
async def token(api, store):
    """One of the tests' database."""
    return await store.tokens.create("scoped", frozenset({api.database}))


@pytest.mark.parametrize("is_gone", [False, True])
async def test_documents_are_handed_over_within_their_database_only(api, store, is_gone):
    removed, heir = await api.make_source(), await api.make_source(THEIRS)
    await written(api, removed, api.database)
    if is_gone:
        await api.call("DELETE", f"/api/v1/sources/{removed}")

    status, answer = await api.post(f"/api/v1/sources/{removed}/remove", {"documents": "hand_over", "to": heir})
    assert (status, "hand them over to a source of theirs, or keep or purge them" in answer["message"]) == (400, True)
    assert (await store.sources.get(removed) is None) == is_gone
    assert await store.absent_sources.doomed() == []

    successor = await api.make_source()
    to_successor = {"documents": "hand_over", "to": successor}
    assert await api.post(f"/api/v1/sources/{removed}/remove", to_successor) == (204, None)
    assert [(it.id, it.fate) for it in await store.absent_sources.doomed()] == [(removed, successor)]


async def test_a_source_that_was_moved_does_not_hand_over_what_it_left_where_it_was(api, store, moved):
    source_id, _ = moved
    to = {"documents": "hand_over", "to": await api.make_source()}
    status, answer = await api.post(f"/api/v1/sources/{source_id}/remove", to)
    assert (status, repr(THEIRS) in answer["message"]) == (400, True)
    assert await store.sources.get(source_id) is not None


async def test_a_token_of_one_database_does_not_purge_what_a_source_has_in_another(api, store, moved, token):
    path = f"/api/v1/sources/{moved[0]}/remove"
    assert (await api.post(path, {"documents": "purge"}, token=token))[0] == 403
    assert await store.absent_sources.doomed() == []
    assert await api.post(path, {"documents": "purge"}) == (204, None)
    assert [it.fate for it in await store.absent_sources.doomed()] == ["purge"]


async def test_verifying_a_source_looks_at_the_collections_of_its_database(api, moved, token):
    for used in (token, api.token):
        status, found = await api.post(f"/api/v1/sources/{moved[0]}/verify", {"repair": True}, token=used)
        assert (status, [it["database_name"] for it in found]) == (200, [api.database])


async def test_a_token_of_one_database_sees_no_runs_of_a_source_into_another(api, store, moved, token):
    (listed,) = (await api.get("/api/v1/sources", token=token))[1]
    assert (listed["status"], listed["metadata"]["database_name"]) == ("pending", api.database)


async def test_a_run_into_another_database_is_no_latest_one_of_a_key_for_a_token_that_does_not_cover_it(
    api, store, moved, token
):
    source_id, _ = moved
    theirs = await store.invocations.create(source_id, Target(THEIRS, "docs"), "api", OneObject("a.md"))
    path, asked = f"/api/v1/sources/{source_id}/invocations/latest-by-keys", {"object_keys": ["a.md"]}
    assert await api.post(path, asked, token=token) == (200, {})
    assert (await api.post(path, asked))[1]["a.md"]["id"] == theirs.id


async def test_a_run_is_not_retried_in_a_database_that_its_source_has_left(api, store, moved):
    source_id, run = moved
    theirs = await store.tokens.create("theirs", frozenset({THEIRS}))
    asked_before = await store.invocations.list(source_id)
    status, answer = await api.post(f"/api/v1/invocations/{run}/retry", token=theirs)
    assert (status, f"source {source_id} is in another database by now" in answer["message"]) == (412, True)
    assert await store.invocations.list(source_id) == asked_before
