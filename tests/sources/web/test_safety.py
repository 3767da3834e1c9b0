"""No address but public ones is dialled, however it is written, reached or resolved."""

import socket
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from hypothesis import given
from hypothesis import strategies as st

from syncd.errors import PermanentError
from syncd.sources.web.addresses import AddressGuard, AddressRule, RefusedAddressError
from syncd.sources.web.fetch import Fetcher
from syncd.sources.web.fetch_errors import FetchError
from syncd.sources.web.settings import WebSettings
from syncd.sources.web.urls import UrlError, normal
from syncd.store.database import Database
from tests.sources.web.crawling import crawler
from tests.web_traps import Answer, TrapServer, redirect

REFUSED = [
    "127.0.0.1", "127.255.255.254", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
    "100.64.0.1", "192.0.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::", "::1",
    "::ffff:127.0.0.1", "::ffff:a9fe:a9fe", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1",
    "64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::", "2001::1", "2001:db8::1",
]  # fmt: skip
PUBLIC = ["93.184.215.14", "8.8.8.8", "172.15.255.255", "172.32.0.1", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"]


@pytest.mark.parametrize("address", REFUSED)
def test_addresses_that_are_not_public_are_refused(address: str):
    assert AddressGuard().refusal(address, 443)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_allowed_on_web_ports_only(address: str):
    assert AddressGuard().refusal(address, 443) is None
    assert AddressGuard().refusal(address, 22) == "port 22 is not an allowed port"


def test_the_allow_list_knows_networks_and_ports():
    guard = AddressGuard(["10.1.0.0/16", "127.0.0.1:8080", "[::1]:9000"])
    assert guard.refusal("10.1.2.3", 5432) is None
    assert guard.refusal("10.2.2.3", 80)
    assert guard.refusal("127.0.0.1", 8080) is None
    assert guard.refusal("::ffff:127.0.0.1", 8080) is None
    assert guard.refusal("127.0.0.1", 8081)
    assert guard.refusal("::1", 9000) is None
    with pytest.raises(PermanentError, match="allow_private_addresses: 'intranet' is neither"):
        AddressRule.parse("intranet")


@given(
    st.ip_addresses(network="127.0.0.0/8") | st.ip_addresses(network="10.0.0.0/8") | st.ip_addresses(network="fc00::/7")
)
def test_no_private_address_passes(address: Any):
    assert AddressGuard().refusal(str(address), 80)


def test_only_internet_sockets_are_made():
    with pytest.raises(RefusedAddressError):
        AddressGuard().socket_factory()((socket.AF_UNIX, socket.SOCK_STREAM, 0, "", ("/run/docker.sock", 0)))


FORMS = [
    "http://127.0.0.1:{port}/secret",
    "//127.0.0.1:{port}/secret",
    "http://localhost:{port}/secret",
    "http://127.1:{port}/secret",
    "http://2130706433:{port}/secret",
    "http://0x7f000001:{port}/secret",
    "http://0177.0.0.1:{port}/secret",
    "http://0.0.0.0:{port}/secret",
    "http://[::1]:{port}/secret",
    "http://[::ffff:127.0.0.1]:{port}/secret",
    "http://[0:0:0:0:0:ffff:7f00:1]:{port}/secret",
    "http://[::]:{port}/secret",
    "http://\uff11\uff12\uff17.0.0.1:{port}/secret",
    "http://127\u30020\u30020\u30021:{port}/secret",
    "http://x@127.0.0.1:{port}/secret",
    "http://127.0.0.1:{port}\\@public.example/secret",
    "http:/\\127.0.0.1:{port}/secret",
    "http://127.0.0.1.:{port}/secret",
    "http://LOCALHOST:{port}/secret",
]


@pytest.mark.parametrize("form", FORMS)
async def test_no_spelling_of_an_internal_address_reaches_it(site: TrapServer, form: str):
    site.add("/secret")
    settings = WebSettings("http://example.com/", ports=(80, 443, site.port))
    async with Fetcher(settings, AddressGuard((), settings.ports)) as fetcher:
        with pytest.raises((FetchError, UrlError)):
            await fetcher.get(normal(form.format(port=site.port), "http://example.com/"), 1000)
    assert site.log == []


@pytest.mark.parametrize("form", FORMS)
async def test_links_and_redirects_to_internal_addresses_are_not_followed(
    site: TrapServer, other_site: TrapServer, database: Database, form: str
):
    other_site.add("/secret")
    target = form.format(port=other_site.port)
    site.add("/", "", target.replace("\\", "&#92;"), "/jump")
    site.pages["/jump"] = redirect(target.encode("ascii", "ignore").decode())
    crawl = crawler(site, database, extra_hosts=(f"127.0.0.1:{other_site.port}", f"localhost:{other_site.port}"))

    await crawl.sync()

    assert crawl.paths(site) == ["/"]
    assert other_site.log == []


class Rebinding(AbstractResolver):
    """Answers a public address first and a private one ever after, or both at once."""

    def __init__(self, *answers: list[str]) -> None:
        self._answers = list(answers)

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        addresses = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return [
            ResolveResult(hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=0)
            for address in addresses
        ]

    async def close(self) -> None:
        pass


async def test_a_name_that_is_rebound_to_a_private_address_is_refused(site: TrapServer):
    site.add("/")
    settings = WebSettings(f"http://rebind.example:{site.port}/", ports=(site.port,))
    guard = AddressGuard((), settings.ports)
    async with Fetcher(settings, guard, Rebinding(["127.0.0.1"])) as fetcher:
        with pytest.raises(FetchError, match=r"127\.0\.0\.1 is not a public address") as caught:
            await fetcher.get(normal(settings.starting_url), 1000)
    assert caught.value.lasting
    assert site.log == []


async def test_what_a_name_resolves_to_is_dialled_where_it_is_allowed(site: TrapServer):
    site.add("/")
    settings = WebSettings(f"http://intranet.example:{site.port}/")
    guard = AddressGuard((f"127.0.0.1:{site.port}",), ())
    async with Fetcher(settings, guard, Rebinding(["10.0.0.1", "127.0.0.1"])) as fetcher:
        answer = await fetcher.get(normal(settings.starting_url), 1000)
    assert answer.status == 200


async def test_a_proxy_from_the_environment_does_not_dial_for_us(site: TrapServer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("http_proxy", site.url)
    site.pages["*"] = Answer(b"proxied")
    settings = WebSettings(f"http://127.0.0.1:{site.port + 1 if site.port < 65535 else 1}/")
    async with Fetcher(settings, AddressGuard((), ())) as fetcher:
        with pytest.raises(FetchError):
            await fetcher.get(normal(settings.starting_url), 1000)
    assert site.log == []


@pytest.mark.parametrize(
    "link",
    ["javascript:alert(1)", "data:text/html,x", "ftp://ftp.example/x", "mailto:a@b.c", "file:///etc/passwd", "http://[",
     "http://a b/", "/%zz", "http://user:secret@127.0.0.1/", "/" + "x" * 5000, "tel:+1", "#top", "", "http://"],
)  # fmt: skip
async def test_odd_links_do_no_harm(site: TrapServer, database: Database, link: str):
    site.add("/", "", link, "/fine")
    site.add("/fine")
    crawl = crawler(site, database)

    await crawl.sync()

    assert crawl.paths(site) == ["/", "/fine"]
    assert set(site.paths()) <= {"/", "/fine", "/%zz"}
