"""Which deletes the real program carries out at once, and which wait for somebody to confirm them."""

import asyncio
import json
import shutil
import signal
from pathlib import Path

import pytest

from tests.app.test_daemon import configuration, syncd, until
from tests.aws_servers import KEY, REGION, Aws
from tests.daemon import MINILM, Daemon

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(40)


@pytest.fixture(scope="module")
def daemon(minilm_folder, tmp_path_factory):
    running = Daemon(tmp_path_factory.mktemp("daemon"), configuration(minilm_folder)).start()
    yield running
    assert running.stop() == 0


def write(folder: Path, pages: int, pictures: int) -> None:
    folder.mkdir(parents=True)
    for number in range(pages):
        (folder / f"{number}.md").write_text(f"# Page {number}\n\nIt says number {number}.\n")
    for number in range(pictures):
        (folder / f"{number}.xcf").write_bytes(PICTURE + bytes([number]))


def source_of(daemon: Daemon, folder: Path, *more: str) -> str:
    added = syncd(daemon, "sources", "add", "folder", str(folder), "--model", MINILM, "--json", *more)
    assert added.returncode == 0, added.stderr
    return json.loads(added.stdout)["source_id"]


def synced(daemon: Daemon, source: str, collection: str) -> tuple[int, int]:
    """Return how many documents the run deleted, and how many deletes it held."""
    done = syncd(daemon, "sync", source, "--collection", collection, "--json")
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)["counts"]
    return counts["deleted"], counts["held_deletes"]


def keys(daemon: Daemon, collection: str) -> list[str]:
    statement = "SELECT d.key FROM documents d JOIN collections c ON c.id = d.collection_id WHERE c.name = ? AND d.state = 'indexed'"
    return sorted(key for (key,) in daemon.rows(statement, collection))


def held(daemon: Daemon, collection: str) -> list[tuple[str, int]]:
    statement = (
        "SELECT id, json_extract(counts, '$.held_deletes') FROM invocations WHERE collection = ? AND state = 'complete'"
    )
    return [(ident, count) for ident, count in daemon.rows(statement, collection) if count]


def test_a_renamed_folder_is_no_mass_delete(daemon, tmp_path, fresh_name):
    write(tmp_path / "site/docs", 30, 5)
    source = source_of(daemon, tmp_path / "site")
    assert synced(daemon, source, fresh_name) == (0, 0)
    (tmp_path / "site/docs").rename(tmp_path / "site/pages")
    plan = syncd(daemon, "plan", source, "--collection", fresh_name)
    assert "30 to add, 0 to change, 30 to delete" in plan.stdout
    assert synced(daemon, source, fresh_name) == (30, 0)
    assert keys(daemon, fresh_name) == sorted(f"pages/{number}.md" for number in range(30))


def test_documents_without_chunks_do_not_make_a_mass_delete(daemon, tmp_path, fresh_name):
    write(tmp_path / "site", 3, 40)
    source = source_of(daemon, tmp_path / "site")
    assert synced(daemon, source, fresh_name) == (0, 0)
    for picture in (tmp_path / "site").glob("*.xcf"):
        picture.unlink()
    (tmp_path / "site/0.md").unlink()
    assert synced(daemon, source, fresh_name) == (1, 0)
    assert keys(daemon, fresh_name) == ["1.md", "2.md"]


def test_of_a_mass_delete_only_what_would_be_lost_is_held(daemon, tmp_path, fresh_name):
    write(tmp_path / "site", 30, 5)
    source = source_of(daemon, tmp_path / "site")
    assert synced(daemon, source, fresh_name) == (0, 0)
    (tmp_path / "site/kept").mkdir()
    for number in range(30):
        page = tmp_path / f"site/{number}.md"
        page.unlink() if number else page.rename(tmp_path / "site/kept/0.md")
    assert synced(daemon, source, fresh_name) == (1, 29)
    assert "0.md" not in keys(daemon, fresh_name)
    (tmp_path / "site/7.md").write_text("# Page 7\n\nIt is back.\n")
    assert synced(daemon, source, fresh_name)[1] == 28
    first, second = (invocation for invocation, _ in held(daemon, fresh_name))
    listed = syncd(daemon, "confirm-deletes", first, "--list")
    assert listed.stdout.split() == sorted(f"{number}.md" for number in range(1, 30) if number != 7)
    assert syncd(daemon, "confirm-deletes", first, "--discard").returncode == 0
    assert "holds no deletes" in syncd(daemon, "confirm-deletes", first, "--discard").stderr
    assert len(keys(daemon, fresh_name)) == 30
    assert syncd(daemon, "confirm-deletes", second).returncode == 0
    assert keys(daemon, fresh_name) == ["7.md", "kept/0.md"]
    for number in range(1, 30):
        (tmp_path / f"site/{number}.md").write_text(f"# Page {number}\n\nIt says number {number}.\n")
    assert synced(daemon, source, fresh_name) == (0, 0)
    embedded = (
        "SELECT json_extract(counts, '$.chunks_written'), json_extract(counts, '$.chunks_embedded') FROM invocations"
    )
    assert daemon.rows(f"{embedded} WHERE collection = ? ORDER BY seq DESC LIMIT 1", fresh_name) == [(29, 0)]


