"""Settings of a git source: as stored, in the API and in the configuration file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from syncd.model import SecretsPolicy, SourceSettings, SourceWatch
from syncd.schema import Int32, OwnModel, OwnPath, Table, UniqueStrings
from syncd.sources import shapes
from syncd.sources.git.urls import check_url, scheme_of
from syncd.sources.table import SourceTable, checked_with, interval
from syncd.sources.web.addresses import check_network

DEFAULT_USER = "x-token-auth"
"""Bitbucket's name for the holder of an access token; GitLab, Azure DevOps, Gitea and GitHub take any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GitSourceSettings(SourceSettings):
    """A repository. It contains no secrets; `credential_id` refers to a token, the files are the configuration's."""

    url: str
    include_globs: tuple[str, ...] | None = None
    lfs: bool | None = None
    """Fetch what Git LFS pointers stand for."""
    username: str | None = None
    credential_id: int | None = None
    token_file: str | None = None
    ssh_key_file: str | None = None

    @property
    def place(self) -> str:
        """Return the URL."""
        return self.url

    @property
    def without_credential(self) -> GitSourceSettings:
        """Return the settings apart from what the repository is read with."""
        return replace(self, username=None, credential_id=None, token_file=None, ssh_key_file=None)


class GitSource(OwnModel):
    """A repository on any server that is read over HTTPS, with a token or without."""

    url: Annotated[str, Field(max_length=2000)]
    username: Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f:]{1,200}$")] | None = None
    """Sent with the token; most servers take any."""
    token: Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,2000}$")] | None = None
    """An access token, which will be stored encrypted and is sent to the URL's own host only."""
    credential_id: Int32 | None = None
    """A stored token, in place of `token`."""
    include_globs: Annotated[UniqueStrings, Field(max_length=200)] | None = None
    lfs: bool | None = None
    """Fetch what Git LFS pointers stand for, instead of skipping them."""
    watch: shapes.Watch | None = None
    max_lag_s: shapes.MaxLag = None
    secrets: SecretsPolicy | None = None


def _local(url: str) -> str:
    path = Path(url).expanduser()
    return f"file://{path}" if path.is_absolute() else url


class GitTable(SourceTable):
    """A repository on any server, or on this machine, whose branch is checked every `interval_s`; with 0 it is synced only on demand."""

    type: Literal["git"]
    url: Annotated[str, AfterValidator(_local), checked_with(check_url)]
    branch: str | None = None
    include_globs: tuple[str, ...] = ("*",)
    lfs: bool = False
    username: str | None = None
    token_file: OwnPath | None = None
    ssh_key_file: OwnPath | None = None
    interval_s: Annotated[float | None, Field(ge=0), interval(1)] = 300.0

    def own_settings(self) -> GitSourceSettings:
        """Return the settings that only this type has."""
        watch = SourceWatch(target_collection_name=self.collection, branch=self.branch, interval_s=self.interval_s)
        return GitSourceSettings(
            url=self.url,
            include_globs=self.include_globs,
            lfs=self.lfs or None,
            username=self.username,
            token_file=str(self.token_file) if self.token_file else None,
            ssh_key_file=str(self.ssh_key_file) if self.ssh_key_file else None,
            watch=watch if self.interval_s else None,
        )

    def check_beside(self, sections: Mapping[type[Table], Table], state: Path) -> None:
        """Raise ValueError if the source is read over SSH and something for that is missing, or cannot have `lfs`."""
        if self.lfs and scheme_of(self.url) not in ("https", "http"):
            raise ValueError(f"sources: {self.name!r} has lfs = true: that needs a url with https://")
        section = sections.get(GitSection)
        known_hosts = section.known_hosts_file if isinstance(section, GitSection) else None
        if scheme_of(self.url) == "ssh" and not (self.ssh_key_file and known_hosts):
            needed = (
                "ssh_key_file, and [git] needs known_hosts_file (`ssh-keyscan HOST` prints its lines: compare them)"
            )
            raise ValueError(f"sources: {self.name!r} is read over SSH and needs {needed}")


class GitSection(Table):
    """All that is read with git, GitHub's repositories too."""

    stall_timeout_s: Annotated[float, Field(ge=1)] = 300.0
    """A server that is silent for so long, without keep-alives and progress either, is asked again later."""
    fetch_timeout_s: Annotated[float, Field(ge=1)] = 21_600.0
    """A command that talks to a server may take so long, whatever arrives."""
    max_file_size_bytes: Annotated[int, Field(ge=1)] = 1 << 20
    """For `git` sources."""
    known_hosts_file: OwnPath | None = None
    """The keys of SSH servers, in OpenSSH's form; no other server is talked to."""
    allow_private_addresses: tuple[Annotated[str, checked_with(check_network)], ...] = ()
    """Private networks or addresses from which sources made through the API may read: '10.0.0.0/8', '127.0.0.1:3000'."""
