import asyncio
import json
from datetime import datetime, timedelta

import pytest

from syncd.api.quotas import Quotas
from syncd.model import Chunking, Embedding
from syncd.sources.folder.settings import FolderSection
from syncd.sources.github.settings import GithubAppSection, GithubSection, GithubSourceSettings
from tests.api.conftest import MINILM, QWEN

S3 = {"bucket_name": "bucket", "region": "eu-west-1", "collection_name": "docs"}
KEYS = {"aws_access_key_id": "AKIA", "aws_secret_access_key": "very-secret"}


async def test_a_created_source_can_be_shown_listed_and_deleted(api):
    source_id = await api.make_source(github={"repository": "octo/cat", "include_globs": ["*.py"]})

    status, shown = await api.get(f"/api/v1/sources/{source_id}")
    assert status == 200
    assert shown["github"] == {"repository": "octo/cat", "include_globs": ["*.py"]}
    assert shown["embedding_model"] == {"model": QWEN, "task": None}
    assert shown["chunking"]["max_size_bytes"] == 8192
    _, listed = await api.get(f"/api/v1/sources?database_name={api.database}")
    assert [source["id"] for source in listed] == [source_id]
    assert await api.call("DELETE", f"/api/v1/sources/{source_id}") == (204, None)
    assert (await api.get(f"/api/v1/sources/{source_id}"))[0] == 404
    assert (await api.call("DELETE", f"/api/v1/sources/{source_id}"))[0] == 404


async def test_creating_a_source_wakes_the_syncer(api):
    await api.make_source()
    assert api.woken == 1


async def test_the_older_embedding_model_means_the_same_as_embedding_dense(api):
    task = {"task_name": "code", "document_prompt": None, "query_prompt": "Q: "}
    model = {"model": MINILM, "task": task}
    for number, field in enumerate(({"embedding_model": model}, {"embedding": {"dense": model}})):
        status, made = await api.post(
            "/api/v1/sources", {"database_name": api.database, "github": {"repository": f"a/b{number}"}, **field}
        )
        assert status == 201
        _, shown = await api.get(f"/api/v1/sources/{made['source_id']}")
        assert shown["embedding_model"] == shown["embedding"]["dense"] == model


async def test_a_source_may_ask_for_fewer_dimensions_of_a_model_trained_for_them(api):
    source_id = await api.make_source(
        github={"repository": "a/b"}, embedding={"dense": {"model": QWEN, "dimensions": 256}}
    )
    _, shown = await api.get(f"/api/v1/sources/{source_id}")
    assert shown["embedding"]["dense"] == {"model": QWEN, "task": None, "dimensions": 256}
    for model, dimensions, told in ((MINILM, 64, f"those that were: {QWEN}"), (QWEN, 1024, "32 to 1023")):
        body = {"github": {"repository": "a/b"}, "embedding": {"dense": {"model": model, "dimensions": dimensions}}}
        status, answer = await api.post("/api/v1/sources", {"database_name": api.database, **body})
        assert (status, told in answer["message"]) == (400, True), answer


async def test_lines_chunking_has_its_documented_defaults(api):
    body = {"database_name": api.database, "github": {"repository": "a/b"}, "chunking": {"type": "lines"}}
    _, made = await api.post("/api/v1/sources", body)
    _, shown = await api.get(f"/api/v1/sources/{made['source_id']}")
    assert shown["chunking"] == {"type": "lines", "max_lines": 10, "max_size_bytes": 4096}


@pytest.mark.parametrize("settings", [{"github": {"repository": "a/b"}}, {"s3": {**S3, **KEYS}}], ids=["github", "s3"])
async def test_a_source_with_the_settings_of_another_exists_whatever_key_reads_it(api, store, settings):
    body = {"database_name": api.database, **settings}
    answers = await asyncio.gather(*(api.post("/api/v1/sources", body) for _ in range(3)))
    assert sorted(status for status, _ in answers) == [201, 409, 409]
    (made,) = [answer["source_id"] for status, answer in answers if status == 201]
    status, answer = await api.post("/api/v1/sources", body)
    assert (status, answer["error"]) == (409, "conflict")
    assert answer["message"].startswith(f"source exists: {made}")
    assert [source.id for source in await store.sources.list()] == [made]
    status, _ = await api.post("/api/v1/sources", {**body, "chunking": {"type": "lines"}})
    assert status == (201 if "github" in settings else 409), "only a bucket says into which collection"
    await api.call("DELETE", f"/api/v1/sources/{made}")
    await api.make_source(**settings)


