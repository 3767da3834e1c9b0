"""Whose credentials are used, when they are read again, and what throttling does to everybody."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

import syncd.sources.s3.client
from syncd.errors import PermanentError, RetryableError
from syncd.sources.objects.transport import ThrottledError
from syncd.sources.s3.bucket import Bucket
from syncd.sources.s3.client import Connections, parsed_moment
from syncd.sources.s3.endpoint import AwsKey, Endpoint
from syncd.sources.s3.errors import ClientError
from tests.aws_servers import REGION, Aws, FaultyProxy
from tests.serving import serve
from tests.sources.s3.buckets import FAST, place

CREDENTIALS = """
[default]
aws_access_key_id = AKIADEFAULT
aws_secret_access_key = secret

[syncd]
aws_access_key_id = AKIAPROFILE
aws_secret_access_key = secret
"""


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without any AWS credentials; return the file where profiles would be."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ROLE_ARN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return tmp_path / "credentials"


class Witness:
    """Notes which key signed each request."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.expired: set[str] = set()

    def __call__(self, request: web.Request) -> str | None:
        found = re.search(r"Credential=(\w+)/", request.headers.get("Authorization", ""))
        self.keys.append(found[1] if found else "")
        return "400 ExpiredToken" if self.keys[-1] in self.expired else None


async def keys_used(aws: Aws, witness: Witness | None = None, **endpoint) -> list[str]:
    """Look at one object and return which keys were used."""
    witness, connections = witness or Witness(), Connections(FAST)
    async with place(aws) as p, FaultyProxy(aws.url, witness).running() as proxy:
        await p.put("a.txt", "alpha")
        there = Endpoint(REGION, url=proxy.url, path_style=True, **endpoint)
        assert (await Bucket(p.bucket, connections.s3(there)).page("", "")).objects[0].key == "a.txt"
    await connections.close()
    return witness.keys


async def test_a_sources_own_key_comes_first(ministack: Aws, nowhere: Path):
    nowhere.write_text(CREDENTIALS)
    assert await keys_used(ministack, key=AwsKey("AKIAOWN", "s"), profile="syncd") == ["AKIAOWN"]


async def test_then_the_profile_it_names(ministack: Aws, nowhere: Path):
    nowhere.write_text(CREDENTIALS)
    assert await keys_used(ministack, profile="syncd") == ["AKIAPROFILE"]


