from dataclasses import replace

import pytest

from syncd.errors import PermanentError
from syncd.sources.objects.keys import check_prefix
from syncd.sources.s3.endpoint import AwsKey, Endpoint, is_aws_queue, queue_endpoint
from syncd.sources.s3.naming import check_bucket, is_standard_key
from syncd.sources.s3.settings import AutoSync, settings_from
from syncd.sources.s3.type import S3

VALUES = {"bucket_name": "bucket", "region": "eu-west-1", "collection_name": "docs"}
read = S3.codec.read


def test_stored_settings_are_read_as_the_api_names_them():
    settings = settings_from(
        read(VALUES | {"path_prefix": "a/", "auto_sync": "metadata", "queue_url": "q", "path_style": True})
    )
    assert (settings.bucket, settings.collection, settings.path_prefix) == ("bucket", "docs", "a/")
    assert (settings.auto_sync, settings.queue_url) == (AutoSync.METADATA, "q")
    assert settings.endpoint == Endpoint("eu-west-1", path_style=True)


def test_what_is_left_out_or_null_has_its_default():
    nulls = {"path_prefix": None, "auto_sync": None, "queue_url": None}
    assert settings_from(read(VALUES | nulls)) == settings_from(read(VALUES))
    assert settings_from(read(VALUES), queue_url="default").queue_url == "default"


def test_a_secret_is_never_shown():
    key = AwsKey("AKIA", "secret", "token")
    shown = repr(settings_from(read(VALUES), key)) + str(key)
    assert "AKIA" in shown
    assert "secret" not in shown
    assert "'token'" not in shown


def test_a_queue_is_reached_at_its_own_host_and_region_whatever_the_buckets_endpoint():
    minio = Endpoint("us-east-1", url="http://minio:9000", path_style=True)
    aws = replace(minio, url=None)
    assert queue_endpoint("https://sqs.eu-west-1.amazonaws.com/1/q", minio) == replace(aws, region="eu-west-1")
    assert queue_endpoint("https://eu-west-1.queue.amazonaws.com/1/q", aws).region == "eu-west-1"
    assert queue_endpoint("https://sqs.cn-north-1.amazonaws.com.cn/1/q", aws).region == "cn-north-1"
    assert queue_endpoint("https://queue.amazonaws.com/1/q", minio) == replace(aws, region="us-east-1")
    assert queue_endpoint("http://localhost:9324/1/q", minio) == replace(minio, url="http://localhost:9324")
    assert queue_endpoint("http://localhost:9324/1/q", aws) == replace(minio, url="http://localhost:9324")
    for host in (
        "vpce-1a.sqs.eu-west-1.vpce.amazonaws.com",
        "sqs-fips.eu-west-1.amazonaws.com",
        "sqs.eu-west-1.api.aws",
    ):
        assert queue_endpoint(f"https://{host}/1/q", minio) == replace(minio, region="eu-west-1", url=f"https://{host}")
    for wrong in ("q", "", "http://[::1", "ftp://host/q", "http://localhost:70000/1/q"):
        with pytest.raises(PermanentError, match="queue_url"):
            queue_endpoint(wrong, minio)


def test_only_hosts_of_the_service_itself_count_as_awss():
    for queue_url in ("https://sqs.eu-west-1.amazonaws.com/1/q", "https://sqs-fips.us-east-1.amazonaws.com/1/q"):
        assert is_aws_queue(queue_url)
    for host in (
        "ec2-1-2-3-4.compute-1.amazonaws.com",
        "internal-a.us-east-1.elb.amazonaws.com",
        "vpce-1a.sqs.eu-west-1.vpce.amazonaws.com",
    ):
        assert not is_aws_queue(f"https://{host}/1/q")


@pytest.mark.parametrize("name", ["ab", "A-b-c", "a..b", "192.168.0.1", "-ab", "a_b_c", "x" * 64])
def test_impossible_buckets_are_refused(name: str):
    with pytest.raises(PermanentError, match="bucket_name"):
        check_bucket(name)


def test_what_says_where_a_chunk_comes_from_is_reserved():
    assert is_standard_key("bucket")
    assert not is_standard_key("author")


def test_a_prefix_has_no_slash_in_front():
    assert check_prefix("a/b") == "a/b"
    with pytest.raises(PermanentError, match="slash"):
        check_prefix("/a")