SCHEDULE = {"schedule": {"interval_s": 3600, "target_collection_name": "docs"}}
AZURE = {"account_name": "acme", "container_name": "docs", **SCHEDULE}


@pytest.mark.parametrize(
    ("name", "settings", "elsewhere"),
    [
        ("s3", {**S3, **KEYS}, {"collection_name": "others"}),
        ("gcs", {"bucket_name": "bucket", **SCHEDULE}, {"bucket_name": "other"}),
        ("azure_blob", AZURE, {"account_name": "other"}),
    ],
)
async def test_buckets_whose_keys_overlap_do_not_share_a_collection(api, name, settings, elsewhere):
    async def made(**more) -> tuple[int, dict]:
        return await api.post("/api/v1/sources", {"database_name": api.database, name: {**settings, **more}})

    status, first = await made(path_prefix="docs/")
    assert status == 201
    for prefix in ("docs/old/", "d", None, "docs/"):
        status, answer = await made(path_prefix=prefix)
        assert (status, answer["error"]) == (409, "conflict"), answer
        assert answer["message"].startswith(f"source exists: {first['source_id']}")
    assert (await made(path_prefix="docs/old/", **elsewhere))[0] == 201
    status, second = await made(path_prefix="papers/")
    assert status == 201
    edit = f"/api/v1/sources/{second['source_id']}/edit"
    status, answer = await api.post(edit, {name: {"path_prefix": "docs/new/"}})
    assert (status, "name another collection or another part" in answer["message"]) == (409, True), answer
    assert (await api.post(edit, {name: {"path_prefix": "papers/new/"}}))[0] == 200


async def test_limits_of_0_are_taken_as_published(api):
    none = {"type": "lines", "max_lines": 0, "max_size_bytes": 0}
    source_id = await api.make_source(github={"repository": "a/b"}, chunking=none)
    _, shown = await api.get(f"/api/v1/sources/{source_id}")
    assert shown["chunking"] == {"type": "lines", "max_lines": 10, "max_size_bytes": 4096}
    site = await api.make_source(web_scrape={"starting_url": "http://example.com/", "page_limit": 0, "max_depth": 0})
    _, shown = await api.get(f"/api/v1/sources/{site}")
    assert shown["web_scrape"]["page_limit"] == 0


async def test_an_inline_key_is_stored_encrypted_and_never_shown(api, store):
    source_id = await api.make_source(s3={**S3, **KEYS})

    _, shown = await api.get(f"/api/v1/sources/{source_id}")
    _, listed = await api.get("/api/v1/sources")
    number = shown["s3"]["aws_credential_id"]
    assert shown["s3"] == {**S3, "aws_credential_id": number}
    assert "very-secret" not in str(listed)
    assert "AKIA" not in str(listed)
    assert "very-secret" not in str((await store.sources.get(source_id)).settings)
    assert await store.credentials.get(number, api.database) == KEYS
    other = await api.make_source(s3={**S3, "collection_name": "other", "aws_credential_id": number})
    assert (await api.get(f"/api/v1/sources/{other}"))[1]["s3"]["aws_credential_id"] == number


async def test_a_secret_that_slipped_into_the_settings_is_not_shown(api, store):
    source_id = await api.make_source(s3={**S3, **KEYS})
    slipped = json.dumps({**S3, **KEYS})
    await store.database.write(
        lambda c: c.execute("UPDATE sources SET settings = ? WHERE id = ?", (slipped, source_id))
    )
    _, shown = await api.get(f"/api/v1/sources/{source_id}")
    assert shown["s3"] == S3


