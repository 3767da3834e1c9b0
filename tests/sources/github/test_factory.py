"""Which settings an open repository follows."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from syncd.errors import PermanentError
from syncd.model import Chunking, Embedding, SourceRecord
from syncd.sources.github.factory import RepositoryFactory
from syncd.sources.github.settings import GithubSection, GithubSourceSettings


async def test_a_source_that_names_an_app_later_is_opened_anew_with_it(tmp_path: Path) -> None:
    repositories = RepositoryFactory(GithubSection(), tmp_path / "git", tmp_path / "spool")
    settings = GithubSourceSettings(repository="owner/name")
    now = datetime.now(UTC)
    record = SourceRecord("1", "github", "d", settings, Embedding(), Chunking(), now)
    opened = await repositories.open(record)
    assert await repositories.open(record) is opened
    with pytest.raises(PermanentError, match="GitHub App 42 is not configured"):
        await repositories.open(replace(record, settings=replace(settings, app_id="42")))
