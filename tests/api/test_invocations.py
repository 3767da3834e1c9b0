import uuid

import pytest

from syncd.api import Pace, reruns
from syncd.model import Counts, Embedding, State, Target
from syncd.sources.upload.settings import UploadSourceSettings
from syncd.store.marks import mark_of
from syncd.store.progress import Outcome
from tests.api.test_sources import KEYS, S3
from tests.asking import stored as kept

SHA = "0123456789abcdef0123456789abcdef01234567"


async def test_an_invocation_is_durable_before_it_is_answered_and_wakes_the_syncer(api, store):
    invocation_id = await api.make_invocation(ref_identifier={"branch": "main"})

    stored = await store.invocations.get(invocation_id)
    assert stored.target == Target(api.database, "docs")
    assert kept(stored.request) == {"ref": {"branch": "main"}}
    assert api.woken == 2
    status, shown = await api.get(f"/api/v1/invocations/{invocation_id}")
    assert status == 200
    assert shown["status"] == "pending"
    assert shown["metadata"] == {
        "database_name": api.database,
        "collection_name": "docs",
        "github": {"git_ref_identifier": {"branch": "main"}},
    }


async def test_an_s3_invocation_keeps_what_was_asked_and_defaults_to_the_sources_collection(api, store):
    source_id = await api.make_source(s3={**S3, **KEYS, "path_prefix": "in/"})
    asked = {"object_key": "in/a.pdf", "custom_id": "a", "metadata": {"n": 1, "tags": ["x", "y"], "ok": True}}
    _, made = await api.post(f"/api/v1/sources/{source_id}/invocations", asked)

    stored = await store.invocations.get(made["invocation_id"])
    assert stored.target.collection == "docs"
    assert kept(stored.request) == asked
    _, shown = await api.get(f"/api/v1/invocations/{stored.id}")
    assert shown["metadata"]["s3"] == {
        "bucket_name": "bucket",
        "object_key": "in/a.pdf",
        "custom_id": "a",
        "additional_metadata": asked["metadata"],
    }


async def test_a_dry_run_is_kept_as_one_and_says_how_long_a_run_would_take(api, store):
    real = await api.make_invocation()
    await store.invocations.start(real)
    await store.invocations.settle(real, State.COMPLETE, Counts(tokens=5000))
    dry = await api.make_invocation((await store.invocations.get(real)).source_id, dry_run=True)
    assert kept((await store.invocations.get(dry)).request) == {"dry_run": True}
    await store.invocations.start(dry)
    await store.invocations.settle(dry, State.COMPLETE, Counts(tokens=5_000_000))
    _, shown = await api.get(f"/api/v1/invocations/{dry}")
    assert shown["dry_run"] is True
    assert shown["eta_s"] == pytest.approx(5_000_000 / shown["tokens_per_s"], rel=0.1)
    assert (await api.post(f"/api/v1/invocations/{dry}/retry"))[0] == 412
    _, shown = await api.get(f"/api/v1/invocations/{real}")
    assert (shown["dry_run"], shown["eta_s"]) == (False, None)


async def test_a_run_into_the_collection_that_a_watched_branch_keeps_is_of_that_branch(api, store):
    watch = {"target_collection_name": "kept", "branch": "dev"}
    source_id = await api.make_source(github={"repository": "octo/cat", "watch": watch})
    asked = ({"target_collection_name": "kept"}, {"target_collection_name": "kept", "ref_identifier": {"sha": SHA}}, {})
    runs = [await api.make_invocation(source_id, **more) for more in asked]
    requests = [kept((await store.invocations.get(run)).request) for run in runs]
    assert requests == [{"ref": {"branch": "dev"}}, {"ref": {"sha": SHA}}, {}]


async def test_a_crawl_and_a_single_object_have_no_dry_run(api, store):
    site = await api.make_source(web_scrape={"starting_url": "https://example.com/"})
    body = {"target_collection_name": "docs", "dry_run": True}
    assert (await api.post(f"/api/v1/sources/{site}/invocations", body))[0] == 400
    bucket = await api.make_source(s3={**S3, **KEYS})
    assert (await api.post(f"/api/v1/sources/{bucket}/invocations", {"object_key": "a", **body}))[0] == 400
    _, made = await api.post(f"/api/v1/sources/{bucket}/invocations", {"dry_run": True})
    assert kept((await store.invocations.get(made["invocation_id"])).request) == {"dry_run": True}


