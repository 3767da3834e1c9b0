"""Which runs `syncd verify` compares a collection with."""

import pytest

from syncd.cli.references import settings_of
from syncd.sources.registry import TYPES


@pytest.mark.parametrize(
    "source",
    [
        {"github": {"repository": "a/b", "watch": {"target_collection_name": "docs", "branch": "dev"}}},
        {"folder": {"path": "/x", "watch": {"target_collection_name": "docs"}}},
        {"web_scrape": {"starting_url": "http://x/", "schedule": {"target_collection_name": "docs", "interval_s": 60}}},
        {"s3": {"bucket_name": "bucket", "region": "r", "collection_name": "docs", "schedule": {"interval_s": 60}}},
        {"s3": {"bucket_name": "bucket", "region": "r", "collection_name": "docs", "auto_sync": "direct"}},
    ],
)
def test_every_source_that_keeps_the_collection_in_step_is_compared(source):
    assert settings_of(TYPES, source).kept_collection == "docs"


@pytest.mark.parametrize(
    "source",
    [
        {"github": {"repository": "a/b"}},
        {"file_upload": {}},
        {"s3": {"bucket_name": "bucket", "region": "r", "collection_name": "docs"}},
        {"s3": {"bucket_name": "bucket", "region": "r", "collection_name": "docs", "auto_sync": "none"}},
    ],
)
def test_a_source_that_is_synced_when_asked_is_not(source):
    assert settings_of(TYPES, source).kept_collection is None
