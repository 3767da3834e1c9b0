"""https: trusted authorities only, moves from http, trouble with certificates in words, no credentials for other hosts."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from syncd.errors import PermanentError
from syncd.sources.web.settings import WebSettings
from syncd.sources.web.source import SiteSource
from syncd.store.database import Database
from tests.sources.web.certificates import Authority
from tests.sources.web.crawling import QUICK, Crawler, DirectReader, Names
from tests.web_traps import TrapServer, redirect, trap_server


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


def crawler(
    url: str, names: Mapping[tuple[str, int], int], authority: Authority, database: Database, *extra_hosts: str
) -> Crawler:
    allowed = ("127.0.0.1",)
    settings = WebSettings(url, allow_private_addresses=allowed, rate_per_s=0, limits=QUICK, extra_hosts=extra_hosts)
    tls = authority.client_context()
    return Crawler(SiteSource(settings, database, "s", DirectReader(), resolver=Names(names), tls=tls))


async def test_a_site_that_moves_from_http_to_https_is_followed_there(
    site: TrapServer, authority: Authority, database: Database
):
    async with trap_server(authority.server_context("shop.example")) as secure:
        site.pages["*"] = lambda asked: redirect(f"https://shop.example{asked.path}", 301)
        secure.add("/", "", "/a", "http://shop.example/b")
        secure.add("/a")
        secure.add("/b")
        names = {("shop.example", 80): site.port, ("shop.example", 443): secure.port}
        crawl = crawler("http://shop.example/", names, authority, database)

        index = await crawl.sync()

    assert list(index.versions) == [f"https://shop.example{path}" for path in ("/", "/a", "/b")]
    assert "/robots.txt" in [one.path for one in secure.log], "the secure origin has rules of its own"
    assert index.checkpoint is not None
    assert index.checkpoint.absent_are_gone


@pytest.mark.parametrize(
    ("certificate_for", "expired", "trusted", "reason"),
    [
        (
            "bad.example",
            True,
            True,
            "its TLS certificate has expired or is not valid yet; the site's owner must renew it",
        ),
        ("other.example", False, True, "its TLS certificate is for another host (Hostname mismatch"),
        ("bad.example", False, False, "its TLS certificate is not signed by a trusted authority; SSL_CERT_FILE"),
    ],
)
async def test_trouble_with_a_certificate_is_that_pages_error(
    site: TrapServer,
    authority: Authority,
    database: Database,
    tmp_path: Path,
    certificate_for: str,
    expired: bool,
    trusted: bool,
    reason: str,
):
    issuer = authority if trusted else Authority(tmp_path)
    async with trap_server(issuer.server_context(certificate_for, expired)) as secure:
        site.add("/", "", "https://bad.example/page", "/fine")
        site.add("/fine")
        secure.add("/page")
        names = {("shop.example", 80): site.port, ("bad.example", 443): secure.port}
        crawl = crawler("http://shop.example/", names, authority, database, "bad.example")

        index = await crawl.sync()

        with pytest.raises(PermanentError, match="its TLS certificate"):
            await crawler("https://bad.example/page", names, authority, database).sync()

    assert list(index.versions) == ["http://shop.example/", "http://shop.example/fine"]
    assert list(index.failed) == ["https://bad.example/page"]
    assert index.failed["https://bad.example/page"].startswith(reason)
    assert secure.log == []


async def test_no_host_is_told_anything_meant_for_another(site: TrapServer, authority: Authority, database: Database):
    async with trap_server(authority.server_context("other.example")) as other:
        site.add("/", "", "/to-other", "/with-password", "https://other.example/linked", Set_Cookie="secret=1; Path=/")
        site.pages["/to-other"] = redirect("https://other.example/moved")
        site.pages["/with-password"] = redirect("https://user:password@other.example/private")
        other.add("/moved")
        other.add("/linked")
        names = {("shop.example", 80): site.port, ("other.example", 443): other.port}
        crawl = crawler("http://shop.example/", names, authority, database, "other.example")

        index = await crawl.sync()

    assert sorted(index.versions)[1:] == ["https://other.example/linked", "https://other.example/moved"]
    told = {name for one in (*site.log, *other.log) for name in one.headers}
    assert told.isdisjoint({"cookie", "authorization", "referer", "origin", "from"})
    assert "/private" not in [one.path for one in other.log]
