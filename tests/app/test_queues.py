"""The real program on a queue that several sources share, one of which is sick."""

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from syncd.store.checked_rows import keep_checksums
from tests.app.test_daemon import configuration, request, syncd, until, upload
from tests.app.test_sources import documents, prepared, put
from tests.aws_servers import HOP_HEADERS, KEY, REGION, Aws
from tests.daemon import Daemon
from tests.serving import serve

EVENTS = 40
"""Of the sick source: four times what the queue gives at once, and more than what may run at once."""
WRONG_KEY_ID = "AKIAWRONGWRONGWRONG0"


@dataclass
class Gate:
    """Stands before AWS and turns away the keys in `refused` as AWS does; with `only_s3` it knows no queues, as MinIO."""

    upstream: str
    refused: set[str] = field(default_factory=set)
    only_s3: bool = False
    url: str = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        is_queue = "x-amz-target" in request.headers
        if any(f"Credential={key}/" in request.headers.get("authorization", "") for key in self.refused):
            return refusal(is_queue)
        if is_queue and self.only_s3:
            return web.Response(status=405, text="<Error><Code>MethodNotAllowed</Code></Error>")
        headers = {name: value for name, value in request.headers.items() if name.lower() != "transfer-encoding"}
        async with (
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.request(
                request.method, self.upstream + request.raw_path, headers=headers, data=await request.read()
            ) as answer,
        ):
            body = await answer.read()
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in HOP_HEADERS}
            if request.method == "HEAD":
                kept["Content-Length"] = answer.headers.get("content-length", "0")
            return web.Response(status=answer.status, headers=kept, body=body)


def refusal(is_queue: bool) -> web.Response:
    """Return what S3 and SQS answer to a key that they do not know."""
    if not is_queue:
        body = "<Error><Code>InvalidAccessKeyId</Code><Message>The AWS Access Key Id you provided does not exist in our records.</Message></Error>"
        return web.Response(status=403, text=body, content_type="application/xml")
    error = {
        "__type": "com.amazon.coral.service#UnrecognizedClientException",
        "message": "The security token included in the request is invalid.",
    }
    headers = {"x-amzn-query-error": "InvalidClientTokenId;Sender"}
    return web.Response(status=403, text=json.dumps(error), content_type="application/x-amz-json-1.0", headers=headers)


@pytest.fixture
def gate(ministack: Aws) -> Iterator[Gate]:
    gate = Gate(ministack.url)
    with serve(gate.answer) as gate.url:
        yield gate


async def bucket_on(aws: Aws, bucket: str, queue_url: str) -> None:
    """Make a bucket whose events arrive in a queue that there is already."""
    async with aws.client("s3") as s3, aws.client("sqs") as sqs:
        attributes = await sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])
        await s3.create_bucket(Bucket=bucket)
        sent = {"QueueArn": attributes["Attributes"]["QueueArn"], "Events": ["s3:ObjectCreated:*"]}
        await s3.put_bucket_notification_configuration(
            Bucket=bucket, NotificationConfiguration={"QueueConfigurations": [sent]}
        )


def source_of(daemon: Daemon, gate: Gate, bucket: str, key_id: str, queue_path: str) -> str:
    """Make a source through the API, with a key of its own."""
    s3 = {
        "bucket_name": bucket, "region": REGION, "collection_name": bucket, "auto_sync": "direct", "path_style": True,
        "aws_access_key_id": key_id, "aws_secret_access_key": KEY.secret_access_key,
        "endpoint_url": gate.url, "queue_url": gate.url + queue_path,
    }  # fmt: skip
    return request(daemon, "POST", "/api/v1/sources", {"database_name": "default_database", "s3": s3})["source_id"]


def waiting(daemon: Daemon, source_id: str) -> list[str]:
    """Return why the runs of a source that are not over wait."""
    runs = request(daemon, "GET", f"/api/v1/invocations?source_id={source_id}")
    return [run["note"] for run in runs if run["note"]]


