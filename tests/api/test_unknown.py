"""What our own additions do not know they refuse; the published routes ignore it, as published."""

import pytest

from syncd.api.application import routes
from syncd.api.shapes import SourceShapes
from syncd.sources.registry import TYPES
from tests.api.test_sources import KEYS, S3

OWN = [route for route in routes(SourceShapes.of(TYPES)) if route.own]
ID = "00000000-0000-0000-0000-000000000000"
GITHUB = {"github": {"repository": "octo/cat"}}
WATCH = {"target_collection_name": "docs"}
SCHEDULE = {"interval_s": 600.0, "target_collection_name": "docs"}


def path_of(route):
    return route.path.format(
        source_id=ID, invocation_id=ID, token_id="x", credential_id="x", webhook_name="x", file="x"
    )


@pytest.mark.parametrize("route", OWN, ids=lambda route: route.operation_id)
async def test_every_route_of_ours_refuses_a_query_parameter_it_does_not_have(api, route):
    status, answer = await api.call(route.method, f"{path_of(route)}?limits=1", json={})
    assert status == 400
    assert "unknown parameter 'limits'" in answer["message"]
    if route.query and "limit" in route.query.model_fields:
        assert "did you mean 'limit'" in answer["message"]


def test_all_additions_are_known_as_such():
    names = {route.operation_id for route in OWN}
    assert names == {
        "search", "verify_collection", "rebuild_collection", "retry_job", "confirm_job_deletes", "list_job_documents", "list_job_held_deletes", "discard_job_deletes",
        "create_token", "list_tokens", "delete_token", "list_dead_letters", "get_status", "list_document_warnings",
        "edit_source", "remove_source", "read_document", "list_credentials", "rotate_credential", "delete_credential",
        "explain_chunk", "related", "make_questions", "verify_source", "switch_shadow", "discard_shadow", "rollback_collection",
        "get_metrics", "welcome", "list_documents",
        "docs", "get_dashboard_file", "log_in", "get_session", "log_out", "follow_runs", "list_collections", "list_held_deletes", "list_chunks",
        "list_webhooks", "test_webhook", "announce_change", "pause_source", "resume_source", "sync_documents", "delete_documents",
    }  # fmt: skip


NAMES = {"database_name": "api-tests", "collection_name": "docs"}


@pytest.mark.parametrize(
    ("path", "body", "meant"),
    [
        ("search", {**NAMES, "query": "x", "databse_name": "a"}, "database_name"),
        ("search", {**NAMES, "query": "x", "fusion": {"dense_wieght": 1.0}}, "dense_weight"),
        ("search", {**NAMES, "query": "x", "groupby": "document"}, "group_by"),
        ("verify", {**NAMES, "repiar": True}, "repair"),
        ("rebuild", {**NAMES, "collectionname": "docs"}, "collection_name"),
        ("tokens", {"name": "x", "databases": ["a"], "Name": "y"}, "name"),
    ],
)
async def test_a_field_that_is_not_there_is_named_with_the_nearest_that_is(api, path, body, meant):
    status, answer = await api.post(f"/api/v1/{path}", body)
    assert status == 400
    assert f"did you mean {meant!r}?" in answer["message"]


async def test_deletes_are_not_confirmed_and_nothing_retried_by_a_typing_error(api):
    invocation = await api.make_invocation()
    for action, body in (("confirm-deletes", {"keys": ["a"]}), ("retry", {"key": ["a"]})):
        status, answer = await api.post(f"/api/v1/invocations/{invocation}/{action}", body)
        assert (status, "unknown field" in answer["message"]) == (400, True)
    assert (await api.post(f"/api/v1/invocations/{invocation}/confirm-deletes", {}))[0] == 412


@pytest.mark.parametrize(
    ("source", "meant"),
    [
        ({"github": {"repository": "a/b", "watch": {**WATCH, "brnch": "main"}}}, "branch"),
        ({"github": {"repository": "a/b", "wacth": WATCH}}, "watch"),
        ({"web_scrape": {"starting_url": "https://e.com/", "schedule": {**SCHEDULE, "intervall_s": 1}}}, "interval_s"),
        ({"s3": {**S3, **KEYS, "schedule": {**SCHEDULE, "target_collection": "a"}}}, "target_collection_name"),
        ({"s3": {**S3, **KEYS, "queueUrl": "https://sqs.eu-west-1.amazonaws.com/1/q"}}, "queue_url"),
        ({"folder": {"path": "/", "exclude_glob": ["*"]}}, "exclude_globs"),
    ],
)
async def test_objects_of_ours_inside_published_ones_refuse_too_and_so_do_near_misses_of_our_fields(api, source, meant):
    status, answer = await api.post("/api/v1/sources", {"database_name": api.database, **source})
    assert status == 400
    assert f"did you mean {meant!r}?" in answer["message"]


async def test_a_rehearsal_is_no_run_because_of_a_typing_error(api):
    source = await api.make_source()
    for name in ("dryRun", "dryrun", "dry-run"):
        status, _ = await api.post(
            f"/api/v1/sources/{source}/invocations", {"target_collection_name": "docs", name: True}
        )
        assert status == 400
    assert (await api.get(f"/api/v1/invocations?source_id={source}"))[1] == []


async def test_the_published_routes_ignore_what_they_do_not_know(api):
    body = {"database_name": api.database, "github": {"repository": "octo/cat", "x": 1}, "colour": "red"}
    status, answer = await api.post("/api/v1/sources", body)
    assert status == 201
    asked = {"target_collection_name": "docs", "colour": "red", "ref_identifier": {"branch": "main", "x": 1}}
    assert (await api.post(f"/api/v1/sources/{answer['source_id']}/invocations", asked))[0] == 201
    for path in ("/api/v1/sources", "/api/v1/invocations", "/health"):
        assert (await api.get(f"{path}?colour=red"))[0] == 200
