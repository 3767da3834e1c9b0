"""The real program on a bucket with its event queue, and on a website."""

import asyncio
import json
import os
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from aiohttp import web

from tests.app.test_daemon import configuration, syncd, until
from tests.aws_servers import KEY, REGION, SESSION, Aws
from tests.daemon import Daemon, held
from tests.pipeline.parse.documents import pdf
from tests.serving import serve

README = Path(__file__).parents[2] / "README.md"


def documents(daemon: Daemon) -> dict[str, str]:
    """Return the indexed documents: key to the text of their chunks."""
    rows = daemon.rows(
        "SELECT d.key, group_concat(c.text, '') FROM documents d JOIN chunks c ON c.document_id = d.id "
        "WHERE d.state = 'indexed' GROUP BY d.key"
    )
    return dict(rows)


async def prepared(aws: Aws, bucket: str) -> str:
    """Make a bucket whose events arrive in a queue, and return the queue's URL."""
    async with aws.client("s3") as s3, aws.client("sqs") as sqs:
        queue_url = (await sqs.create_queue(QueueName=f"{bucket}-events"))["QueueUrl"]
        attributes = await sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])
        await s3.create_bucket(Bucket=bucket)
        configuration = {
            "QueueArn": attributes["Attributes"]["QueueArn"],
            "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"],
        }
        await s3.put_bucket_notification_configuration(
            Bucket=bucket, NotificationConfiguration={"QueueConfigurations": [configuration]}
        )
    return queue_url


async def put(aws: Aws, bucket: str, **objects: str | None) -> None:
    async with aws.client("s3") as s3:
        for name, text in objects.items():
            key = f"docs/{name}.md"
            if text is None:
                await s3.delete_object(Bucket=bucket, Key=key)
            else:
                await s3.put_object(Bucket=bucket, Key=key, Body=text.encode())


def test_a_bucket_is_backfilled_and_followed_by_its_events(aws, minilm_folder, tmp_path, fresh_name):
    bucket = fresh_name
    queue_url = asyncio.run(prepared(aws, bucket))
    asyncio.run(put(aws, bucket, before="# Before\n\nThis was here first.\n"))
    source = f"""
[s3]
queue_url = "{queue_url}"
[[sources]]
name = "bucket"
type = "s3"
bucket_name = "{bucket}"
region = "{REGION}"
collection = "{bucket}"
path_prefix = "docs/"
auto_sync = "direct"
endpoint_url = "{aws.url}"
path_style = true
"""
    keys = {"AWS_ACCESS_KEY_ID": KEY.access_key_id, "AWS_SECRET_ACCESS_KEY": KEY.secret_access_key}
    daemon = Daemon(tmp_path, configuration(minilm_folder, source), environment=keys).start()
    try:
        until(lambda: documents(daemon) == {"docs/before.md": "# Before\n\nThis was here first.\n"})
        asyncio.run(
            put(aws, bucket, after="# After\n\nAn event told of this.\n", before="# Before\n\nAnd now it changed.\n")
        )
        until(lambda: {k: v.splitlines()[-1] for k, v in documents(daemon).items()} == {
            "docs/after.md": "An event told of this.",
            "docs/before.md": "And now it changed.",
        })  # fmt: skip
        asyncio.run(put(aws, bucket, before=None))
        until(lambda: list(documents(daemon)) == ["docs/after.md"])
        until(lambda: daemon.unsettled() == 0)
        chroma = daemon.announced()["chroma"]
        rows = held(chroma["host"], chroma["port"], bucket).rows
        assert [metadata["key"] for _, metadata in rows.values()] == ["docs/after.md"]
        repaired = syncd(daemon, "verify", bucket, "--repair")
        assert (repaired.returncode, "source bucket" in repaired.stdout) == (0, True), repaired.stderr
    finally:
        assert daemon.stop() == 0


def test_a_bucket_is_set_up_and_examined_from_the_command_line(aws, tmp_path, fresh_name):
    async def make() -> None:
        async with aws.client("s3") as s3:
            await s3.create_bucket(Bucket=fresh_name)
            await s3.put_object(Bucket=fresh_name, Key="docs/a.md", Body=b"# A\n")

    asyncio.run(make())
    environment = {**os.environ, "AWS_ACCESS_KEY_ID": KEY.access_key_id, "AWS_SECRET_ACCESS_KEY": KEY.secret_access_key}
    common = ["--bucket", fresh_name, "--endpoint-url", aws.url, "--path-style", "--prefix", "docs/", "--json"]

    def s3(*arguments: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "syncd", "s3", *arguments, *common]
        return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)

    before = s3("doctor")
    assert before.returncode == 1
    assert "missing" in {json.loads(line)["state"] for line in before.stdout.splitlines()}
    printed = json.loads(s3("setup").stdout)
    assert fresh_name in json.dumps(printed)
    applied = s3("setup", "--apply")
    assert applied.returncode == 0, applied.stderr
    assert json.loads(applied.stdout)["queue_url"] == json.loads(s3("setup", "--apply").stdout)["queue_url"]
    after = s3("doctor")
    assert after.returncode == 0, after.stdout


