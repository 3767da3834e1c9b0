"""Parsers of what strangers write are given damaged and made-up bytes: they read or refuse them in the documented way, within
their limits, and never fail otherwise.

A few examples of each here; for hours: `FUZZ_EXAMPLES=1000000 pytest tests/security/test_fuzz.py -k sitemap`.
"""

import io
import os
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from syncd.config import load_config
from syncd.errors import ConfigError, PermanentError
from syncd.model.formats import format_of
from syncd.pipeline.parse.archive import open_package
from syncd.pipeline.parse.sniff import confirm
from syncd.pipeline.parse.task import DocumentLimits, Task
from syncd.sources.git.pointers import Pointer
from syncd.sources.s3.events import parse_message
from syncd.sources.s3.metadata_file import parse_metadata_file
from syncd.sources.web.fetch import Response
from syncd.sources.web.robots import rules_from
from syncd.sources.web.sitemap import SitemapError, read_sitemap
from syncd.sources.web.urls import normal

FUZZ = settings(
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "60")), deadline=None, suppress_health_check=list(HealthCheck)
)
SMALL = DocumentLimits(expanded_bytes=1 << 20, members=100)
PAGE = normal("/", "https://example.com/")


def toml(data: bytes, folder: Path) -> None:
    file = folder / "syncd.toml"
    file.write_bytes(data)
    with suppress(ConfigError):
        load_config(file, {})
    with suppress(ConfigError):
        load_config(None, {"SYNCD_API__PORT": data.rpartition(b"=")[2].decode("utf-8", "replace")})


def archive(data: bytes, folder: Path) -> None:
    file = folder / "archive"
    file.write_bytes(data)
    with suppress(PermanentError), open_package(file, "a.docx", SMALL) as package:
        for member in package.members:
            with suppress(PermanentError):
                package.xml(member)
                package.relations(member)


def sniffed(data: bytes, folder: Path) -> None:
    file = folder / "document"
    file.write_bytes(data)
    for name in ("a.docx", "a.pdf", "a.doc", "a.epub", "a.csv"):
        with suppress(PermanentError):
            confirm(Task(file, name, format_of(name, None), SMALL))


def sitemap(data: bytes, _: Path) -> None:
    with suppress(SitemapError):
        assert len(list(read_sitemap(data, 1 << 20))) <= 50_000


def robots(data: bytes, _: Path) -> None:
    rules_from(Response(PAGE, 200, CIMultiDict(), data)).allows(PAGE)


def metadata_file(data: bytes, _: Path) -> None:
    with suppress(PermanentError):
        parse_metadata_file("in/a.meta.json", data, "in/")


def queue_message(data: bytes, _: Path) -> None:
    parse_message(data.decode("utf-8", "replace"))


def pointer(data: bytes, _: Path) -> None:
    found = Pointer.read(data)
    assert found is None or found.size_bytes >= 0


def packed() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("[Content_Types].xml", "<Types/>")
        made.writestr("word/document.xml", '<w:document xmlns:w="w"><w:body/></w:document>')
        made.writestr("word/ü.xml", "<a/>")
        made.writestr("_rels/.rels", '<R><Relationship Id="a" Type="x/y" Target="../word/ä"/></R>')
    return out.getvalue()


EVENT = b'{"Records": [{"eventName": "ObjectCreated:Put", "eventVersion": "2.1", "s3": {"bucket": {"name": "b"}, "object": {"key": "a+b", "size": 1}}}]}'
TARGETS: dict[str, tuple[Callable[[bytes, Path], None], list[bytes]]] = {
    "toml": (toml, [b'[api]\nport = 8787\n[[sources]]\ntype = "folder"\nname = "a"\npath = "/"\n', b"a = [[{b = 1979-05-27}]]", b"a = " + b"[" * 3000, b"port = " + b"9" * 5000]),
    "archive": (archive, [packed(), packed().replace("ü".encode(), b"\xc3\x28"), packed().replace(b"PK\x01\x02\x14\x03\x14", b"PK\x01\x02\x14\x03\x64")]),
    "sniffed": (sniffed, [packed(), b"%PDF-1.7\n1 0 obj", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), b"a,b\n1,2\n"]),
    "sitemap": (sitemap, [b"<?xml version='1.0'?><urlset><url><loc>https://a.b/</loc><lastmod>2020</lastmod></url></urlset>"]),
    "robots": (robots, [b"User-agent: *\nDisallow: /a*b$\nCrawl-delay: 3\nSitemap: https://a.b/s.xml\n"]),
    "metadata": (metadata_file, [b'{"version": "chroma-v1", "id": "a", "path": "in/a", "target_collection_name": "c", "metadata": {"x": 1}}']),
    "message": (queue_message, [EVENT, b'{"Type": "Notification", "Message": "{}"}', b'{"detail-type": "Object Created", "detail": {}}']),
    "pointer": (pointer, [b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 12\n"]),
}  # fmt: skip
PIECES = st.sampled_from(
    [b"[", b"{", b'"', b"<", b">", b"&", b"\n", b"\0", b"\xff", b"9" * 5000, b"PK\x05\x06", b"../"]
)


@st.composite
def damaged(draw, seeds: list[bytes]) -> bytes:
    """A good one with parts cut out, repeated and replaced."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, 4))):
        start, size = draw(st.integers(0, len(data))), draw(st.integers(0, 12))
        piece = draw(st.binary(max_size=8) | PIECES | st.just(data[start : start + size]))
        data = data[:start] + piece * draw(st.sampled_from([1, 1, 1, 3, 3000])) + data[start + size :]
    return data[: 1 << 18]


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_and_made_up_bytes_are_read_or_refused(name: str, tmp_path: Path):
    parse, seeds = TARGETS[name]

    @FUZZ
    @given(damaged(seeds) | st.binary(max_size=400))
    def fuzz(data: bytes):
        parse(data, tmp_path)

    fuzz()