@pytest.mark.parametrize(
    ("credential", "status"),
    [
        ({}, 400),
        ({"aws_access_key_id": "AKIA"}, 400),
        ({"aws_secret_access_key": "s"}, 400),
        ({**KEYS, "aws_credential_id": 1}, 400),
        ({"aws_credential_id": 999}, 404),
        ({"aws_credential_id": True}, 400),
        ({"aws_credential_id": 2**31}, 400),
    ],
)
async def test_s3_credentials_come_whole_and_one_way_only(api, credential, status):
    body = {"database_name": api.database, "s3": {**S3, **credential}}
    assert (await api.post("/api/v1/sources", body))[0] == status


async def test_a_credential_belongs_to_its_database_and_only_an_unlimited_token_reuses_it_elsewhere(api, store):
    number = await store.credentials.add("api-tests-other", "aws", KEYS)
    limited = await store.tokens.create("one database", frozenset({api.database}))
    body = {"database_name": api.database, "s3": {**S3, "aws_credential_id": number}}
    assert (await api.post("/api/v1/sources", body, token=limited))[0] == 404
    unlimited, own = await store.tokens.create("all"), []
    for prefix in ("a/", "b/"):
        body["s3"]["path_prefix"] = prefix
        status, made = await api.post("/api/v1/sources", body, token=unlimited)
        assert status == 201, made
        own.append((await store.sources.get(made["source_id"])).settings.aws_credential_id)
    assert own[0] == own[1]
    assert await store.credentials.get(own[0], api.database) == KEYS
    body["s3"] |= {"path_prefix": "c/", "aws_credential_id": 99}
    assert (await api.post("/api/v1/sources", body, token=unlimited))[0] == 404


async def test_a_database_that_chroma_lacks_is_404(api):
    for name in ("no-such-database", "", ".", "..", "a/b", "x" * 600, "nul\0"):
        body = {"database_name": name, "github": {"repository": "a/b"}}
        assert (await api.post("/api/v1/sources", body))[0] == 404, name


async def test_upload_sources_cannot_be_made_by_hand(api):
    status, answer = await api.post("/api/v1/sources", {"database_name": api.database, "file_upload": {}})
    assert status == 400
    assert "add-file" in answer["message"]


async def test_a_token_of_a_database_uses_the_roots_and_apps_that_name_it_and_no_others(
    api_with, store, chroma, tmp_path
):
    await chroma.create_database("api-tests-theirs")
    for name in ("open", "ours", "theirs"):
        (tmp_path / name).mkdir()
    roots = (
        {"path": tmp_path / name, "databases": [f"api-tests{end}"]}
        for name, end in (("ours", ""), ("theirs", "-theirs"))
    )
    folders = FolderSection.model_validate({"allowed_roots": [tmp_path / "open", *roots]})
    apps = [GithubAppSection(app_id="1", private_key_file="/key.pem")]
    apps += [GithubAppSection(app_id="2", private_key_file="/key.pem", databases=("api-tests",), owners=("Octo",))]
    apps += [GithubAppSection(app_id="3", private_key_file="/key.pem", databases=("api-tests-theirs",))]
    async with api_with(sections=(folders, GithubSection(apps=apps))) as api:
        scoped = await store.tokens.create("scoped", frozenset({api.database}))

        async def made(token, database="api-tests", **settings):
            status, answer = await api.post("/api/v1/sources", {"database_name": database, **settings}, token=token)
            assert status in (201, 400)
            return status == 201 or answer["message"]

        for name, by_scoped, by_unlimited in (("open", False, True), ("ours", True, True), ("theirs", False, False)):
            (tmp_path / name / "a").mkdir()
            for path, token, is_made in (
                (tmp_path / name, scoped, by_scoped),
                (tmp_path / name / "a", api.token, by_unlimited),
            ):
                assert ((said := await made(token, folder={"path": str(path)})) is True) == is_made, said
        assert await made(api.token, "api-tests-theirs", folder={"path": str(tmp_path / "theirs")}) is True
        for app_id, token, is_made in (
            ("1", scoped, False),
            ("1", api.token, True),
            ("2", scoped, True),
            ("3", scoped, False),
            ("3", api.token, False),
            ("4", scoped, False),
            ("4", api.token, True),
        ):
            repository = f"octo/{app_id}-{is_made}"
            said = await made(token, github={"repository": repository, "app_id": app_id})
            assert (said is True) == is_made, (app_id, said)
            refusal = "is not configured here" if app_id == "4" else "name the database under `databases`"
            assert is_made or refusal in said
        assert "name the owner under `owners`" in await made(scoped, github={"repository": "else/where", "app_id": "2"})


