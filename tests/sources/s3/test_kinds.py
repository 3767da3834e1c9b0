"""Every kind of event, and objects that change under the hand, against both servers."""

import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from syncd.sources.objects.transport import ChangedError
from syncd.sources.s3.settings import AutoSync
from tests.aws_servers import Aws, FaultyProxy
from tests.sources.s3.buckets import Place, place
from tests.sources.s3.syncing import daemon_on, working
from tests.sources.s3.test_events import record


async def tell(place: Place, kind: str, key: str) -> None:
    entry: dict[str, Any] = record(kind, key)
    entry["s3"]["bucket"]["name"] = place.bucket
    del entry["s3"]["object"]["sequencer"]
    await place.sqs.send_message(QueueUrl=place.queue_url, MessageBody=json.dumps({"Records": [entry]}))


async def test_a_delete_marker_hides_and_its_removal_brings_back(aws: Aws, tmp_path: Path):
    async with place(aws, events=True) as p, daemon_on(tmp_path) as daemon, working(daemon, p) as work:
        await p.s3.put_bucket_versioning(Bucket=p.bucket, VersioningConfiguration={"Status": "Enabled"})
        await daemon.add(p.settings(auto_sync=AutoSync.DIRECT))
        await p.put("a.txt", "old")
        await p.put("a.txt", "current")
        await p.put("other.txt", "other")
        await work.until_quiet()
        assert await daemon.texts() == {"a.txt": b"current", "other.txt": b"other"}
        marker = await p.s3.delete_object(Bucket=p.bucket, Key="a.txt")
        await tell(p, "ObjectRemoved:DeleteMarkerCreated", "a.txt")
        await work.until_quiet()
        assert list(await daemon.documents()) == ["other.txt"]
        await p.s3.delete_object(Bucket=p.bucket, Key="a.txt", VersionId=marker["VersionId"])
        await tell(p, "ObjectRemoved:Delete", "a.txt")
        await work.until_quiet()
        assert (await daemon.texts())["a.txt"] == b"current"


@pytest.mark.parametrize("kind", ["LifecycleExpiration:Delete", "LifecycleExpiration:DeleteMarkerCreated"])
async def test_what_expired_goes(ministack: Aws, tmp_path: Path, kind: str):
    async with place(ministack, queue={}) as p, daemon_on(tmp_path) as daemon, working(daemon, p) as work:
        source = await daemon.add(p.settings(auto_sync=AutoSync.DIRECT))
        await p.put("a.txt", "alpha")
        await p.put("b.txt", "beta")
        await daemon.invoke(source)
        await p.delete("a.txt")
        await tell(p, kind, "a.txt")
        await work.until_quiet()
        assert await daemon.texts() == {"b.txt": b"beta"}


async def test_what_is_archived_fails_with_the_reason_and_comes_when_it_is_restored(ministack: Aws, tmp_path: Path):
    def archived(request: web.Request) -> str | None:
        is_object = request.method == "GET" and request.path.endswith("/a.txt")
        return "403 InvalidObjectState" if is_object else None

    proxied = FaultyProxy(ministack.url, archived)
    async with (
        place(ministack, queue={}) as p,
        daemon_on(tmp_path) as daemon,
        proxied.running() as proxy,
        working(daemon, p) as work,
    ):
        await daemon.add(p.settings(proxy.url, auto_sync=AutoSync.DIRECT))
        await p.put("a.txt", "alpha")
        await tell(p, "ObjectCreated:Put", "a.txt")
        await work.until_quiet()
        assert str((await daemon.documents())["a.txt"].content).endswith("is archived; restore it first")
        proxy.fault = lambda _: None
        await tell(p, "ObjectRestore:Completed", "a.txt")
        await work.until_quiet()
        assert await daemon.texts() == {"a.txt": b"alpha"}


async def test_an_object_that_changed_since_it_was_listed_is_looked_at_again(aws: Aws, tmp_path: Path):
    async with place(aws) as p, daemon_on(tmp_path) as daemon:
        source = await daemon.add(p.settings())
        await p.put("a.txt", "alpha")
        document = await source.present("a.txt", "docs")
        assert document is not None
        assert document.body is not None
        assert document.again is not None
        await p.put("a.txt", "a newer one")
        with pytest.raises(ChangedError):
            async with document.body.open():
                pass
        newer = await document.again()
        assert newer.body is not None
        async with newer.body.open() as file:
            assert file.read() == b"a newer one"
        await p.delete("a.txt")
        assert (await document.again()).body is None
