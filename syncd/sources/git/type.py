"""The source type `git`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from syncd.json_types import JsonObject
from syncd.model import SourceFacts
from syncd.sources.codec import SettingsCodec
from syncd.sources.factory import Machine
from syncd.sources.git.settings import GitSection, GitSource, GitSourceSettings, GitTable
from syncd.sources.type import AddCommand, SourceType

if TYPE_CHECKING:
    from syncd.sources.git.hosts import GitFactory


def factory(machine: Machine) -> GitFactory:
    """Return what opens git sources."""
    from syncd.sources.git.hosts import GitFactory

    return GitFactory(machine)


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `sources add git`."""
    parser.add_argument("url", help="https://…; for ssh and repositories of this machine use the configuration file")
    parser.add_argument("--token-file", type=Path, help="file with an access token, for a private repository")
    parser.add_argument("--username", help="sent with the token; most servers take any")
    parser.add_argument("--branch", help="branch to watch (default: the repository's default branch)")
    parser.add_argument("--interval-s", type=int, default=300, help="how often to check a watched branch")
    parser.add_argument("--include", action="append", metavar="GLOB", help="index only these; may be repeated")
    parser.add_argument("--lfs", action="store_true", help="fetch what Git LFS pointers stand for")


def settings(args: Namespace) -> JsonObject:
    """Return the settings that the arguments describe, as the API takes them."""
    token = args.token_file.read_text().strip() if args.token_file else None
    watch = {"target_collection_name": args.watch, "branch": args.branch, "interval_s": args.interval_s}
    given = {
        "url": args.url,
        "username": args.username,
        "token": token,
        "include_globs": args.include,
        "lfs": args.lfs or None,
    }
    return {**given, "watch": watch} if args.watch else given


GIT = SourceType(
    name="git",
    codec=SettingsCodec(GitSourceSettings),
    shape=GitSource,
    table=GitTable,
    sections={"git": GitSection},
    facts=SourceFacts(finishes_collection=True, accepts_ref=True),
    factory=factory,
    add_command=AddCommand("a git repository of any host", add_arguments, settings),
)