def test_what_is_missing_in_another_folder_of_the_name_is_held_until_it_is_confirmed(daemon, tmp_path, fresh_name):
    share = tmp_path / "share"
    write(share, 15, 0)
    source = source_of(daemon, share, "--watch", fresh_name)
    until(lambda: len(keys(daemon, fresh_name)) == 15 and daemon.unsettled() == 0)
    share.rename(tmp_path / "mounted")
    share.mkdir()
    (share / "placeholder.md").write_text("# Not mounted\n")
    until(lambda: held(daemon, fresh_name) and daemon.unsettled() == 0)
    assert len(keys(daemon, fresh_name)) == 16
    (share / "another.md").write_text("# Another\n")
    until(lambda: len(keys(daemon, fresh_name)) == 17 and daemon.unsettled() == 0)
    assert held(daemon, fresh_name)[-1][1] == 15
    again = syncd(daemon, "sync", source, "--collection", fresh_name)
    assert "is a different folder than before (is it mounted?)" in again.stdout
    assert len(keys(daemon, fresh_name)) == 17
    assert syncd(daemon, "confirm-deletes", held(daemon, fresh_name)[-1][0]).returncode == 0
    assert keys(daemon, fresh_name) == ["another.md", "placeholder.md"]
    assert synced(daemon, source, fresh_name) == (0, 0)
    (share / "another.md").unlink()
    until(lambda: keys(daemon, fresh_name) == ["placeholder.md"])


def bucket_source(aws: Aws, bucket: str, prefix: str) -> str:
    return f"""
[[sources]]
name = "bucket"
type = "s3"
bucket_name = "{bucket}"
region = "{REGION}"
collection = "{bucket}"
path_prefix = "{prefix}"
endpoint_url = "{aws.url}"
path_style = true
"""


def test_an_edited_declaration_is_followed_at_once_and_what_fell_out_of_its_scope_goes(
    moto, minilm_folder, tmp_path, fresh_name
):
    async def make() -> None:
        async with moto.client("s3") as s3:
            await s3.create_bucket(Bucket=fresh_name)
            for key in ("old/a.md", "old/b.md", "new/c.md"):
                await s3.put_object(Bucket=fresh_name, Key=key, Body=f"# {key}\n".encode())

    asyncio.run(make())
    environment = {"AWS_ACCESS_KEY_ID": KEY.access_key_id, "AWS_SECRET_ACCESS_KEY": KEY.secret_access_key}
    config = configuration(minilm_folder, bucket_source(moto, fresh_name, "old/"))
    daemon = Daemon(tmp_path, config, environment=environment).start()
    try:
        until(lambda: keys(daemon, fresh_name) == ["old/a.md", "old/b.md"] and daemon.unsettled() == 0)
        file = tmp_path / "syncd.toml"
        file.write_text(file.read_text().replace('path_prefix = "old/"', 'path_prefix = "new/"'))
        daemon.process.send_signal(signal.SIGHUP)
        until(lambda: keys(daemon, fresh_name) == ["new/c.md"])
        file.write_text(file.read_text().replace(f'collection = "{fresh_name}"', f'collection = "{fresh_name}-2"'))
        daemon.process.send_signal(signal.SIGHUP)
        until(lambda: keys(daemon, f"{fresh_name}-2") == ["new/c.md"] and keys(daemon, fresh_name) == [])
        assert daemon.rows("SELECT sum(json_extract(counts, '$.chunks_embedded')) FROM invocations") == [(3,)]
    finally:
        assert daemon.stop() == 0
        shutil.rmtree(daemon.state)