GITHUB_WRONG = {
    "no target": {"target_collection_name": None},
    "short name": {"target_collection_name": "ab"},
    "long name": {"target_collection_name": "a" * 513},
    "upper-case end": {"target_collection_name": "docS"},
    "dots in a row": {"target_collection_name": "a..b"},
    "an address": {"target_collection_name": "192.168.1.1"},
    "a key": {"object_key": "a"},
    "a custom id": {"custom_id": "a"},
    "metadata": {"metadata": {}},
    "branch and sha": {"ref_identifier": {"branch": "main", "sha": SHA}},
    "empty ref": {"ref_identifier": {}},
    "too short a sha": {"ref_identifier": {"sha": SHA[:6]}},
    "an option as branch": {"ref_identifier": {"branch": "--upload-pack=x"}},
    "ref as text": {"ref_identifier": "main"},
}


@pytest.mark.parametrize("wrong", GITHUB_WRONG.values(), ids=GITHUB_WRONG.keys())
async def test_a_wrong_github_invocation_is_400(api, wrong):
    source_id = await api.make_source()
    body = {"target_collection_name": "docs", **wrong}
    assert (await api.post(f"/api/v1/sources/{source_id}/invocations", body))[0] == 400
    assert await api.store.invocations.list() == []


S3_WRONG = {
    "metadata without a key": {"metadata": {"a": 1}},
    "empty key": {"object_key": ""},
    "outside the prefix": {"object_key": "out/a"},
    "long key": {"object_key": "in/" + "a" * 1024},
    "a ref": {"object_key": "in/a", "ref_identifier": {"branch": "main"}},
    "long custom id": {"object_key": "in/a", "custom_id": "é" * 61},
    "empty custom id": {"object_key": "in/a", "custom_id": ""},
    "nested metadata": {"object_key": "in/a", "metadata": {"a": {"b": 1}}},
    "mixed array": {"object_key": "in/a", "metadata": {"a": [1, "b"]}},
    "booleans are not numbers": {"object_key": "in/a", "metadata": {"a": [1, True]}},
    "empty array": {"object_key": "in/a", "metadata": {"a": []}},
    "null in an array": {"object_key": "in/a", "metadata": {"a": [None]}},
    "huge integer": {"object_key": "in/a", "metadata": {"a": 2**63}},
    "key that chroma refuses": {"object_key": "in/a", "metadata": {"#a": 1}},
    "too many values": {"object_key": "in/a", "metadata": {"a": [1] * 1025}},
}


@pytest.mark.parametrize("wrong", S3_WRONG.values(), ids=S3_WRONG.keys())
async def test_a_wrong_s3_invocation_is_400(api, wrong):
    source_id = await api.make_source(s3={**S3, **KEYS, "path_prefix": "in/"})
    assert (await api.post(f"/api/v1/sources/{source_id}/invocations", wrong))[0] == 400


async def test_an_s3_invocation_names_an_object_or_asks_for_a_backfill_by_name(api):
    source_id = await api.make_source(s3={**S3, **KEYS, "path_prefix": "in/"})
    path = f"/api/v1/sources/{source_id}/invocations"
    for body in ({}, {"backfill": False}, {"object_key": "in/a", "backfill": True}):
        status, answer = await api.post(path, body)
        assert (status, "backfill" in answer["message"]) == (400, True), body
    status, made = await api.post(path, {"backfill": True})
    assert status == 201
    invocation = await api.store.invocations.get(made["invocation_id"])
    assert (invocation.origin, kept(invocation.request)) == ("backfill", {})
    status, answer = await api.post(f"/api/v1/sources/{await api.make_source()}/invocations", {"backfill": True})
    assert (status, "backfill" in answer["message"]) == (400, True)


async def test_an_upload_source_has_no_runs_of_its_own(api, store):
    services = api.services
    source = await store.sources.get_or_create(
        "file_upload", api.database, UploadSourceSettings(), services.upload_embedding, (await example(api)).chunking
    )
    body = {"target_collection_name": "docs"}
    assert (await api.post(f"/api/v1/sources/{source.id}/invocations", body))[0] == 400


async def example(api):
    return await api.store.sources.get(await api.make_source())


async def test_a_finished_collection_answers_409(api, chroma, fresh_name):
    source_id = await api.make_source()
    target = Target(api.database, fresh_name)
    await chroma.open_collection(target)
    await api.make_invocation(source_id, target_collection_name=fresh_name)
    await chroma.set_metadata(target, {"finished_ingest": True})

    status, answer = await api.post(f"/api/v1/sources/{source_id}/invocations", {"target_collection_name": fresh_name})
    assert status == 409
    assert answer["error"] == "conflict"


