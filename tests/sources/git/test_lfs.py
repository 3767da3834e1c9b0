"""What Git LFS pointers stand for is fetched, checked and indexed; what cannot be had fails alone, and nothing is asked of strangers."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from syncd.errors import PermanentError
from syncd.sources.git.lfs import GitLfs
from syncd.sources.git.pointers import ObjectCheck, Pointer
from syncd.sources.git.remote import Login, Remote
from syncd.sources.git.source import RepositorySettings, RepositorySource
from syncd.sources.web.addresses import AddressGuard
from tests.git_server import GitServer
from tests.lfs_server import LfsServer
from tests.sources.running import SyncedCollection

Open = Callable[..., RepositorySource]


class OneToken:
    """Logs in with one token."""

    async def login(self) -> Login:
        return Login("x-access-token", "s3cret")

    def forget(self) -> bool:
        return False


@pytest.fixture
def opened(lfs_server: LfsServer, tmp_path: Path) -> Open:
    def open_source(logins: OneToken | None = None, **settings: object) -> RepositorySource:
        known = {"remote": lfs_server.remote("owner/name"), "lfs_guard": AddressGuard(), **settings}
        return RepositorySource(RepositorySettings(**known), tmp_path / "git" / "s1", logins)  # type: ignore[arg-type]

    return open_source


def elsewhere(server: GitServer) -> str:
    """The same server as another one: of another origin."""
    return server.url.replace("127.0.0.1", "localhost")


async def test_what_pointers_stand_for_is_indexed_under_the_digest_as_version(
    lfs_server: LfsServer, opened: Open
) -> None:
    data = b"a,b\n" * 100
    large, text = lfs_server.keep(b"x" * 3000), lfs_server.keep(data)
    lfs_server.create(
        "owner/name",
        {"a.csv": text, "bin": lfs_server.keep(b"\0\1"), "large.csv": large, "own.md": b"own", "about.md": b"#" + text},
    )
    index, source = SyncedCollection(), opened(max_file_size_bytes=2000)
    await index.sync(source)
    assert index.contents == {
        "a.csv": data,
        "about.md": b"#" + text,
        "bin": "skipped: binary: a NUL byte in its first 8192 bytes",
        "large.csv": "skipped: too large: 3,000 bytes, the limit is 2,000; raise max_file_size_bytes to index it",
        "own.md": b"own",
    }
    assert index.versions["a.csv"] == f"sha256:{sha256(data).hexdigest()}"
    assert len(lfs_server.downloads) == 2
    assert lfs_server.downloads[0].headers["X-Signed"] == "for the storage"
    assert lfs_server.downloads[0].path.endswith("?signature=a%2Fb")
    changed = lfs_server.keep(b"other")
    lfs_server.commit("owner/name", {"a.csv": changed})
    assert await index.sync(source) == ["a.csv"]
    assert index.contents["a.csv"] == b"other"


async def test_pointers_that_were_skipped_are_fetched_once_that_is_asked_for(
    lfs_server: LfsServer, opened: Open
) -> None:
    lfs_server.create("owner/name", {"a.csv": lfs_server.keep(b"1,2\n"), "b": "b"})
    index = SyncedCollection()
    await index.sync(opened(lfs_guard=None))
    assert "`lfs = true` fetches them" in str(index.contents["a.csv"])
    assert lfs_server.batches == []
    assert await index.sync(opened()) == ["a.csv"]
    assert index.contents == {"a.csv": b"1,2\n", "b": b"b"}


async def test_an_object_that_cannot_be_had_fails_alone_and_is_asked_for_again(
    lfs_server: LfsServer, opened: Open
) -> None:
    lost, wrong, short = (lfs_server.keep(text) for text in (b"lost", b"right", b"whole"))
    oids = [Pointer.read(pointer).oid for pointer in (lost, wrong, short)]  # type: ignore[union-attr]
    del lfs_server.objects[oids[0]]
    lfs_server.sent = {oids[1]: b"wrong", oids[2]: b"whol"}
    lfs_server.create("owner/name", {"lost": lost, "wrong": wrong, "short": short, "own": "own"})
    index = SyncedCollection()
    await index.sync(opened())
    assert index.contents["own"] == b"own"
    assert "Object does not exist" in index.failed["lost"]
    assert "other bytes than the 5" in index.failed["wrong"]
    assert "other bytes than the 5" in index.failed["short"]
    assert all(result.is_put_off for result in index.last.results if result.state == "failed")


async def test_the_credential_goes_to_the_repositorys_own_server_and_nowhere_else(
    lfs_server: LfsServer, opened: Open
) -> None:
    lfs_server.require_token("owner/name", "s3cret")
    lfs_server.create("owner/name", {"a": lfs_server.keep(b"1")})
    index, source = SyncedCollection(), opened(OneToken(), lfs_guard=AddressGuard(["127.0.0.0/8", "::1"]))
    await index.sync(source)
    (own,) = lfs_server.downloads
    assert own.headers["Authorization"] == lfs_server.batches[0].headers["Authorization"]
    lfs_server.storage = elsewhere(lfs_server)
    lfs_server.commit("owner/name", {"a": lfs_server.keep(b"2")})
    await index.sync(source)
    assert "Authorization" not in lfs_server.downloads[1].headers
    assert lfs_server.downloads[1].headers["X-Signed"] == "for the storage"
    lfs_server.storage, lfs_server.redirected = "", elsewhere(lfs_server)
    lfs_server.commit("owner/name", {"a": lfs_server.keep(b"3")})
    await index.sync(source)
    assert index.contents == {"a": b"3"}
    *_, asked, redirected = lfs_server.downloads
    assert "Authorization" in asked.headers
    assert not {"Authorization", "X-Signed"} & set(redirected.headers)


@pytest.mark.parametrize("place", ["storage", "redirected"])
async def test_no_download_leads_to_an_address_inside_the_network(
    lfs_server: LfsServer, git_server: GitServer, opened: Open, place: str
) -> None:
    setattr(lfs_server, place, git_server.url)
    lfs_server.create("owner/name", {"a": lfs_server.keep(b"a"), "own": "own"})
    index = SyncedCollection()
    await index.sync(opened())
    assert "127.0.0.1 is not a public address" in index.failed["a"]
    assert index.contents["own"] == b"own"
    assert git_server.requests == []


async def test_a_strangers_repository_is_not_read_from_inside_the_network_either(lfs_server: LfsServer) -> None:
    remote = Remote(f"{lfs_server.url}/owner/name", "name", guard=AddressGuard())
    with pytest.raises(PermanentError, match="may not be read from"):
        await GitLfs(remote, AddressGuard()).locate(Pointer("0" * 64, 1), None)
    assert lfs_server.batches == []


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"href": "ftp://127.0.0.1/a"}, "URL that is not https"),
        ({"href": "file:///etc/passwd"}, "URL that is not https"),
        ({"href": "http://[x/"}, "URL that is not https"),
        ({"header": {"A": "b\r\nC: d"}}, "impossible URL or header"),
        ({"header": {"A": 1}}, "unexpected answer"),
    ],
)
async def test_answers_that_make_no_sense_fail_the_document(
    lfs_server: LfsServer, opened: Open, changed: dict[str, object], reason: str
) -> None:
    lfs_server.change = lambda action: action.update(changed)
    lfs_server.create("owner/name", {"a": lfs_server.keep(b"a"), "own": "own"})
    index = SyncedCollection()
    await index.sync(opened())
    assert reason in index.failed["a"]
    assert lfs_server.downloads == []


def test_more_bytes_than_the_pointer_names_are_not_waited_for() -> None:
    check = ObjectCheck(Pointer("0" * 64, 10))
    check.feed(b"x" * 10)
    with pytest.raises(Exception, match="other bytes"):
        check.feed(b"x")
