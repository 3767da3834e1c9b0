"""Repositories of any host: which URLs, addresses, tokens and keys are used."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from syncd.errors import MisconfiguredError, NotFoundError, PermanentError
from syncd.model import Chunking, Embedding, SourceRecord
from syncd.sources.factory import Machine, Requester
from syncd.sources.git.hosts import GitFactory
from syncd.sources.git.settings import GitSection, GitSource, GitSourceSettings
from syncd.sources.registry import TYPES
from syncd.store import Store
from tests.git_server import GitServer
from tests.sources.running import SyncedCollection


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(tmp_path, TYPES)
    yield opened
    await opened.close()


def factory(store: Store, folder: Path, **section: object) -> GitFactory:
    return GitFactory(Machine(folder, store, {GitSection: GitSection.model_validate(section)}))


def record(name: str | None = None, **settings: object) -> SourceRecord[GitSourceSettings]:
    given = GitSourceSettings(**settings)  # type: ignore[arg-type]
    return SourceRecord(
        "1", "git", "d", given, Embedding(), Chunking(), datetime.now(UTC), name, is_declared=name is not None
    )


def port_of(git_server: GitServer) -> str:
    return git_server.url.removeprefix("http://")


async def test_a_repository_of_this_machine_is_read_if_the_configuration_names_it(
    git_server: GitServer, tmp_path: Path, store: Store
) -> None:
    git_server.create("owner/name", {"a": "a"})
    url = f"file://{git_server.path('owner/name')}"
    index = SyncedCollection(type="git")
    await index.sync(await factory(store, tmp_path).open(record("declared", url=url)))
    assert index.contents == {"a": b"a"}
    assert index.documents[0].metadata["repository"] == url
    with pytest.raises(PermanentError, match="only https"):
        await factory(store, tmp_path).open(record(url=url))
    with pytest.raises(PermanentError, match="only https"):
        factory(store, tmp_path).accept(GitSourceSettings(url=url), Requester.configuration("d"))


async def test_a_stranger_cannot_make_the_daemon_read_from_a_private_address(
    git_server: GitServer, tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    git_server.create("owner/name", {"a": "a"})
    port = git_server.url.rpartition(":")[2]
    for host in ("127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"):
        source = await factory(store, tmp_path).open(record(url=f"http://{host}:{port}/owner/name.git"))
        with pytest.raises(PermanentError, match="may not be read from"):
            await SyncedCollection(type="git").sync(source)
    assert git_server.requests == []
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    allowing = factory(store, tmp_path, allow_private_addresses=[port_of(git_server)])
    index = SyncedCollection(type="git")
    await index.sync(await allowing.open(record(url=f"{git_server.url}/owner/name.git")))
    assert index.contents == {"a": b"a"}


async def test_git_dials_the_address_that_was_checked_and_looks_none_up(
    git_server: GitServer, tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    git_server.create("owner/name", {"a": "a"})

    async def looked_up(*_: object, **__: object) -> list[tuple[object, ...]]:
        return [(None, None, None, "", ("127.0.0.1", 0))]

    monkeypatch.setattr("anyio.getaddrinfo", looked_up)
    allowing = factory(store, tmp_path, allow_private_addresses=[port_of(git_server)])
    port = git_server.url.rpartition(":")[2]
    index = SyncedCollection(type="git")
    await index.sync(await allowing.open(record(url=f"http://name.invalid:{port}/owner/name.git")))
    assert index.contents == {"a": b"a"}


async def test_a_token_file_is_read_anew_at_every_fetch(git_server: GitServer, tmp_path: Path, store: Store) -> None:
    git_server.create("owner/name", {"a": "1"})
    file = tmp_path / "token"
    source = await factory(store, tmp_path).open(
        record("declared", url=f"{git_server.url}/owner/name.git", token_file=str(file), username="x-access-token")
    )
    index = SyncedCollection(type="git")
    with pytest.raises(MisconfiguredError, match="cannot be read"):
        await index.sync(source)
    for token in ("first", "second"):
        git_server.require_token("owner/name", token)
        file.write_text(f"{token}\n")
        git_server.commit("owner/name", {"a": token})
        await index.sync(source)
        assert index.contents == {"a": token.encode()}
    git_server.require_token("owner/name", "third")
    with pytest.raises(PermanentError, match="refused the credentials"):
        await index.sync(source)


async def test_a_stored_token_is_sent_to_the_origin_that_it_was_given_for_and_to_no_other(
    git_server: GitServer, tmp_path: Path, store: Store
) -> None:
    git_server.create("owner/name", {"a": "a"})
    git_server.require_token("owner/name", "s3cret")
    allowing = factory(store, tmp_path, allow_private_addresses=["127.0.0.0/8"])
    url = f"{git_server.url}/owner/name.git"
    given = GitSource(url=url, token="s3cret", username="x-access-token")
    settings = await allowing.keep_secrets(given, GitSourceSettings(url=url, username="x-access-token"), Requester("d"))
    assert "s3cret" not in repr(settings)
    index = SyncedCollection(type="git")
    await index.sync(await allowing.open(record(**vars_of(settings))))
    assert index.contents == {"a": b"a"}
    git_server.requests.clear()
    other = url.replace("127.0.0.1", "localhost")
    stolen = await allowing.open(record(**{**vars_of(settings), "url": other}))
    with pytest.raises(MisconfiguredError, match="is not for"):
        await SyncedCollection(type="git").sync(stolen)
    assert git_server.requests == []
    with pytest.raises(NotFoundError, match="does not exist in this database"):
        await allowing.keep_secrets(GitSource(url=url, credential_id=1), settings, Requester("other"))
    with pytest.raises(PermanentError, match="unencrypted"):
        await allowing.keep_secrets(
            GitSource(url="http://host/x", token="s"), GitSourceSettings(url="http://host/x"), Requester("d")
        )


def vars_of(settings: GitSourceSettings) -> dict[str, object]:
    return {name: getattr(settings, name) for name in ("url", "username", "credential_id")}
