from dataclasses import replace

import pytest

from syncd.errors import PermanentError
from syncd.sources.s3.rules import (
    check_bucket,
    check_collection,
    check_custom_id,
    check_key,
    check_metadata,
    check_prefix,
)
from syncd.sources.s3.settings import AutoSync, AwsKey, Endpoint, queue_endpoint, settings_from

VALUES = {"bucket_name": "bucket", "region": "eu-west-1", "collection_name": "docs"}


def test_stored_settings_are_read_as_the_api_names_them():
    settings = settings_from(
        VALUES | {"path_prefix": "a/", "auto_sync": "metadata", "queue_url": "q", "path_style": True}
    )
    assert (settings.bucket, settings.collection, settings.path_prefix) == ("bucket", "docs", "a/")
    assert (settings.auto_sync, settings.queue_url) == (AutoSync.METADATA, "q")
    assert settings.endpoint == Endpoint("eu-west-1", path_style=True)


def test_what_is_left_out_or_null_has_its_default():
    nulls = {"path_prefix": None, "auto_sync": None, "queue_url": None}
    assert settings_from(VALUES | nulls) == settings_from(VALUES)
    assert settings_from(VALUES, queue_url="default").queue_url == "default"


def test_a_secret_is_never_shown():
    key = AwsKey("AKIA", "secret", "token")
    shown = repr(settings_from(VALUES, key)) + str(key)
    assert "AKIA" in shown
    assert "secret" not in shown
    assert "'token'" not in shown


def test_a_queue_is_reached_in_its_own_region():
    minio = Endpoint("us-east-1", url="http://minio:9000", path_style=True)
    aws = replace(minio, url=None)
    assert queue_endpoint("https://sqs.eu-west-1.amazonaws.com/1/q", minio) == replace(aws, region="eu-west-1")
    assert queue_endpoint("https://eu-west-1.queue.amazonaws.com/1/q", aws).region == "eu-west-1"
    assert queue_endpoint("https://sqs.cn-north-1.amazonaws.com.cn/1/q", aws).region == "cn-north-1"
    assert queue_endpoint("http://localhost:9324/1/q", minio) == minio


@pytest.mark.parametrize("name", ["ab", "A-b-c", "a..b", "192.168.0.1", "-ab", "a_b_c", "x" * 64])
def test_impossible_buckets_are_refused(name: str):
    with pytest.raises(PermanentError, match="bucket_name"):
        check_bucket(name)


def test_a_key_must_lie_below_the_prefix():
    assert check_key("a/b", "a/") == "a/b"
    for key in ("ab", "", "A/b", "x" * 1025):
        with pytest.raises(PermanentError, match="object_key"):
            check_key(key, "a/")


def test_ids_are_measured_in_bytes():
    assert check_custom_id("ä" * 60)
    for ident in ("ä" * 60 + "x", "", "a\nb"):
        with pytest.raises(PermanentError, match="120 bytes"):
            check_custom_id(ident)


def test_metadata_is_flat_and_of_one_type_per_array():
    good = {"s": "x", "n": 1, "f": 1.5, "b": True, "l": ["a", "b"]}
    assert check_metadata(good) == good
    for bad in ({"x": None}, {"x": [1, True]}, {"x": float("nan")}, {"x": 2**63}, {"#x": 1}, {"bucket": "b"}, {"": 1}):
        with pytest.raises(PermanentError, match="metadata"):
            check_metadata(bad)
    with pytest.raises(PermanentError, match="1024 values"):
        check_metadata({"x": list(range(1025))})


def test_prefixes_and_collections():
    assert check_prefix("a/b") == "a/b"
    assert check_collection("docs-1") == "docs-1"
    with pytest.raises(PermanentError, match="slash"):
        check_prefix("/a")
    for name in ("ab", "-ab", "a..b", "10.0.0.1", "A" * 3):
        with pytest.raises(PermanentError, match="collection name"):
            check_collection(name)
