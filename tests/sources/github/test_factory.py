"""Which settings an open repository follows."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from syncd.errors import ConfigError, PermanentError
from syncd.model import Chunking, Embedding, GitRef, SourceRecord, SourceWatch, WholeSource
from syncd.sources.factory import Machine
from syncd.sources.github.factory import GithubFactory, github_remote
from syncd.sources.github.settings import GithubAppSection, GithubSection, GithubSourceSettings
from syncd.sources.registry import TYPES
from syncd.store import Store
from tests.git_server import GitServer


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(tmp_path, TYPES)
    yield opened
    await opened.close()


async def test_a_source_that_names_an_app_later_is_opened_anew_with_it(tmp_path: Path, store: Store) -> None:
    repositories = GithubFactory(Machine(tmp_path, store))
    settings = GithubSourceSettings(repository="owner/name")
    now = datetime.now(UTC)
    record = SourceRecord("1", "github", "d", settings, Embedding(), Chunking(), now)
    opened = await repositories.open(record)
    assert await repositories.open(record) is opened
    with pytest.raises(PermanentError, match="GitHub App 42 is not configured"):
        await repositories.open(replace(record, settings=replace(settings, app_id="42")))


async def test_an_app_reads_what_its_owners_and_databases_say_also_for_sources_that_were_made_before(
    tmp_path: Path, store: Store
) -> None:
    app = GithubAppSection(app_id="42", private_key_file=tmp_path / "key.pem", databases=("d",), owners=("Owner",))
    repositories = GithubFactory(Machine(tmp_path, store, {GithubSection: GithubSection(apps=(app,))}))
    settings = GithubSourceSettings(repository="owner/name", app_id="42")
    record = SourceRecord("1", "github", "d", settings, Embedding(), Chunking(), datetime.now(UTC))
    for allowed in (record, replace(record, database="other", name="declared", is_declared=True)):
        with pytest.raises(ConfigError, match=r"key\.pem' cannot be read"):
            repositories.logins(allowed)
    with pytest.raises(PermanentError, match="is not for sources of database 'other'"):
        repositories.logins(replace(record, database="other"))
    with pytest.raises(PermanentError, match="does not read repositories of 'stranger'"):
        repositories.logins(replace(record, name="declared", settings=replace(settings, repository="stranger/name")))


async def test_a_watched_branch_is_asked_for_by_name_and_the_default_one_without(
    git_server: GitServer, tmp_path: Path, store: Store
) -> None:
    git_server.create("owner/name", {"a.py": "a"}, branch="trunk")
    repositories = GithubFactory(Machine(tmp_path, store, {GithubSection: GithubSection(base_url=git_server.url)}))
    for branch, request in (("trunk", WholeSource(ref=GitRef(branch="trunk"))), (None, WholeSource())):
        watch = SourceWatch(target_collection_name="code", branch=branch, interval_s=1)
        settings = GithubSourceSettings(repository="owner/name", watch=watch)
        record = SourceRecord(str(branch), "github", "d", settings, Embedding(), Chunking(), datetime.now(UTC))
        async with aclosing(repositories.watch(record)) as requests:
            assert await anext(requests) == request


@pytest.mark.parametrize(
    "repository",
    ["name", "-o/name", "o/..", "o/n/x", "o/n;touch x", "--upload-pack=x/y", "o/n\n", "../../etc/passwd", "o/"],
)
def test_a_repository_name_that_is_none_is_refused(repository: str) -> None:
    with pytest.raises(ConfigError, match="is not owner/name"):
        github_remote(repository)