@pytest.mark.parametrize("sickness", ["its key is refused", "its credential is lost"])
def test_a_sick_source_stops_nobody_elses_events_and_loses_none_of_its_own(
    ministack, gate, minilm_folder, tmp_path, fresh_name, sickness
):
    sick, healthy = f"{fresh_name}-sick", f"{fresh_name}-healthy"
    queue_path = "/" + asyncio.run(prepared(ministack, sick)).split("/", 3)[3]
    asyncio.run(bucket_on(ministack, healthy, ministack.url + queue_path))
    refused = sickness == "its key is refused"
    gate.refused = {WRONG_KEY_ID} if refused else set()
    config = configuration(minilm_folder, f'[s3]\nallowed_endpoints = ["{gate.url}"]\n')
    daemon = Daemon(tmp_path, config).start()
    try:
        first = source_of(daemon, gate, sick, WRONG_KEY_ID, queue_path)
        source_of(daemon, gate, healthy, KEY.access_key_id, queue_path)
        if not refused:
            assert daemon.stop() == 0
            lost = held_credential(daemon, first)
            daemon.start()
        asyncio.run(put(ministack, sick, **{f"page-{number}": f"# Page {number}\n" for number in range(EVENTS)}))
        asyncio.run(put(ministack, sick, ours="# Ours\n\nOf the sick one.\n"))
        asyncio.run(put(ministack, healthy, theirs="# Theirs\n\nOf the healthy one.\n"))
        until(lambda: list(documents(daemon)) == ["docs/theirs.md"])
        reasons = until(lambda: waiting(daemon, first))
        assert all(("does not recognise these credentials" if refused else "credential") in each for each in reasons)
        asyncio.run(put(ministack, healthy, more="# More\n\nThe queue is still read.\n"))
        until(lambda: sorted(documents(daemon)) == ["docs/more.md", "docs/theirs.md"])
        assert upload(daemon, "uploads", "# Walruses\n\nThey whistle underwater.\n") == 0
        blamed = request(daemon, "GET", f"/api/v1/sources/{first}")["problem"]
        assert ("cannot read its queue" if refused else "cannot be opened") in blamed
        state = request(daemon, "GET", "/api/v1/status")
        assert [(it["source_id"], it["problem"]) for it in state["source_problems"]] == [(first, blamed)]
        assert [queue["problem"] for queue in state["queues"]] == [""]
        assert sick in syncd(daemon, "status").stdout
        assert first in (tmp_path / "log").read_text()
        assert daemon.stop() == 0
        mend(daemon, gate, None if refused else lost)
        daemon.start()
        until(lambda: "docs/ours.md" in documents(daemon))
    finally:
        daemon.stop()


def held_credential(daemon: Daemon, source_id: str) -> tuple:
    """Take the credential of a source out of the stopped daemon's store, and return its row."""
    with sqlite3.connect(daemon.state / "syncd.sqlite") as connection:
        (number,) = connection.execute(
            "SELECT json_extract(settings, '$.aws_credential_id') FROM sources WHERE id = ?", (source_id,)
        ).fetchone()
        return connection.execute("DELETE FROM credentials WHERE id = ? RETURNING *", (number,)).fetchone()


def mend(daemon: Daemon, gate: Gate, credential: tuple | None) -> None:
    """Mend what is wrong while the daemon rests, and let the time pass until it looks again."""
    gate.refused.clear()
    with sqlite3.connect(daemon.state / "syncd.sqlite") as connection:
        if credential is not None:
            connection.execute(f"INSERT INTO credentials VALUES ({', '.join('?' * len(credential))})", credential)
        keep_checksums(connection)
        connection.execute("UPDATE invocations SET not_before = 0")


def test_a_queue_is_read_at_its_own_host_where_the_buckets_endpoint_is_another(
    ministack, gate, minilm_folder, tmp_path: Path, fresh_name
):
    gate.only_s3 = True
    queue_path = "/" + asyncio.run(prepared(ministack, fresh_name)).split("/", 3)[3]
    source = f"""
[[sources]]
name = "bucket"
type = "s3"
bucket_name = "{fresh_name}"
region = "{REGION}"
collection = "{fresh_name}"
auto_sync = "direct"
endpoint_url = "{gate.url}"
path_style = true
queue_url = "{ministack.url}{queue_path}"
"""
    keys = {"AWS_ACCESS_KEY_ID": KEY.access_key_id, "AWS_SECRET_ACCESS_KEY": KEY.secret_access_key}
    daemon = Daemon(tmp_path, configuration(minilm_folder, source), environment=keys).start()
    try:
        until(lambda: daemon.rows("SELECT 1 FROM invocations WHERE state = 'complete'"))
        asyncio.run(put(ministack, fresh_name, after="# After\n\nAn event told of this.\n"))
        until(lambda: list(documents(daemon)) == ["docs/after.md"])
    finally:
        assert daemon.stop() == 0
