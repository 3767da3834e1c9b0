"""Where commands and their actions are added to the command line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Protocol


class Commands(Protocol):
    """What `ArgumentParser.add_subparsers` returns."""

    def add_parser(
        self,
        name: str,
        *,
        help: str | None = ...,  # noqa: A002 - its name
        parents: Sequence[argparse.ArgumentParser] = ...,
    ) -> argparse.ArgumentParser:
        """Add a command and return its parser."""
        ...
