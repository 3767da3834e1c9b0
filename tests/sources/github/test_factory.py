"""Which settings an open repository follows."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from syncd.errors import PermanentError
from syncd.model import Chunking, Embedding, SourceRecord, SourceType
from syncd.sources.github.factory import GithubAccess, RepositoryFactory


def test_a_source_that_names_an_app_later_is_opened_anew_with_it(tmp_path: Path) -> None:
    repositories = RepositoryFactory(GithubAccess(), tmp_path / "git", tmp_path / "spool")
    settings = {"repository": "owner/name", "app_id": None}
    now = datetime.now(UTC)
    record = SourceRecord("1", SourceType.GITHUB, "d", settings, Embedding(), Chunking(), now)
    opened = repositories.open(record)
    assert repositories.open(record) is opened
    with pytest.raises(PermanentError, match="GitHub App 42 is not configured"):
        repositories.open(replace(record, settings={**settings, "app_id": "42"}))