async def test_a_folder_must_lie_below_an_allowed_one(api, tmp_path):
    allowed = tmp_path / "allowed"
    (allowed / "inside").mkdir(parents=True)
    (allowed / "link").symlink_to(tmp_path)
    for path in ("/etc", str(allowed / ".."), str(allowed / "link" / "state"), "relative", "\0"):
        body = {"database_name": api.database, "folder": {"path": path}}
        assert (await api.post("/api/v1/sources", body))[0] == 400, path
    await api.make_source(folder={"path": str(allowed / "inside")})


async def test_a_types_own_check_is_a_400_that_names_the_type(api):
    site = {"starting_url": "http://example.com/", "include_path_regexes": ["("]}
    status, answer = await api.post("/api/v1/sources", {"database_name": api.database, "web_scrape": site})
    assert status == 400
    assert answer["message"].startswith("web_scrape: include_path_regexes")


GITHUB = {"repository": "octo/cat"}
WRONG = {
    "no type": {},
    "two types": {"github": GITHUB, "s3": {**S3, **KEYS}},
    "type is null": {"github": None},
    "type is a string": {"github": "octo/cat"},
    "no repository": {"github": {}},
    "odd repository": {"github": {"repository": "--upload-pack=x"}},
    "parent repository": {"github": {"repository": "a/.."}},
    "glob twice": {"github": {**GITHUB, "include_globs": ["*", "*"]}},
    "globs of numbers": {"github": {**GITHUB, "include_globs": [1]}},
    "odd watched branch": {"github": {**GITHUB, "watch": {"branch": "-x", "target_collection_name": "docs"}}},
    "watch without target": {"github": {**GITHUB, "watch": {}}},
    "unknown model": {"github": GITHUB, "embedding_model": {"model": "other"}},
    "models differ": {
        "github": GITHUB,
        "embedding_model": {"model": QWEN},
        "embedding": {"dense": {"model": MINILM}},
    },
    "dense without model": {"github": GITHUB, "embedding": {"dense": {}}},
    "null embedding": {"github": GITHUB, "embedding": None},
    "null chunking": {"github": GITHUB, "chunking": None},
    "unknown chunking": {"github": GITHUB, "chunking": {"type": "pages"}},
    "chunks too small": {"github": GITHUB, "chunking": {"type": "lines", "max_size_bytes": 63}},
    "size as text": {"github": GITHUB, "chunking": {"type": "lines", "max_size_bytes": "4096"}},
    "lines of tree-sitter": {"github": GITHUB, "chunking": {"type": "tree_sitter", "max_lines": 5}},
    "unknown sparse model": {"github": GITHUB, "embedding": {"sparse": {"model": "bm25"}}},
    "upload with settings": {"file_upload": {"x": 1}},
    "odd collection": {"s3": {**S3, **KEYS, "collection_name": "A"}},
    "unknown auto_sync": {"s3": {**S3, **KEYS, "auto_sync": "always"}},
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
async def test_a_wrong_payload_is_400(api, wrong):
    status, answer = await api.post("/api/v1/sources", {"database_name": api.database, **wrong})
    assert status == 400
    assert set(answer) == {"error", "message"}
    assert await api.store.sources.list() == []


async def test_an_answer_about_a_wrong_payload_does_not_repeat_secrets(api):
    body = {"database_name": api.database, "s3": {**S3, **KEYS, "aws_secret_access_key": ["very-secret"]}}
    status, answer = await api.post("/api/v1/sources", body)
    assert status == 400
    assert "very-secret" not in str(answer)


async def test_lists_are_filtered_paged_and_ordered(api):
    made = [await api.make_source() for _ in range(3)]
    bucket = await api.make_source(s3={**S3, **KEYS})

    async def ids(query):
        status, listed = await api.get(f"/api/v1/sources?{query}")
        assert status == 200
        return [source["id"] for source in listed]

    assert await ids("") == [bucket, *reversed(made)]
    assert await ids("order_by=ASC&limit=2") == made[:2]
    assert await ids("order_by=ASC&limit=2&offset=2") == [made[2], bucket]
    assert await ids("source_type=s3") == [bucket]
    assert await ids("limit=0") == []
    assert await ids("database_name=other") == []
    assert await ids(f"limit={10**40}&offset=0") == await ids("")
    assert await ids(f"offset={10**40}") == []


async def test_a_listed_source_carries_its_latest_invocations_status(api):
    source_id = await api.make_source()
    assert (await api.get("/api/v1/sources"))[1][0]["status"] == "pending"
    invocation_id = await api.make_invocation(source_id)
    await api.call("PUT", f"/api/v1/invocations/{invocation_id}")
    (listed,) = (await api.get("/api/v1/sources"))[1]
    assert listed["status"] == "cancelled"
    assert listed["metadata"]["collection_name"] == "docs"


@pytest.mark.parametrize(
    "query",
    ["limit=-1", "limit=x", "limit=1.5", "limit=", "source_type=ftp", "order_by=up", "limit=1&limit=2", "limit=%D9%A1"],
)
async def test_a_wrong_query_is_400(api, query):
    assert (await api.get(f"/api/v1/sources?{query}"))[0] == 400


async def test_a_token_of_a_database_makes_as_many_sources_as_it_may_and_others_more(api_with, store):
    async with api_with(quotas=Quotas(sources=3, watched=1)) as api:
        scoped = await store.tokens.create("scoped", frozenset({api.database}))
        watch = {"watch": {"target_collection_name": "docs"}}

        async def made(number, token, **more):
            body = {"database_name": api.database, "github": {"repository": f"octo/{number}", **more}}
            status, answer = await api.post("/api/v1/sources", body, token=token)
            return answer["source_id"] if status == 201 else (status, answer["message"])

        first = await made(1, scoped, **watch)
        status, said = await made(2, scoped, **watch)
        assert (status, "api.max_watched_sources" in said) == (403, True)
        second = await made(2, scoped)
        edited = await api.post(f"/api/v1/sources/{second}/edit", {"github": watch}, token=scoped)
        assert (edited[0], "api.max_watched_sources" in edited[1]["message"]) == (403, True)
        assert (await api.post(f"/api/v1/sources/{first}/edit", {"github": watch}, token=scoped))[0] == 200
        assert isinstance(await made(3, scoped), str)
        status, said = await made(4, scoped)
        assert (status, "api.max_sources" in said) == (403, True)
        assert isinstance(await made(4, api.token, **watch), str)


async def test_who_asks_for_many_sources_at_once_gets_no_more_than_it_may(api_with, store):
    async with api_with(quotas=Quotas(sources=3, watched=2)) as api:
        scoped = await store.tokens.create("scoped", frozenset({api.database}))

        async def asked(number):
            watch = {"watch": {"target_collection_name": f"docs-{number}"}}
            body = {
                "database_name": api.database,
                "github": {"repository": f"octo/{number}"} | (watch if number < 8 else {}),
            }
            return (await api.post("/api/v1/sources", body, token=scoped))[0]

        assert sorted(await asyncio.gather(*map(asked, range(16)))) == [201] * 3 + [403] * 13
        listed = (await api.get("/api/v1/sources"))[1]
        assert sum("watch" in it["github"] and it["github"]["watch"] is not None for it in listed) <= 2


async def test_a_source_with_a_schedule_says_when_its_next_run_is(api):
    scheduled = await api.make_source(gcs={"bucket_name": "bucket", **SCHEDULE})
    other = await api.make_source()
    run = await api.make_invocation(scheduled, backfill=True)
    asked_for = datetime.fromisoformat((await api.get(f"/api/v1/invocations/{run}"))[1]["created_at"])
    listed = {it["id"]: it for it in (await api.get("/api/v1/sources"))[1]}
    for found in (listed[scheduled], (await api.get(f"/api/v1/sources/{scheduled}"))[1]):
        assert datetime.fromisoformat(found["next_run_at"]) == asked_for + timedelta(hours=1)
    assert "next_run_at" not in listed[other]


async def test_a_source_has_a_name_that_is_taken_wherever_its_id_is(api, store):
    named = {"database_name": api.database, "name": "cats", "github": {"repository": "octo/cat"}}
    status, made = await api.post("/api/v1/sources", named)
    assert status == 201
    ident = made["source_id"]
    status, shown = await api.get("/api/v1/sources/cats")
    assert (status, shown["id"], shown["name"], "declared" in shown) == (200, ident, "cats", False)
    run = {"target_collection_name": "docs"}
    assert (await api.post("/api/v1/sources/cats/invocations", run))[0] == 201
    for path in ("invocations", "documents/warnings"):
        assert (await api.get(f"/api/v1/{path}?source_id=cats"))[0] == 200
    assert [job["source_id"] for job in (await api.get("/api/v1/invocations?source_id=cats"))[1]] == [ident]
    again = {**named, "github": {"repository": "octo/dog"}}
    assert (await api.post("/api/v1/sources", again))[0] == 409
    for refused in ("", "a b", "../cats", ident, "x" * 101, 7):
        assert (await api.post("/api/v1/sources", {**again, "name": refused}))[0] == 400, refused
    for unknown in ("dogs", "no%20name"):
        assert (await api.get(f"/api/v1/sources/{unknown}"))[0] == 400
    other = await store.tokens.create("other", frozenset({"another"}))
    assert (await api.get("/api/v1/sources/cats", token=other))[0] == 400


async def test_a_source_is_renamed_and_one_of_the_configuration_file_is_not(api, store):
    ident, taken = await api.make_source(), await api.make_source()
    edit = f"/api/v1/sources/{ident}/edit"
    assert (await api.post(edit, {"name": "cats"}))[1]["name"] == "cats"
    assert (await api.post("/api/v1/sources/cats/edit", {"name": "cats", "github": {"include_globs": ["*.md"]}}))[
        0
    ] == 200
    assert (await api.post(f"/api/v1/sources/{taken}/edit", {"name": "cats"}))[0] == 409
    assert "name" not in (await api.post(edit, {"name": None}))[1]
    assert (await api.post(edit, {}))[0] == 400
    settings = GithubSourceSettings(repository="octo/declared")
    declared = await store.sources.create("github", api.database, settings, Embedding(), Chunking(), "handbook")
    assert (await api.post("/api/v1/sources/handbook/edit", {"name": "other"}))[0] == 409
    shown = (await api.get("/api/v1/sources/handbook"))[1]
    assert (shown["id"], shown["name"], shown["declared"]) == (declared.id, "handbook", True)


async def test_a_source_is_paused_and_resumed_and_says_so_of_itself_and_of_what_waits(api):
    run = await api.make_invocation()
    ident = (await api.get(f"/api/v1/invocations/{run}"))[1]["source_id"]
    woken = api.woken
    status, paused = await api.post(f"/api/v1/sources/{ident}/pause")
    assert (status, api.woken) == (200, woken + 1)
    assert (await api.get("/api/v1/sources"))[1][0]["paused_at"] == paused["paused_at"]
    assert f"source {ident} is paused; resume it with" in (await api.get(f"/api/v1/invocations/{run}"))[1]["note"]
    status, resumed = await api.post(f"/api/v1/sources/{ident}/resume")
    assert (status, "paused_at" in resumed) == (200, False)
    assert (await api.get(f"/api/v1/invocations/{run}"))[1]["note"] is None
    assert (await api.post("/api/v1/sources/no-such-source/pause"))[0] == 400
