"""What the API adds for buckets: other endpoints, queues of their own, and what became of poison."""

import anyio
import pytest
from aiohttp import ClientSession, UnixConnector

from syncd.api import ApiServer, create_app
from syncd.runtime.sockets import bound
from syncd.sources.s3.settings import S3Section
from tests.api.test_sources import KEYS, S3

MINIO = "https://minio.example.com"
QUEUE = "https://sqs.eu-west-1.amazonaws.com/123456789012/syncd-bucket"


@pytest.fixture
async def allowing(api_with):
    async with api_with(sections=[S3Section(allowed_endpoints=(MINIO,))]) as api:
        yield api


async def test_a_bucket_elsewhere_and_a_queue_of_its_own_are_kept_and_shown(allowing):
    api = allowing
    given = {"endpoint_url": MINIO, "path_style": True, "queue_url": f"{MINIO}/queue", "auto_sync": "direct"}
    source_id = await api.make_source(s3={**S3, **KEYS, **given})
    shown = (await api.get(f"/api/v1/sources/{source_id}"))[1]["s3"]
    assert {name: shown[name] for name in given} == given
    await api.make_source(s3={**S3, **KEYS, "queue_url": QUEUE})


@pytest.mark.parametrize(
    "given",
    [
        {"endpoint_url": "http://169.254.169.254"},
        {"endpoint_url": "https://minio.example.com.evil.example"},
        {"endpoint_url": "https://minio.example.com@evil.example"},
        {"endpoint_url": "file:///etc/passwd"},
        {"endpoint_url": "http://minio.example.com"},
        {"endpoint_url": ""},
        {"endpoint_url": QUEUE},
        {"queue_url": "https://amazonaws.com.evil.example/1/q"},
        {"queue_url": "http://127.0.0.1:9000/q"},
        {"queue_url": "https://internal-somebodys.us-east-1.elb.amazonaws.com/1/q"},
        {"queue_url": "queue"},
        {"queue_url": "https://[::1/q"},
        {"queue_url": "https://sqs.eu-west-1.amazonaws.com/1/q\x00"},
        {"queue_url": "https://sqs.eu-west-1.amazonaws.com/1/q\n"},
        {"queue_url": "https://sqs.eu-west-1.ama\tzonaws.com/1/q"},
        {"endpoint_url": "http://[::1/"},
    ],
)
async def test_nobody_makes_the_daemon_call_what_the_configuration_does_not_name(allowing, given):
    api = allowing
    status, answer = await api.post("/api/v1/sources", {"database_name": api.database, "s3": {**S3, **KEYS, **given}})
    assert status == 400
    assert next(iter(given)) in answer["message"]


async def test_the_daemons_own_user_may_name_any_endpoint(api, tmp_path):
    body = {"database_name": api.database, "s3": {**S3, **KEYS, "endpoint_url": "http://127.0.0.1:9000"}}
    async with bound("127.0.0.1", 0) as sockets, anyio.create_task_group() as group:
        await group.start(ApiServer(create_app(api.services), sockets, socket=tmp_path / "s").run)
        async with ClientSession("http://syncd", connector=UnixConnector(str(tmp_path / "s"))) as session:
            headers = {"x-chroma-token": api.token}
            async with session.post("/api/v1/sources", json=body, headers=headers) as answer:
                assert answer.status == 201, await answer.text()
        group.cancel_scope.cancel()


@pytest.mark.parametrize("key", ["bucket", "object_key", "custom_id", "version", "key", "stage"])
async def test_metadata_that_says_where_a_chunk_comes_from_is_refused_at_once(api, key):
    source_id = await api.make_source(s3={**S3, **KEYS})
    body = {"object_key": "a.txt", "metadata": {key: "elsewhere"}}
    status, answer = await api.post(f"/api/v1/sources/{source_id}/invocations", body)
    assert status == 400
    assert key in answer["message"]


async def test_the_api_refuses_a_prefix_with_a_slash_in_front_and_says_what_one_without_an_end_takes(api):
    body = {"database_name": api.database, "s3": {**S3, **KEYS, "path_prefix": "/docs/"}}
    status, answer = await api.post("/api/v1/sources", body)
    assert (status, "no slash in front" in answer["message"]) == (400, True)
    body["s3"]["path_prefix"] = "tenant-a"
    status, answer = await api.post("/api/v1/sources", body)
    assert (status, "such as 'tenant-ax/y.md'" in answer["notice"]) == (201, True)
