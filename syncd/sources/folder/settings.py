"""Settings of a folder source: as stored, in the API and in the configuration file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from syncd.model import SecretsPolicy, SourceSettings, SourceWatch
from syncd.schema import OwnModel, OwnPath, Table, UniqueStrings
from syncd.sources import shapes
from syncd.sources.factory import Requester
from syncd.sources.table import SourceTable


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderSourceSettings(SourceSettings):
    """A folder of the daemon's own machine."""

    path: str
    include_globs: tuple[str, ...] | None = None
    exclude_globs: tuple[str, ...] | None = None
    real_path: str | None = None
    """Where the declared path led when the configuration was read, if it differs from the path."""
    needs_allowed_root: bool | None = None
    """Whether it must be below an allowed root in every run; checking the path once is not enough."""

    @property
    def place(self) -> str:
        """Return the path."""
        return self.path


class FolderSource(OwnModel):
    """A folder of the daemon's own machine, below one of the folders that its configuration allows."""

    path: Annotated[str, Field(min_length=1, max_length=4096)]
    include_globs: Annotated[UniqueStrings, Field(max_length=200)] | None = None
    exclude_globs: Annotated[UniqueStrings, Field(max_length=200)] | None = None
    watch: shapes.Watch | None = None
    max_lag_s: shapes.MaxLag = None
    secrets: SecretsPolicy | None = None


class FolderTable(SourceTable):
    """A folder of this machine, watched live unless `watch` is false."""

    type: Literal["folder"]
    path: OwnPath
    include_globs: tuple[str, ...] = ("*",)
    exclude_globs: tuple[str, ...] = ()
    watch: bool = True

    def own_settings(self) -> FolderSourceSettings:
        """Return the settings that only this type has."""
        path, real_path = str(self.path), os.path.realpath(self.path)
        return FolderSourceSettings(
            path=path,
            # Resolve the owner's link now; a link that is changed later was not declared.
            real_path=real_path if real_path != path else None,
            include_globs=self.include_globs,
            exclude_globs=self.exclude_globs,
            watch=SourceWatch(target_collection_name=self.collection) if self.watch else None,
        )

    def check_beside(self, sections: Mapping[type[Table], Table], state: Path) -> None:
        """Raise ValueError where the folder lies in the daemon's own state."""
        state = Path(os.path.realpath(state))
        if Path(os.path.realpath(self.path)).is_relative_to(state):
            raise ValueError(
                f"sources: path of {self.name!r} lies in the state folder {state}, which is never read; name a folder "
                "outside it"
            )


class AllowedRoot(Table):
    """A folder below which `folder` sources may be made through the API."""

    path: OwnPath
    databases: tuple[str, ...] | None = None
    """The databases whose sources may lie there. None: those of tokens that are not limited to databases."""

    def serves(self, requester: Requester) -> bool:
        """Return whether the requester's sources may lie there."""
        return requester.is_unlimited if self.databases is None else requester.database in self.databases

    @property
    def real_path(self) -> Path:
        """The folder's real path, as it is now."""
        return Path(os.path.realpath(self.path))


def _root(value: object) -> object:
    return {"path": value} if isinstance(value, str | Path) else value


class FolderSection(Table):
    """Folder sources."""

    allowed_roots: tuple[Annotated[AllowedRoot, BeforeValidator(_root)], ...] = ()
    """Folders, each a path or a table, below which `folder` sources may be made through the API; none by default."""
    max_file_size_bytes: Annotated[int, Field(ge=1)] = 1 << 20