@pytest.mark.parametrize("follows", ["watch", "events"])
async def test_a_source_goes_on_with_the_collection_that_it_keeps_even_if_that_was_finished(
    api, chroma, fresh_name, follows
):
    watched = {"github": {"repository": "octo/cat", "watch": {"target_collection_name": fresh_name}}}
    followed = {"s3": {**S3, **KEYS, "collection_name": fresh_name, "auto_sync": "direct"}}
    source_id = await api.make_source(**(watched if follows == "watch" else followed))
    target = Target(api.database, fresh_name)
    await chroma.open_collection(target)
    await chroma.set_metadata(target, {"finished_ingest": True})
    await api.make_invocation(source_id, target_collection_name=fresh_name, backfill=follows == "events")
    await api.make_invocation(source_id, target_collection_name=fresh_name, dry_run=True)


async def test_an_unknown_source_or_invocation_is_404_and_an_odd_id_400(api):
    unknown = uuid.uuid4()
    body = {"target_collection_name": "docs"}
    assert (await api.post(f"/api/v1/sources/{unknown}/invocations", body))[0] == 404
    assert (await api.get(f"/api/v1/invocations?source_id={unknown}"))[0] == 404
    for path in (f"/api/v1/invocations/{unknown}", f"/api/v1/sources/{unknown}"):
        assert (await api.get(path))[0] == 404
    for odd in ("x", "1234", "%FF", str(unknown)[:-1], "%00"):
        assert (await api.get(f"/api/v1/invocations/{odd}"))[0] == 400, odd
        assert (await api.get(f"/api/v1/sources/{odd}"))[0] == 400, odd
    assert (await api.get("/api/v1/invocations?source_id=x"))[0] == 400


async def test_cancelling_is_202_with_an_empty_object_and_412_the_second_time(api):
    invocation_id = await api.make_invocation()
    assert await api.call("PUT", f"/api/v1/invocations/{invocation_id}") == (202, {})
    assert (await api.get(f"/api/v1/invocations/{invocation_id}"))[1]["status"] == "cancelled"
    status, answer = await api.call("PUT", f"/api/v1/invocations/{invocation_id}")
    assert (status, answer["error"]) == (412, "precondition_failed")
    assert (await api.call("PUT", f"/api/v1/invocations/{uuid.uuid4()}"))[0] == 404


async def settled(api, state, error=None, **counts):
    invocation_id = await api.make_invocation()
    await api.store.invocations.start(invocation_id)
    await api.store.invocations.settle(invocation_id, state, Counts(**counts), error)
    return invocation_id


async def test_every_state_has_its_documented_form(api):
    complete = await settled(api, State.COMPLETE, found=3, indexed=3, tokens=7)
    failed = await settled(api, State.FAILED, "no such branch")

    _, shown = await api.get(f"/api/v1/invocations/{complete}")
    assert shown["status"]["complete"].keys() == {"finished_at", "duration_ms"}
    assert shown["counts"]["indexed"] == 3
    _, shown = await api.get(f"/api/v1/invocations/{failed}")
    assert shown["status"] == {"failed": {"error": "no such branch"}}


async def test_a_running_invocation_shows_its_pace_and_why_it_waits(api_with):
    pages = {"found": 9.0, "pages_per_s": 2.5}
    async with api_with(progress=lambda _: Pace(12.3456, float("inf"), pages)) as api:
        invocation_id = await api.make_invocation()
        await api.store.invocations.start(invocation_id)
        await api.store.invocations.postpone(invocation_id, 60, "Chroma is away", Counts(found=2))
        _, shown = await api.get(f"/api/v1/invocations/{invocation_id}")
    assert (shown["status"], shown["note"], shown["counts"]["found"]) == ("processing", "Chroma is away", 2)
    assert (shown["eta_s"], shown["tokens_per_s"], shown["source_progress"]) == (12.346, None, pages)


async def test_invocations_are_filtered_by_every_form_of_status(api):
    waiting = await api.make_invocation()
    complete = await settled(api, State.COMPLETE)
    failed = await settled(api, State.FAILED, "x")

    async def ids(query):
        status, listed = await api.get("/api/v1/invocations", params=query)
        assert status == 200, listed
        return [job["id"] for job in listed]

    assert await ids({}) == [failed, complete, waiting]
    assert await ids({"status": "pending"}) == [waiting]
    assert await ids({"status": "complete"}) == [complete]
    assert await ids({"status": '{"complete": {"finished_at": "2026-01-01T00:00:00Z", "duration_ms": 1}}'}) == [
        complete
    ]
    assert await ids({"status": '{"failed": {"error": ""}}'}) == [failed]
    assert await ids({"failed": ""}) == [failed]
    assert await ids({"status[complete][duration_ms]": "1"}) == [complete]
    for wrong in ("done", '{"done": {}}', "{", "{}", '{"complete": {}, "failed": {}}'):
        assert (await api.get("/api/v1/invocations", params={"status": wrong}))[0] == 400, wrong
    assert (await api.get("/api/v1/invocations?status=pending&failed="))[0] == 400


