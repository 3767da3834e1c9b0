"""Settings of a GitHub source: as stored, in the API and in the configuration file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from syncd.errors import PermanentError
from syncd.model import SecretsPolicy, SourceSettings, SourceWatch
from syncd.quoting import shown
from syncd.schema import ExtendedModel, OwnPath, Table, UniqueStrings
from syncd.sources import shapes
from syncd.sources.factory import Requester
from syncd.sources.github.naming import check_repository
from syncd.sources.table import SourceTable, checked_with, interval


@dataclass(frozen=True, slots=True, kw_only=True)
class GithubSourceSettings(SourceSettings):
    """A repository."""

    repository: str
    """`owner/name`."""
    app_id: str | None = None
    """The GitHub App that reads it, for private repositories."""
    include_globs: tuple[str, ...] | None = None
    lfs: bool | None = None
    """Fetch what Git LFS pointers stand for."""

    @property
    def place(self) -> str:
        """Return the repository."""
        return self.repository


class GithubSource(ExtendedModel):
    """A repository on GitHub."""

    ADDITIONS = frozenset({"watch", "lfs", "max_lag_s", "secrets"})

    repository: Annotated[str, Field(max_length=201)]
    """`owner/name`."""
    app_id: Annotated[str, Field(max_length=64)] | None = None
    include_globs: Annotated[UniqueStrings, Field(max_length=200)] | None = None
    lfs: bool | None = None
    """Fetch what Git LFS pointers stand for, instead of skipping them."""
    watch: shapes.Watch | None = None
    max_lag_s: shapes.MaxLag = None
    secrets: SecretsPolicy | None = None


class GithubTable(SourceTable):
    """A repository whose branch is checked every `interval_s`; with 0 it is synced only on demand."""

    type: Literal["github"]
    repository: Annotated[str, checked_with(check_repository)]
    branch: str | None = None
    app_id: str | None = None
    include_globs: tuple[str, ...] = ("*",)
    lfs: bool = False
    interval_s: Annotated[float | None, Field(ge=0), interval(1)] = 300.0

    def own_settings(self) -> GithubSourceSettings:
        """Return the settings that only this type has."""
        watch = SourceWatch(target_collection_name=self.collection, branch=self.branch, interval_s=self.interval_s)
        return GithubSourceSettings(
            repository=self.repository,
            app_id=self.app_id,
            include_globs=self.include_globs,
            lfs=self.lfs or None,
            watch=watch if self.interval_s else None,
        )


class GithubAppSection(Table):
    """A GitHub App that reads private repositories."""

    app_id: str
    private_key_file: OwnPath
    databases: tuple[str, ...] | None = None
    """The databases whose sources may use it. None: those of this file, and of tokens that are not limited to databases."""
    owners: tuple[str, ...] | None = None
    """The accounts and organisations whose repositories it may read. None: wherever it is installed."""

    def check(self, repository: str, requester: Requester) -> None:
        """Raise PermanentError unless sources of the requester may read the repository with it."""
        serves = requester.is_unlimited if self.databases is None else requester.database in self.databases
        if not (serves or requester.is_trusted):
            raise PermanentError(
                f"GitHub App {self.app_id} is not for sources of database {shown(requester.database)}; "
                "name the database under `databases` of its [[github.apps]]"
            )
        owner = repository.partition("/")[0]
        if self.owners is not None and owner.lower() not in {name.lower() for name in self.owners}:
            raise PermanentError(
                f"GitHub App {self.app_id} does not read repositories of {shown(owner)}; "
                "name the owner under `owners` of its [[github.apps]]"
            )


class GithubSection(Table):
    """GitHub, or a GitHub Enterprise server."""

    base_url: str = "https://github.com"
    api_url: str = "https://api.github.com"
    max_file_size_bytes: Annotated[int, Field(ge=1)] = 1 << 20
    apps: tuple[GithubAppSection, ...] = ()
