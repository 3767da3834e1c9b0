"""Invocations and listings against both servers."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from syncd.model import State, chunk_prefix
from syncd.sources.s3.settings import AutoSync
from tests.aws_servers import Aws, FaultyProxy
from tests.sources.s3.buckets import place
from tests.sources.s3.syncing import HASTY, daemon_on

ODD_KEY = "a b+ü/ä%20&=?#~'\".txt"


async def test_an_object_invocation_indexes_the_object(aws: Aws, tmp_path: Path):
    async with place(aws) as p, daemon_on(tmp_path) as daemon:
        source = await daemon.add(p.settings())
        await p.put("a.txt", "alpha")
        await p.put("b.txt", "beta")
        assert (await daemon.invoke(source, "a.txt")).state is State.COMPLETE
        assert await daemon.texts() == {"a.txt": b"alpha"}
        document = (await daemon.documents())["a.txt"]
        assert document.prefix == chunk_prefix("a.txt")
        assert document.metadata == {"bucket": p.bucket, "object_key": "a.txt"}


async def test_custom_id_metadata_and_target_are_heeded_and_remembered(aws: Aws, tmp_path: Path):
    async with place(aws) as p, daemon_on(tmp_path) as daemon:
        source = await daemon.add(p.settings())
        await p.put("a.txt", "alpha")
        await daemon.invoke(source, "a.txt", "other", custom_id="doc-1", metadata={"n": 1})
        assert (await daemon.documents("other"))["a.txt"].prefix == "doc-1"
        assert (await daemon.documents("other"))["a.txt"].metadata["n"] == 1
        await p.put("a.txt", "new")
        await daemon.invoke(source, collection="other")
        assert (await daemon.documents("other"))["a.txt"].prefix == "doc-1"
        assert (await daemon.documents("other"))["a.txt"].content == b"new"
        assert "a.txt" not in await daemon.texts()


async def test_an_object_that_is_gone_goes_from_the_index(aws: Aws, tmp_path: Path):
    async with place(aws) as p, daemon_on(tmp_path) as daemon:
        source = await daemon.add(p.settings())
        await p.put("a.txt", "alpha")
        await daemon.invoke(source, "a.txt")
        await p.delete("a.txt")
        await daemon.invoke(source, "a.txt")
        assert await daemon.texts() == {}


async def test_keys_outside_the_prefix_are_refused(aws: Aws, tmp_path: Path):
    async with place(aws) as p, daemon_on(tmp_path) as daemon:
        source = await daemon.add(p.settings(path_prefix="tenant-a/"))
        await p.put("tenant-b/secret.txt", "no")
        failed = await daemon.invoke(source, "tenant-b/secret.txt")
        assert failed.state is State.FAILED
        assert "path_prefix" in str(failed.error)
        await daemon.invoke(source)
        assert await daemon.texts() == {}


async def test_a_backfill_indexes_everything_and_a_second_one_opens_nothing(aws: Aws, tmp_path: Path):
    async with place(aws) as p, daemon_on(tmp_path) as daemon:
        source = await daemon.add(p.settings())
        for key in ("a.txt", "dir/b.txt", ODD_KEY, "zß.txt", "\U0001f600.txt", "empty"):
            await p.put(key, f"content of {key}" if key != "empty" else "")
        await p.put("folder/", "")
        await daemon.invoke(source)
        expected = await p.contents()
        del expected["folder/"]
        assert await daemon.texts() == expected
        daemon.opened.clear()
        await daemon.invoke(source)
        assert daemon.opened == []


async def test_a_backfill_finds_what_changed_and_what_went(aws: Aws, tmp_path: Path):
    async with place(aws) as p, daemon_on(tmp_path) as daemon:
        source = await daemon.add(p.settings())
        for key in ("a", "b", "c"):
            await p.put(key, key)
        await daemon.invoke(source)
        await p.put("b", "changed")
        await p.delete("c")
        daemon.opened.clear()
        await daemon.invoke(source)
        assert await daemon.texts() == {"a": b"a", "b": b"changed"}
        assert daemon.opened == ["b"]


async def test_a_backfill_goes_on_page_by_page_from_its_cursor(aws: Aws, tmp_path: Path, monkeypatch):
    starts: list[str] = []

    def fault(request: web.Request) -> str | None:
        """Refuse one object of the second page until the run has begun again at that page."""
        is_refused = request.path.endswith("/13") and starts.count("09") <= starts.count("")
        return "500 InternalError" if request.method == "GET" and is_refused else None

    proxied, settings = FaultyProxy(aws.url, fault), replace(HASTY, document_attempts=1)
    async with place(aws) as p, daemon_on(tmp_path, settings=settings) as daemon, proxied.running() as proxy:
        source = await daemon.add(p.settings(proxy.url))
        for number in range(25):
            await p.put(f"{number:02}", str(number))
        page = type(source.bucket).page

        async def small_page(bucket, prefix, after, size=10):
            starts.append(after)
            return await page(bucket, prefix, after, size)

        monkeypatch.setattr(type(source.bucket), "page", small_page)
        assert (await daemon.invoke(source)).state is State.COMPLETE
        assert await daemon.texts() == await p.contents()
        assert starts[:2] == ["", "09"]
        assert starts.count("09") > starts.count("")
        assert starts[-1] == "19"


async def test_a_multipart_upload_is_one_object(aws: Aws, tmp_path: Path):
    async with place(aws) as p, daemon_on(tmp_path) as daemon:
        source = await daemon.add(p.settings())
        upload = await p.s3.create_multipart_upload(Bucket=p.bucket, Key="big.txt")
        parts, bodies = [], [b"x" * (5 << 20), b"the end"]
        for number, body in enumerate(bodies, 1):
            part = await p.s3.upload_part(
                Bucket=p.bucket, Key="big.txt", UploadId=upload["UploadId"], PartNumber=number, Body=body
            )
            parts.append({"PartNumber": number, "ETag": part["ETag"]})
        await p.s3.complete_multipart_upload(
            Bucket=p.bucket, Key="big.txt", UploadId=upload["UploadId"], MultipartUpload={"Parts": parts}
        )
        await daemon.invoke(source)
        assert (await daemon.documents())["big.txt"].content == b"".join(bodies)


async def test_a_delete_marker_hides_and_its_removal_brings_back(aws: Aws, tmp_path: Path):
    async with place(aws) as p, daemon_on(tmp_path) as daemon:
        await p.s3.put_bucket_versioning(Bucket=p.bucket, VersioningConfiguration={"Status": "Enabled"})
        source = await daemon.add(p.settings())
        await p.put("a.txt", "old")
        await p.put("a.txt", "current")
        await daemon.invoke(source, "a.txt")
        marker = await p.s3.delete_object(Bucket=p.bucket, Key="a.txt")
        await daemon.invoke(source, "a.txt")
        assert await daemon.texts() == {}
        await p.s3.delete_object(Bucket=p.bucket, Key="a.txt", VersionId=marker["VersionId"])
        await daemon.invoke(source, "a.txt")
        assert await daemon.texts() == {"a.txt": b"current"}


async def test_a_missing_bucket_is_an_error_and_never_a_delete(aws: Aws, tmp_path: Path):
    async with place(aws) as p, daemon_on(tmp_path) as daemon:
        source = await daemon.add(p.settings())
        await p.put("a.txt", "alpha")
        await daemon.invoke(source)
        await p.delete("a.txt")
        await p.s3.delete_bucket(Bucket=p.bucket)
        for key in ("a.txt", None):
            failed = await daemon.invoke(source, key)
            assert failed.state is State.FAILED
            assert "does not exist" in str(failed.error)
        assert await daemon.texts() == {"a.txt": b"alpha"}


async def test_metadata_mode_indexes_what_metadata_files_name_where_they_say(aws: Aws, tmp_path: Path):
    async with place(aws) as p, daemon_on(tmp_path) as daemon:
        source = await daemon.add(p.settings(auto_sync=AutoSync.METADATA, path_prefix="in/"))
        await p.put("in/a.txt", "alpha")
        await p.put("in/b.txt", "beta")
        await p.put("in/x.meta.json", meta("in/a.txt", "doc-a", target_collection_name="tenant", metadata={"n": 1}))
        await p.put("in/y.meta.json", meta("in/b.txt", "doc-b"))
        await p.put("in/z.meta.json", meta("in/missing.txt", "doc-c"))
        await p.put("in/unspoken.txt", "nobody asked for it")
        await daemon.invoke(source)
        assert await daemon.texts() == {
            "in/b.txt": b"beta",
            "in/z.meta.json": "failed: metadata file 'in/z.meta.json' names 'in/missing.txt', which bucket "
            f"{p.bucket} does not hold: upload the object, or correct the file's path",
        }
        assert await daemon.texts("tenant") == {"in/a.txt": b"alpha"}
        assert (await daemon.documents("tenant"))["in/a.txt"].prefix == "doc-a"
        assert (await daemon.documents("tenant"))["in/a.txt"].metadata["n"] == 1
        await p.delete("in/x.meta.json")
        await p.delete("in/b.txt")
        await p.put("in/missing.txt", "here now")
        await daemon.invoke(source)
        assert await daemon.texts("tenant") == {}
        texts = await daemon.texts()
        assert "names 'in/b.txt'" in str(texts.pop("in/y.meta.json"))
        assert texts == {"in/missing.txt": b"here now"}


async def test_an_event_of_a_metadata_file_whose_object_is_missing_fails_visibly_and_waits_for_the_object(
    aws: Aws, tmp_path: Path
):
    async with place(aws) as p, daemon_on(tmp_path) as daemon:
        source = await daemon.add(p.settings(auto_sync=AutoSync.METADATA))
        await p.put("x.meta.json", meta("late.txt", "doc-1"))
        await source.check("x.meta.json")
        await daemon.run_due()
        (run,) = await daemon.invocations.list(source_id=source.id)
        assert run.counts.failed == 1
        assert "names 'late.txt'" in str((await daemon.texts())["x.meta.json"])
        await p.put("late.txt", "here now")
        await source.check("late.txt")
        await daemon.run_due()
        assert (await daemon.texts())["late.txt"] == b"here now"
        await daemon.invoke(source)
        assert await daemon.texts() == {"late.txt": b"here now"}


@pytest.mark.parametrize("by_event", [True, False])
async def test_an_id_passes_from_one_object_to_another(aws: Aws, tmp_path: Path, by_event: bool):
    async with place(aws) as p, daemon_on(tmp_path) as daemon:
        source = await daemon.add(p.settings(auto_sync=AutoSync.DIRECT))
        for key in ("a.txt", "z.txt"):
            await p.put(key, key)
        await daemon.invoke(source)
        for owner in ("z.txt", "a.txt", "z.txt"):
            await p.put("x.meta.json", meta(owner, "doc-1"))
            if by_event:
                await source.check("x.meta.json")
                await daemon.run_due()
            else:
                await daemon.invoke(source)
            assert await daemon.texts() == {"a.txt": b"a.txt", "z.txt": b"z.txt"}
            assert [key for key, d in (await daemon.documents()).items() if d.prefix == "doc-1"] == [owner]


async def test_two_objects_change_their_ids_with_each_other(ministack: Aws, tmp_path: Path):
    async with place(ministack) as p, daemon_on(tmp_path) as daemon:
        source = await daemon.add(p.settings(auto_sync=AutoSync.METADATA))
        for key in ("a.txt", "z.txt"):
            await p.put(key, key)
        for first, second in (("a.txt", "z.txt"), ("z.txt", "a.txt")):
            await p.put("x.meta.json", meta(first, "doc-1"))
            await p.put("y.meta.json", meta(second, "doc-2"))
            for file in ("x.meta.json", "y.meta.json"):
                await source.check(file)
            await daemon.run_due()
            assert {d.prefix: d.content for d in (await daemon.documents()).values()} == {
                "doc-1": first.encode(),
                "doc-2": second.encode(),
            }


async def test_a_broken_metadata_file_is_a_failed_document_and_says_nothing(aws: Aws, tmp_path: Path):
    async with place(aws) as p, daemon_on(tmp_path) as daemon:
        source = await daemon.add(p.settings(auto_sync=AutoSync.DIRECT))
        await p.put("a.txt", "alpha")
        await p.put("x.meta.json", '{"version": "chroma-v1"}')
        await daemon.invoke(source)
        assert (await daemon.documents())["a.txt"].content == b"alpha"
        assert str((await daemon.documents())["x.meta.json"].content).startswith("failed: metadata file 'x.meta.json'")


async def test_a_metadata_file_cannot_reach_outside_the_prefix(aws: Aws, tmp_path: Path):
    async with place(aws) as p, daemon_on(tmp_path) as daemon:
        source = await daemon.add(p.settings(auto_sync=AutoSync.METADATA, path_prefix="mine/"))
        await p.put("theirs/secret.txt", "secret")
        await p.put("mine/x.meta.json", meta("theirs/secret.txt", "stolen"))
        failed = await daemon.invoke(source, "mine/x.meta.json")
        assert failed.state is State.FAILED
        assert "outside the source's path_prefix" in str(failed.error)
        await daemon.invoke(source)
        assert "theirs/secret.txt" not in await daemon.documents()


def meta(path: str, ident: str, **values) -> str:
    return json.dumps({"version": "chroma-v1", "id": ident, "path": path, **values})


async def test_a_missing_object_that_looks_forbidden_is_gone_and_a_forbidden_one_is_not(aws: Aws, tmp_path: Path):
    def fault(request: web.Request) -> str | None:
        return "403 AccessDenied" if request.method == "HEAD" else None

    proxied = FaultyProxy(aws.url, fault)
    async with place(aws) as p, daemon_on(tmp_path) as daemon, proxied.running() as proxy:
        source = await daemon.add(p.settings(proxy.url))
        await p.put("a.txt", "alpha")
        await daemon.invoke(source)
        failed = await daemon.invoke(source, "a.txt")
        assert "access denied" in str(failed.error)
        assert await daemon.texts() == {"a.txt": b"alpha"}
        await p.delete("a.txt")
        assert (await daemon.invoke(source, "a.txt")).state is State.COMPLETE
        assert await daemon.texts() == {}


async def test_of_several_keys_that_are_asked_for_one_that_cannot_be_read_fails_alone(aws: Aws, tmp_path: Path):
    def fault(request: web.Request) -> str | None:
        return "403 AccessDenied" if request.method == "HEAD" and request.path.endswith("/b.txt") else None

    proxied = FaultyProxy(aws.url, fault)
    async with place(aws) as p, daemon_on(tmp_path) as daemon, proxied.running() as proxy:
        source = await daemon.add(p.settings(proxy.url, auto_sync=AutoSync.DIRECT))
        for key in ("a.txt", "b.txt", "c.txt"):
            await p.put(key, "alpha")
        await p.put("m.meta.json", "no JSON")
        await daemon.invoke(source, keys=["a.txt", "b.txt", "c.txt", "m.meta.json", "n.txt"])
        found = await daemon.documents()
        assert (found["a.txt"].content, found["c.txt"].content) == (b"alpha", b"alpha")
        assert "access denied" in str(found["b.txt"].content)
        assert "metadata file" in str(found["m.meta.json"].content)


async def test_the_reason_for_a_bodiless_refusal_is_asked_for(ministack: Aws, tmp_path: Path):
    def fault(request: web.Request) -> str | None:
        # The client itself asks for the bucket's region after a refusal; that makes three requests.
        return "400 ExpiredToken" if proxied.requests <= 3 else None

    proxied = FaultyProxy(ministack.url, fault)
    async with place(ministack) as p, daemon_on(tmp_path) as daemon, proxied.running() as proxy:
        source = await daemon.add(p.settings(proxy.url))
        await p.put("a.txt", "alpha")
        assert (await daemon.invoke(source, "a.txt")).state is State.COMPLETE
        assert await daemon.texts() == {"a.txt": b"alpha"}


async def test_what_comes_behind_a_listing_is_not_swept_away(ministack: Aws, tmp_path: Path, monkeypatch):
    async with place(ministack) as p, daemon_on(tmp_path) as daemon:
        source = await daemon.add(p.settings())
        await p.put("b.txt", "beta")
        await p.put("gone.txt", "gone")
        await daemon.invoke(source)
        page = type(source.bucket).page

        async def then_another_object_comes(bucket, prefix, after, size=1000):
            listed = await page(bucket, prefix, after, size)
            monkeypatch.undo()
            await p.put("a.txt", "behind the listing")
            for invocation_id in await source.check("a.txt"):
                await daemon.factory.journal.settled(invocation_id)
            return listed

        await p.delete("gone.txt")
        monkeypatch.setattr(type(source.bucket), "page", then_another_object_comes)
        await daemon.invoke(source)
        assert await daemon.texts() == await p.contents()
        assert [await source.is_gone(key, "docs") for key in ("a.txt", "gone.txt")] == [False, True]