async def test_invocations_are_filtered_by_source_database_and_type(api):
    github = await api.make_source()
    bucket = await api.make_source(s3={**S3, **KEYS})
    first = await api.make_invocation(github)
    second = await api.make_invocation(bucket, object_key="a")

    async def ids(query):
        status, listed = await api.get(f"/api/v1/invocations?{query}")
        assert status == 200, listed
        return [job["id"] for job in listed]

    assert await ids(f"source_id={github}") == [first]
    assert await ids(f"database_name={api.database}&order_by=ASC") == [first, second]
    assert await ids("source_type=s3") == [second]
    assert await ids("limit=1&offset=1") == [first]
    both = f"/api/v1/invocations?source_id={github}&database_name={api.database}"
    assert (await api.get(both))[0] == 400


async def test_a_list_of_invocations_goes_on_behind_one_of_them(api, store):
    source_id = await api.make_source()
    made = [await api.make_invocation(source_id, target_collection_name=f"docs-{number}") for number in range(5)]
    theirs = await api.make_invocation(await api.make_source("default_database"))
    scoped = await store.tokens.create("scoped", frozenset({api.database}))

    async def ids(query):
        status, listed = await api.get(f"/api/v1/invocations?{query}", token=scoped)
        return [job["id"] for job in listed] if status == 200 else status

    assert await ids(f"limit=2&after={made[4]}") == [made[3], made[2]]
    late = await api.make_invocation(source_id)
    assert await ids(f"limit=2&after={made[2]}&source_id={source_id}&status=pending") == [made[1], made[0]]
    assert await ids(f"after={made[0]}") == []
    assert await ids(f"after={made[3]}&order_by=ASC") == [made[4], late]
    assert await ids(f"after={made[0]}&order_by=ASC&offset=4") == [late]
    assert (await ids("after=x"), await ids(f"after={uuid.uuid4()}"), await ids(f"after={theirs}")) == (400, 404, 403)


async def test_an_invocation_outlives_its_source_in_the_lists(api):
    source_id = await api.make_source()
    invocation_id = await api.make_invocation(source_id)
    await api.call("DELETE", f"/api/v1/sources/{source_id}")
    status, shown = await api.get(f"/api/v1/invocations/{invocation_id}")
    assert (status, shown["status"]) == (200, "cancelled")
    assert shown["metadata"]["s3"]["bucket_name"] == "Unknown"


async def test_latest_by_keys_answers_only_keys_that_have_an_invocation(api):
    source_id = await api.make_source(s3={**S3, **KEYS})
    await api.make_invocation(source_id, object_key="a")
    newest = await api.make_invocation(source_id, object_key="a")
    path = f"/api/v1/sources/{source_id}/invocations/latest-by-keys"

    status, answer = await api.post(path, {"object_keys": ["a", "b", "a"]})
    assert status == 200
    assert {key: job["id"] for key, job in answer.items()} == {"a": newest}
    assert await api.post(path, {"object_keys": []}) == (200, {})
    for wrong in ({}, {"object_keys": "a"}, {"object_keys": [1]}, {"object_keys": None}, [], None):
        assert (await api.post(path, data="null" if wrong is None else None, json=wrong))[0] == 400, wrong


async def test_outcomes_of_documents_are_listed_by_state(api, store):
    invocation_id = await settled(api, State.COMPLETE)
    await store.progress.note(
        invocation_id,
        [
            Outcome("a.py", "indexed", version="1", chunks=2),
            Outcome("b.bin", "skipped", "binary"),
            Outcome("c", "failed", "x"),
        ],
    )
    status, listed = await api.get(f"/api/v1/invocations/{invocation_id}/documents")
    assert status == 200
    assert [(it["key"], it["state"], it["reason"], it["chunks"]) for it in listed] == [
        ("a.py", "indexed", "", 2),
        ("b.bin", "skipped", "binary", 0),
        ("c", "failed", "x", 0),
    ]
    _, listed = await api.get(f"/api/v1/invocations/{invocation_id}/documents?state=failed")
    assert [it["key"] for it in listed] == ["c"]
    assert (await api.get(f"/api/v1/invocations/{invocation_id}/documents?state=odd"))[0] == 400


