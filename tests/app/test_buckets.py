"""What is surprising in how S3 names things, in the real program."""

import asyncio

from tests.app.test_daemon import configuration, request, syncd, until
from tests.aws_servers import KEY, REGION, Aws
from tests.daemon import Daemon, held


def declared(name: str, aws: Aws, bucket: str, collection: str, prefix: str) -> str:
    return f"""
[[sources]]
name = "{name}"
type = "s3"
bucket_name = "{bucket}"
region = "{REGION}"
collection = "{collection}"
path_prefix = "{prefix}"
endpoint_url = "{aws.url}"
path_style = true
"""


async def put(aws: Aws, bucket: str, objects: dict[str, str]) -> None:
    async with aws.client("s3") as s3:
        await s3.create_bucket(Bucket=bucket)
        for key, text in objects.items():
            await s3.put_object(Bucket=bucket, Key=key, Body=text.encode())


def texts(daemon: Daemon, collection: str) -> list[str]:
    chroma = daemon.announced()["chroma"]
    return sorted(text for text, _ in held(chroma["host"], chroma["port"], collection).rows.values())


def is_done(daemon: Daemon, sources: int) -> bool:
    done = daemon.rows("SELECT count(DISTINCT source_id) FROM invocations WHERE state = 'complete'")
    return done == [(sources,)] and daemon.unsettled() == 0


def test_buckets_with_the_same_keys_share_a_collection_and_prefixes_are_no_folders(
    moto, minilm_folder, tmp_path, fresh_name
):
    one, other = f"{fresh_name}-1", f"{fresh_name}-2"
    asyncio.run(put(moto, one, {"docs/a.md": "Of the first bucket.\n", "docs/b.md": "Only there.\n"}))
    asyncio.run(put(moto, other, {"docs/a.md": "Of the other bucket.\n", "docs-of-others/a.md": "Not meant.\n"}))
    sources = declared("one", moto, one, fresh_name, "docs/") + declared("other", moto, other, fresh_name, "docs")
    environment = {"AWS_ACCESS_KEY_ID": KEY.access_key_id, "AWS_SECRET_ACCESS_KEY": KEY.secret_access_key}
    daemon = Daemon(tmp_path, configuration(minilm_folder, sources), environment=environment).start()
    try:
        until(lambda: is_done(daemon, 2))
        everything = ["Not meant.\n", "Of the first bucket.\n", "Of the other bucket.\n", "Only there.\n"]
        assert texts(daemon, fresh_name) == everything
        notice = "path_prefix 'docs' takes every key that begins so, such as 'docsx/y.md'; end it with '/' for a folder"
        assert notice in syncd(daemon, "config", "check", str(tmp_path / "syncd.toml")).stderr
        assert "source.notice" in (tmp_path / "log").read_text()
        shown = {source["name"]: source.get("notice") for source in request(daemon, "GET", "/api/v1/sources")}
        assert shown == {"one": None, "other": notice}
        asyncio.run(put(moto, one, {"docs/a.md": "Of the first, again.\n"}))
        assert syncd(daemon, "sync", "one", "--backfill").returncode == 0
        assert texts(daemon, fresh_name) == [everything[0], "Of the first, again.\n", *everything[2:]]
        assert syncd(daemon, "verify", fresh_name).returncode == 0
    finally:
        assert daemon.stop() == 0
