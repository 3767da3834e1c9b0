"""Settings of git sources in the configuration file."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from syncd.schema import Table


class GitSection(Table):
    """All that is read with git, GitHub's repositories too."""

    stall_timeout_s: Annotated[float, Field(ge=1)] = 300.0
    """A server that is silent for so long, without keep-alives and progress either, is asked again later."""
    fetch_timeout_s: Annotated[float, Field(ge=1)] = 21_600.0
    """A command that talks to a server may take so long, whatever arrives."""