async def test_a_retry_asks_for_the_failed_documents_of_the_same_request(api, store):
    invocation_id = await settled(api, State.COMPLETE)
    await store.progress.note(invocation_id, [Outcome("a", "failed", "x"), Outcome("b", "indexed")])
    path = f"/api/v1/invocations/{invocation_id}/retry"

    status, made = await api.post(path)
    assert status == 201
    again = await store.invocations.get(made["invocation_id"])
    first = await store.invocations.get(invocation_id)
    assert (again.source_id, again.target) == (first.source_id, first.target)
    assert kept(again.request) == {"keys": ["a"], "alone": True}
    assert (await api.post(path, {"keys": None}))[1] == made, "asking twice while it waits is one run"
    await store.invocations.start(again.id)
    _, chosen = await api.post(path, {"keys": ["b", "b"]})
    assert kept((await store.invocations.get(chosen["invocation_id"])).request) == {"keys": ["b"], "alone": True}


async def test_where_very_many_documents_failed_the_whole_run_is_asked_for_again_and_looks_at_each_of_them(
    api, store, monkeypatch
):
    monkeypatch.setattr(reruns, "MAX_RETRIED_KEYS", 2)
    source_id = await api.make_source()
    collection = await store.collections.open(Target(api.database, "docs"), Embedding(model="hash"))
    first = await api.make_invocation(source_id, ref_identifier={"branch": "dev"})
    await store.invocations.start(first)
    await store.progress.note(first, [Outcome(key, "failed", "the daemon died") for key in "abc"])
    await store.progress.save_cursor(source_id, collection.id, "made", "the commit that failed")
    await store.marks.write({mark_of(source_id, key, "1"): True for key in "abc"})
    await store.marks.reckon()
    await store.invocations.settle(first, State.COMPLETE, Counts(failed=3))

    status, made = await api.post(f"/api/v1/invocations/{first}/retry")
    assert status == 201
    assert kept((await store.invocations.get(made["invocation_id"])).request) == {"ref": {"branch": "dev"}}
    assert await store.progress.cursor(source_id, collection.id, "made") is None
    assert [(await store.marks.record(mark_of(source_id, key, "1"))).deaths for key in "abc"] == [0, 0, 0]
    assert (await api.post(f"/api/v1/invocations/{first}/retry"))[1] == made, "asking twice while it waits is one run"
    await store.invocations.start(made["invocation_id"])
    status, answer = await api.post(f"/api/v1/invocations/{first}/retry")
    assert (status, f"{made['invocation_id']} of the same source is still processing" in answer["message"]) == (
        412,
        True,
    )


async def test_a_retry_gives_documents_that_the_daemon_died_of_another_chance(api, store):
    invocation_id = await settled(api, State.COMPLETE)
    source_id = (await store.invocations.get(invocation_id)).source_id
    await store.progress.note(invocation_id, [Outcome("a", "failed", "the daemon died"), Outcome("b", "indexed")])
    asked, other = (mark_of(source_id, key, "1") for key in "ab")
    await store.marks.write({asked: True, other: True})
    await store.marks.reckon()
    assert (await api.post(f"/api/v1/invocations/{invocation_id}/retry"))[0] == 201
    assert (await store.marks.record(asked)).deaths == 0
    assert (await store.marks.record(other)).deaths == 1


async def test_a_run_that_failed_as_a_whole_is_retried_as_a_whole(api, store):
    invocation_id = await settled(api, State.FAILED, "no network")
    await store.progress.note(invocation_id, [Outcome("a", "failed", "x")])
    _, made = await api.post(f"/api/v1/invocations/{invocation_id}/retry")
    assert kept((await store.invocations.get(made["invocation_id"])).request) == {}


async def test_there_must_be_something_to_retry_and_no_run_under_way(api):
    complete = await settled(api, State.COMPLETE)
    running = await api.make_invocation()
    assert (await api.post(f"/api/v1/invocations/{complete}/retry"))[0] == 412
    assert (await api.post(f"/api/v1/invocations/{running}/retry"))[0] == 412


async def test_held_deletes_are_confirmed_by_a_run_that_names_their_invocation(api, store):
    invocation_id = await settled(api, State.COMPLETE)
    path = f"/api/v1/invocations/{invocation_id}/confirm-deletes"
    assert (await api.post(path))[0] == 412
    await store.progress.hold_deletes(invocation_id, ["a"], "suspiciously many")
    status, made = await api.post(path)
    assert status == 201
    assert kept((await store.invocations.get(made["invocation_id"])).request) == {"confirm_deletes": invocation_id}
