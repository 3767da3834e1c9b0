"""Which runs `syncd verify` compares a collection with."""

import pytest

from syncd.cli.verify import keeps


@pytest.mark.parametrize(
    "source",
    [
        {"github": {"watch": {"target_collection_name": "docs", "branch": "dev"}}},
        {"folder": {"watch": {"target_collection_name": "docs"}}},
        {"web_scrape": {"schedule": {"target_collection_name": "docs", "interval_s": 60}}},
        {"s3": {"collection_name": "docs", "schedule": {"interval_s": 60}}},
        {"s3": {"collection_name": "docs", "auto_sync": "direct"}},
    ],
)
def test_every_source_that_keeps_the_collection_in_step_is_compared(source):
    assert keeps(source, "docs")
    assert not keeps(source, "other")


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
    assert not keeps(source, "docs")