async def told(aws: Aws, queue_url: str, message: str) -> None:
    async with SESSION.create_client(
        "sqs",
        region_name="eu-central-1",
        endpoint_url=aws.url,
        aws_access_key_id=KEY.access_key_id,
        aws_secret_access_key=KEY.secret_access_key,
    ) as sqs:
        await sqs.send_message(QueueUrl=queue_url, MessageBody=message)


def test_the_bucket_of_the_readme_works_as_it_is_written(moto, minilm_folder, tmp_path):
    section = README.read_text().partition("### An S3 bucket\n")[2].partition("\n### ")[0]
    commands = [shlex.split(line, comments=True) for line in section.splitlines() if line.startswith("    syncd s3 ")]
    source = section.partition("```toml\n")[2].partition("```")[0]
    (table,) = tomllib.loads(source)["sources"]
    bucket, prefix = table["bucket_name"], table["path_prefix"]

    async def make() -> None:
        async with moto.client("s3") as s3:
            where = {"LocationConstraint": table["region"]}
            await s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=where)
            await s3.put_object(Bucket=bucket, Key=f"{prefix}before.md", Body=b"# Before\n")
            await s3.put_object(Bucket=bucket, Key="unsigned/other.md", Body=b"# Other\n")

    async def put_another() -> None:
        async with moto.client("s3") as s3:
            await s3.put_object(Bucket=bucket, Key=f"{prefix}after.md", Body=b"# After\n")

    asyncio.run(make())
    keys = {"AWS_ACCESS_KEY_ID": KEY.access_key_id, "AWS_SECRET_ACCESS_KEY": KEY.secret_access_key}
    environment = {**keys, "AWS_ENDPOINT_URL": moto.url}
    said = ""
    for command in commands:
        arguments = [sys.executable, "-m", *command]
        done = subprocess.run(arguments, capture_output=True, text=True, env=os.environ | environment, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        said += done.stdout
    assert "s3:GetObject" in said
    assert len(commands) == 2
    daemon = Daemon(tmp_path, configuration(minilm_folder, source), environment=environment).start()
    try:
        until(lambda: list(documents(daemon)) == [f"{prefix}before.md"])
        asyncio.run(put_another())
        until(lambda: sorted(documents(daemon)) == [f"{prefix}after.md", f"{prefix}before.md"])
        for more in (["--backfill"], ["--object-key", f"{prefix}after.md"]):
            assert syncd(daemon, "sync", table["name"], *more).returncode == 0
        asyncio.run(told(moto, table["queue_url"], "not JSON"))
        letter = until(lambda: syncd(daemon, "dead-letters", "--json").stdout)
        assert json.loads(letter)["reason"] == "the message is not a JSON object"
    finally:
        assert daemon.stop() == 0


PAGES = {
    "/": '<html><head><title>Home</title></head><body><main><h1>Home</h1><p>Welcome to the orchard.</p><a href="/pears">pears</a>'
    '<a href="/plums.php">plums</a><a href="/members">members</a><a href="/cider.pdf">cider</a></main></body></html>',
    "/pears": "<html><head><title>Pears</title></head><body><main><h1>Pears</h1><p>Pears ripen off the tree.</p></main></body></html>",
    "/plums.php": "<html><head><title>Plums</title></head><body><main><h1 id=dry>Plums</h1><p>Plums dry into prunes.</p></main></body></html>",
}


@pytest.fixture
def site():
    pages = dict(PAGES)

    async def answer(request: web.Request) -> web.Response:
        if request.path == "/cider.pdf":
            return web.Response(
                body=pdf(["Apples are pressed.", "Cider ferments in oak."]), content_type="application/pdf"
            )
        if request.path not in pages:
            return web.Response(status=403 if request.path == "/members" else 404)
        return web.Response(text=pages[request.path], content_type="text/html")

    with serve(answer) as url:
        yield url, pages


def test_a_site_is_crawled_and_crawled_again(site, minilm_folder, tmp_path):
    url, pages = site
    host = url.removeprefix("http://")
    source = f"""
[web]
rate_per_s = 0
allow_private_addresses = ["{host}"]
[[sources]]
name = "orchard"
type = "web_scrape"
starting_url = "{url}/"
collection = "orchard"
"""
    daemon = Daemon(tmp_path, configuration(minilm_folder, source)).start()
    try:
        first = syncd(daemon, "sync", "orchard", "--json")
        assert first.returncode == 0, first.stderr + daemon.log()
        done = json.loads(first.stdout)
        assert (done["counts"]["indexed"], done["counts"]["failed"]) == (4, 1)
        listed = json.loads(syncd(daemon, "status", done["id"], "--state", "failed", "--json").stdout)["documents"]
        assert [(one["key"], one["reason"]) for one in listed] == [(f"{url}/members", "status 403")]
        cut = daemon.rows(
            "SELECT DISTINCT json_extract(metadata, '$.stage'), json_extract(metadata, '$.symbol') FROM chunks "
            "WHERE json_extract(metadata, '$.title') IN ('Pears', 'Plums', 'Home') ORDER BY 2"
        )
        assert cut == [("markdown", "Home"), ("markdown", "Pears"), ("markdown", "Plums")]
        found = syncd(daemon, "search", "how are prunes made?", "--collection", "orchard", "--limit", "1", "--json")
        assert json.loads(found.stdout)["metadata"]["url"] == f"{url}/plums.php#dry"
        linked = syncd(daemon, "search", "what ferments in oak?", "--collection", "orchard", "--limit", "1", "--json")
        metadata = json.loads(linked.stdout)["metadata"]
        assert (metadata["url"], metadata["last_page"]) == (f"{url}/cider.pdf", 2)
        refused = syncd(daemon, "sync", "orchard")
        assert refused.returncode == 1
        assert "finished_ingest" in refused.stderr
        del pages["/pears"]
        pages["/"] = pages["/"].replace('<a href="/pears">pears</a>', "")
        again = syncd(daemon, "sync", "orchard", "--collection", "orchard-2", "--json")
        assert again.returncode == 0, again.stderr
        counts = json.loads(again.stdout)["counts"]
        assert (counts["indexed"], counts["chunks_reused"]) == (3, 2)
    finally:
        assert daemon.stop() == 0


def test_a_site_seen_in_part_is_shown_as_incomplete_and_is_not_finished(site, minilm_folder, tmp_path):
    url, pages = site
    pages["/sitemap.xml"] = f"<urlset><url><loc>{url}/pears?a=1&b=2</loc></url></urlset>"
    source = f"""
[web]
rate_per_s = 0
allow_private_addresses = ["{url.removeprefix("http://")}"]
[[sources]]
name = "orchard"
type = "web_scrape"
starting_url = "{url}/"
collection = "orchard"
"""
    daemon = Daemon(tmp_path, configuration(minilm_folder, source)).start()
    try:
        first = syncd(daemon, "sync", "orchard")
        assert first.returncode == 0, first.stderr + daemon.log()
        reason = f"sitemap {url}/sitemap.xml: it is not well-formed XML"
        assert f"incomplete, so no missing documents were deleted: {reason}" in first.stdout
        (latest, *_) = json.loads(syncd(daemon, "status", "--json").stdout)["invocations"]
        assert reason in latest["incomplete"]
        assert "complete" in latest["status"]
        assert f"incomplete: {reason}" in syncd(daemon, "status").stdout
        pages["/sitemap.xml"] = pages["/sitemap.xml"].replace("&", "&amp;")
        again = syncd(daemon, "sync", "orchard", "--json")
        assert (again.returncode, json.loads(again.stdout)["incomplete"]) == (0, None), again.stderr
        assert "finished_ingest" in syncd(daemon, "sync", "orchard").stderr
    finally:
        assert daemon.stop() == 0


def test_a_plan_of_a_bucket_holds_for_other_collections_and_an_object_must_be_there(moto, minilm_folder, tmp_path):
    async def make() -> None:
        async with moto.client("s3") as s3:
            await s3.create_bucket(Bucket="planned")
            await s3.put_object(Bucket="planned", Key="docs/a.md", Body=b"# A\n")

    asyncio.run(make())
    source = f"""
[[sources]]
name = "planned"
type = "s3"
bucket_name = "planned"
region = "{REGION}"
collection = "planned"
endpoint_url = "{moto.url}"
path_style = true
"""
    keys = {"AWS_ACCESS_KEY_ID": KEY.access_key_id, "AWS_SECRET_ACCESS_KEY": KEY.secret_access_key}
    daemon = Daemon(tmp_path, configuration(minilm_folder, source), environment=keys).start()
    try:
        until(lambda: list(documents(daemon)) == ["docs/a.md"])
        foreseen = syncd(daemon, "plan", "planned", "--collection", "elsewhere")
        assert "1 to add, 0 to change, 0 to delete" in foreseen.stdout
        done = syncd(daemon, "sync", "planned", "--collection", "elsewhere", "--json")
        assert json.loads(done.stdout)["counts"]["indexed"] == 1
        absent = syncd(daemon, "sync", "planned", "--object-key", "docs/b.md")
        assert absent.returncode == 1
        assert "no object 'docs/b.md'" in absent.stdout
    finally:
        assert daemon.stop() == 0