async def test_then_the_environment_and_then_the_default_profile(ministack: Aws, nowhere: Path, monkeypatch):
    nowhere.write_text(CREDENTIALS)
    assert await keys_used(ministack) == ["AKIADEFAULT"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAENVIRONMENT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    assert await keys_used(ministack) == ["AKIAENVIRONMENT"]


async def test_a_container_or_instance_gives_its_role(ministack: Aws, nowhere: Path, monkeypatch):
    role = {"AccessKeyId": "ASIAROLE", "SecretAccessKey": "s", "Token": "t", "Expiration": "2099-01-01T00:00:00Z"}

    async def answer(_: web.Request) -> web.Response:
        return web.json_response(role)

    with serve(answer) as url:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{url}/role")
        assert await keys_used(ministack) == ["ASIAROLE"]


@pytest.mark.parametrize("profile", [None, "no-such-profile"])
async def test_without_any_it_says_what_to_do(ministack: Aws, nowhere: Path, profile: str | None):
    with pytest.raises(PermanentError, match="give the source a key, or the daemon a profile or role"):
        await keys_used(ministack, profile=profile)


async def test_expired_credentials_are_read_again(ministack: Aws, nowhere: Path):
    nowhere.write_text(CREDENTIALS)

    class Renewed(Witness):
        def __call__(self, request: web.Request) -> str | None:
            fault = super().__call__(request)
            nowhere.write_text(CREDENTIALS.replace("AKIAPROFILE", "AKIARENEWED"))
            return fault

    witness = Renewed()
    witness.expired = {"AKIAPROFILE"}
    assert (await keys_used(ministack, witness, profile="syncd"))[-1] == "AKIARENEWED"


async def test_everybody_waits_while_the_service_asks_to_slow_down(monkeypatch: pytest.MonkeyPatch):
    waited: list[float] = []

    async def sleep(delay_s: float) -> None:
        waited.append(delay_s)

    connection = Connections(FAST).s3(Endpoint(REGION, AwsKey("AKIA", "s")))
    answer = {
        "Error": {"Code": "SlowDown"},
        "ResponseMetadata": {"HTTPStatusCode": 503, "HTTPHeaders": {"retry-after": "7"}},
    }
    ours = connection.blame(ClientError(answer, "GetObject"), "s3://b/a", None)
    assert isinstance(ours, ThrottledError)
    assert ours.retry_after_s == 7.0
    monkeypatch.setattr(syncd.sources.s3.client.anyio, "sleep", sleep)
    await connection.ready("s3://b/another")
    assert [round(delay_s) for delay_s in waited] == [7]
    await connection.close()


@pytest.mark.parametrize(
    "text", ["2026-11-21T08:00:00.000Z", "2026-11-21T08:00:00Z", "Sat, 21 Nov 2026 08:00:00 GMT", "2026-11-21T08:00:00"]
)
def test_every_form_of_time_stamp_is_the_same_moment(text: str):
    assert parsed_moment(text) == datetime(2026, 11, 21, 8, tzinfo=UTC)


@given(st.text(max_size=40) | st.sampled_from(["0001-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00", "9" * 400, "²"]))
def test_any_time_stamp_can_be_reckoned_with_or_is_none(text: str):
    found = parsed_moment(text)
    assert found is None or found.timestamp() >= 0


ITEM = "<Contents><Key>{key}</Key><Size>{size}</Size><ETag>{etag}</ETag><LastModified>{at}</LastModified></Contents>"


@pytest.mark.parametrize(
    "contents",
    [
        "",
        ITEM.format(key="a", size=1, etag="e", at=""),
        "<Contents><Key>z</Key></Contents>",
        ITEM.format(key="z", size="many", etag="e", at=""),
        ITEM.format(key="z", size="9" * 5000, etag="e", at=""),
    ],
    ids=["nothing", "the same again", "parts missing", "no number", "a huge number"],
)
async def test_a_listing_that_makes_no_sense_is_no_listing(contents: str):
    async def answer(_: web.Request) -> web.Response:
        text = f"<ListBucketResult><IsTruncated>true</IsTruncated>{contents}</ListBucketResult>"
        return web.Response(text=text, content_type="application/xml")

    connections = Connections(FAST)
    with serve(answer) as url:
        bucket = Bucket("b", connections.s3(Endpoint(REGION, AwsKey("AKIA", "s"), url=url, path_style=True)))
        with pytest.raises(RetryableError):
            await bucket.page("", "k")
    await connections.close()


async def test_pages_without_objects_are_stepped_over_by_their_tokens():
    async def answer(request: web.Request) -> web.Response:
        token = int(request.query.get("continuation-token", "0"))
        more = f"<IsTruncated>true</IsTruncated><NextContinuationToken>{token + 1}</NextContinuationToken>"
        inside = more if token < 3 else ITEM.format(key="z", size=1, etag="e", at="")
        return web.Response(text=f"<ListBucketResult>{inside}</ListBucketResult>", content_type="application/xml")

    connections = Connections(FAST)
    with serve(answer) as url:
        bucket = Bucket("b", connections.s3(Endpoint(REGION, AwsKey("AKIA", "s"), url=url, path_style=True)))
        page = await bucket.page("", "k")
    assert ([found.key for found in page.objects], page.is_last) == (["z"], True)
    await connections.close()


async def test_a_listing_that_goes_in_circles_ends(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("syncd.sources.s3.bucket.EMPTY_PAGES", 20)
    tokens: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        tokens.append(request.query.get("continuation-token", ""))
        again = "<IsTruncated>true</IsTruncated><NextContinuationToken>{}</NextContinuationToken>"
        text = f"<ListBucketResult>{again.format(len(tokens) % 2)}</ListBucketResult>"
        return web.Response(text=text, content_type="application/xml")

    connections = Connections(replace(FAST, attempts=1))
    with serve(answer) as url:
        bucket = Bucket("b", connections.s3(Endpoint(REGION, AwsKey("AKIA", "s"), url=url, path_style=True)))
        with pytest.raises(RetryableError, match="no more keys"):
            await bucket.page("", "k")
    assert len(tokens) == 20
    await connections.close()


async def test_a_date_that_cannot_be_meant_costs_no_object():
    async def answer(_: web.Request) -> web.Response:
        item = ITEM.format(key="z", size=1, etag="e", at="0001-01-01T00:00:00.000Z")
        return web.Response(text=f"<ListBucketResult>{item}</ListBucketResult>", content_type="application/xml")

    connections = Connections(FAST)
    with serve(answer) as url:
        bucket = Bucket("b", connections.s3(Endpoint(REGION, AwsKey("AKIA", "s"), url=url, path_style=True)))
        (found,) = (await bucket.page("", "")).objects
    assert (found.key, found.modified_at) == ("z", None)
    await connections.close()
