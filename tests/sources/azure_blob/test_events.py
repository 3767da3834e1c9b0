"""Every form in which Event Grid tells of a blob is understood, and what nobody can understand says so."""

import json
from typing import Any

import pytest

from syncd.sources.azure_blob.events import read_event_grid
from syncd.sources.objects.events import EventKind
from tests.azure_queues import cloud_event, encoded, grid_event
from tests.azure_signatures import ACCOUNT

TOLD = grid_event("docs", "dir/a b+ü.txt", url="https://devacct.blob.core.windows.net/docs/dir/a%20b+%C3%BC.txt")


@pytest.mark.parametrize("told", [TOLD, cloud_event(TOLD), [TOLD]])
@pytest.mark.parametrize("written", [json.dumps, encoded])
def test_both_schemas_are_read_plain_and_in_base64(told: Any, written: Any):
    (event,) = read_event_grid(written(told)).events
    assert (event.bucket, event.key, event.kind) == (f"{ACCOUNT}/docs", "dir/a b+ü.txt", EventKind.CREATED)
    assert event.sequencer == TOLD["data"]["sequencer"]
    assert event.at is not None


def keys_of(told: dict[str, Any]) -> list[str]:
    return [event.key for event in read_event_grid(json.dumps(told)).events]


def test_a_name_that_may_be_encoded_is_looked_at_both_ways():
    told = grid_event("docs", "100%25.txt", url="https://devacct.blob.core.windows.net/docs/100%25.txt")
    assert keys_of(told) == ["100%.txt", "100%25.txt"]


def test_a_renamed_blob_concerns_both_names():
    host = "https://devacct.dfs.core.windows.net/docs/"
    told = grid_event("docs", "new.txt", "BlobRenamed", sourceUrl=f"{host}old.txt", destinationUrl=f"{host}new.txt")
    assert keys_of(told) == ["new.txt", "old.txt"]
    from_elsewhere = told | {"data": {"sourceUrl": "https://devacct.dfs.core.windows.net/other/old.txt"}}
    assert keys_of(from_elsewhere) == ["new.txt"]


@pytest.mark.parametrize("kind", ["DirectoryRenamed", "DirectoryDeleted"])
def test_of_a_directory_any_key_may_have_changed(kind: str):
    assert keys_of(grid_event("docs", "old", kind)) == [""]


def test_what_changes_no_bytes_is_no_event():
    for kind in ("LifecyclePolicyCompleted", "AsyncOperationInitiated"):
        found = read_event_grid(json.dumps(grid_event("docs", "a.txt", kind)))
        assert (found.events, found.poison) == ((), False)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "no JSON",
        "bm8gSlNPTg==",
        "[]",
        "[1]",
        "{}",
        json.dumps({**TOLD, "topic": ""}),
        json.dumps({**TOLD, "subject": 7}),
        json.dumps({**TOLD, "subject": "/blobServices/default/containers/\ud800/blobs/a"}),
        "[" * 100_000,
    ],
)
def test_what_nobody_can_understand_is_poison(body: str):
    found = read_event_grid(body)
    assert found.poison
    assert found.note
    assert found.events == ()
