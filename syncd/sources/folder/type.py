"""The source type `folder`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from syncd.errors import NotFoundError
from syncd.json_types import JsonObject
from syncd.sources.codec import SettingsCodec
from syncd.sources.factory import Machine
from syncd.sources.folder.settings import FolderSection, FolderSource, FolderSourceSettings, FolderTable
from syncd.sources.type import AddCommand, SourceType

if TYPE_CHECKING:
    from syncd.sources.folder.factory import FolderFactory


def factory(machine: Machine) -> FolderFactory:
    """Return what opens folder sources."""
    from syncd.sources.folder.factory import FolderFactory

    return FolderFactory(machine)


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `sources add folder`."""
    parser.add_argument("path", type=Path)
    parser.add_argument("--exclude", action="append", metavar="GLOB", help="leave these out; may be repeated")
    parser.add_argument("--include", action="append", metavar="GLOB", help="index only these; may be repeated")


def settings(args: Namespace) -> JsonObject:
    """Return the settings that the arguments describe, as the API takes them. Raises NotFoundError for a folder that is not here."""
    if not args.url and not args.path.is_dir():
        raise NotFoundError(f"{args.path} is not a folder on this machine; create it first, or check its spelling")
    given = {"path": str(args.path.absolute()), "include_globs": args.include, "exclude_globs": args.exclude}
    return {**given, "watch": {"target_collection_name": args.watch}} if args.watch else given


FOLDER = SourceType(
    name="folder",
    codec=SettingsCodec(FolderSourceSettings),
    shape=FolderSource,
    table=FolderTable,
    sections={"folder": FolderSection},
    factory=factory,
    add_command=AddCommand("a folder of the daemon's machine", add_arguments, settings),
)
