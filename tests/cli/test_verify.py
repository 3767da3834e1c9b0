"""Which runs `syncd verify` compares a collection with."""

import pytest

from syncd.cli.verify import kept_body


@pytest.mark.parametrize(
    ("source", "branch"),
    [
        ({"github": {"watch": {"target_collection_name": "docs", "branch": "dev"}}}, "dev"),
        ({"folder": {"watch": {"target_collection_name": "docs"}}}, None),
        ({"web_scrape": {"schedule": {"target_collection_name": "docs", "interval_s": 60}}}, None),
        ({"s3": {"collection_name": "docs", "schedule": {"interval_s": 60}}}, None),
        ({"s3": {"collection_name": "docs", "auto_sync": "direct"}}, None),
    ],
)
def test_every_source_that_keeps_the_collection_in_step_is_compared(source, branch):
    ref = {"ref_identifier": {"branch": branch}} if branch else {}
    assert kept_body(source, "docs") == {"target_collection_name": "docs", **ref}
    assert kept_body(source, "other") is None


@pytest.mark.parametrize(
    "source",
    [
        {"github": {"repository": "a/b"}},
        {"file_upload": {}},
        {"s3": {"collection_name": "docs"}},
        {"s3": {"collection_name": "docs", "auto_sync": "none"}},
    ],
)
def test_a_source_that_is_synced_when_asked_is_not(source):
    assert kept_body(source, "docs") is None
