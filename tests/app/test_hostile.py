"""The real program and documents made to stop it: it answers while they are read, stays small, and says what is wrong."""

import io
import struct
from pathlib import Path
from zipfile import ZIP_BZIP2, ZipFile

import pytest
from aiohttp import web

from tests.app.test_daemon import configuration, request, syncd, until, upload
from tests.daemon import Daemon
from tests.serving import serve

COMMENTS = b"<!---->" * 60 + b"and no page"
"""431 bytes over which a pattern of repeated comments is busy for longer than the universe is old."""
REFUSED = ("doc", "docx", "epub", "ods", "pdf", "png", "ppt", "xls")
SUFFIXES = (*REFUSED, "htm")
UNPACKED_BYTES = 400 << 20
MIB = 1 << 20


def bzip2_bomb() -> bytes:
    """A Word document of two kilobytes whose `mimetype` says that it has 100 bytes and has 400 MiB."""
    out = io.BytesIO()
    with ZipFile(out, "w", ZIP_BZIP2) as package:
        package.writestr("word/document.xml", "<w/>")
        with package.open("mimetype", "w") as stream:
            for _ in range(UNPACKED_BYTES // MIB):
                stream.write(bytes(MIB))
    return out.getvalue().replace(struct.pack("<L", UNPACKED_BYTES), struct.pack("<L", 100))


def memory_mib(daemon: Daemon) -> tuple[float, float]:
    """What the daemon itself, without its children, has now, and the most it ever had (proc(5))."""
    lines = Path(f"/proc/{daemon.process.pid}/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    now, most = (int(fields[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))
    return now, most


@pytest.fixture(scope="module")
def site():
    async def answer(asked: web.Request) -> web.Response:
        if asked.path == "/":
            text = '<html><title>Home</title><body><p>Start here.</p><a href="/odd">odd</a> <a href="/fine">fine</a>'
            return web.Response(text=text, content_type="text/html")
        if asked.path == "/odd":
            return web.Response(body=COMMENTS, content_type="application/octet-stream")
        if asked.path == "/fine":
            return web.Response(
                body=b"<!-- a --> <!DOCTYPE html><title>Fine</title><p>Herons wade.",
                content_type="application/octet-stream",
            )
        return web.Response(status=404)

    with serve(answer) as url:
        yield url


@pytest.fixture(scope="module")
def daemon(site, minilm_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    for suffix in SUFFIXES:
        (folder / f"comments.{suffix}").write_bytes(COMMENTS)
    (folder / "bomb.docx").write_bytes(bzip2_bomb())
    (folder / "good.md").write_text("# Otters\n\nOtters hold hands while they sleep.\n")
    sources = f"""
[documents]
parsers = 1
[web]
rate_per_s = 0
allow_private_addresses = ["{site.removeprefix("http://")}"]
[[sources]]
name = "folder"
type = "folder"
path = "{folder}"
collection = "hostile"
[[sources]]
name = "site"
type = "web_scrape"
starting_url = "{site}/"
collection = "crawled"
"""
    running = Daemon(tmp_path_factory.mktemp("daemon"), configuration(minilm_folder, sources)).start()
    yield running
    if running.process.poll() is None:
        running.stop()


def reasons(daemon: Daemon) -> dict[str, str]:
    return dict(daemon.rows("SELECT key, reason FROM documents WHERE state = 'failed'"))


def settled(daemon: Daemon, documents: int) -> bool:
    request(daemon, "GET", "/api/v1/status")  # it answers all the while
    return daemon.rows("SELECT count(*) FROM documents")[0][0] >= documents and daemon.unsettled() == 0


def test_comments_without_a_page_are_read_or_refused_under_any_name(daemon):
    until(lambda: settled(daemon, len(SUFFIXES) + 2), 120)
    failed = reasons(daemon)
    assert {key for key in failed if key.startswith("comments.")} == {f"comments.{suffix}" for suffix in REFUSED}
    assert "comments.xls cannot be read as spreadsheet" in failed["comments.xls"]
    indexed = {key for (key,) in daemon.rows("SELECT key FROM documents WHERE state = 'indexed'")}
    assert {"good.md", "comments.htm"} <= indexed


def test_uploads_of_it_settle(daemon):
    assert upload(daemon, "uploads", COMMENTS.decode(), "notes", content_type="text/html") == 0
    assert upload(daemon, "uploads", COMMENTS.decode(), "notes.doc") != 0
    assert "notes.doc cannot be read as Word" in next(why for why in reasons(daemon).values() if "notes.doc" in why)


def test_a_crawl_passes_by_an_answer_of_it_and_takes_pages_behind_comments(daemon, site):
    crawled = syncd(daemon, "sync", "site", "--json")
    assert crawled.returncode == 0, crawled.stderr + daemon.log()
    keys = {key for (key,) in daemon.rows("SELECT key FROM documents WHERE key LIKE 'http%' AND state = 'indexed'")}
    assert keys == {f"{site}/", f"{site}/fine"}


def test_a_part_that_is_not_what_it_declares_costs_the_daemon_no_memory(daemon):
    reason = until(lambda: reasons(daemon).get("bomb.docx"), 120)
    now, most = memory_mib(daemon)
    assert most < now + UNPACKED_BYTES / MIB / 2
    assert "its part word/document.xml is packed with bzip2" in reason
    assert "save it again" in reason
