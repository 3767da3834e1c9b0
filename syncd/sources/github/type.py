"""The source type `github`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from syncd.json_types import JsonObject
from syncd.model import SourceFacts
from syncd.sources.codec import SettingsCodec
from syncd.sources.factory import Machine
from syncd.sources.github.settings import GithubSection, GithubSource, GithubSourceSettings, GithubTable
from syncd.sources.type import AddCommand, SourceType

if TYPE_CHECKING:
    from syncd.sources.github.factory import GithubFactory


def factory(machine: Machine) -> GithubFactory:
    """Return what opens GitHub sources."""
    from syncd.sources.github.factory import GithubFactory

    return GithubFactory(machine)


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `sources add github`."""
    parser.add_argument("repository", help="owner/name, or its address on github.com")
    parser.add_argument("--app-id", help="GitHub App for a private repository")
    parser.add_argument("--branch", help="branch to watch (default: the repository's default branch)")
    parser.add_argument("--interval-s", type=int, default=300, help="how often to check a watched branch")
    parser.add_argument("--include", action="append", metavar="GLOB", help="index only these; may be repeated")
    parser.add_argument("--lfs", action="store_true", help="fetch what Git LFS pointers stand for")


def settings(args: Namespace) -> JsonObject:
    """Return the settings that the arguments describe, as the API takes them."""
    watch = {"target_collection_name": args.watch, "branch": args.branch, "interval_s": args.interval_s}
    given = {
        "repository": args.repository.removeprefix("https://github.com/").rstrip("/").removesuffix(".git"),
        "app_id": args.app_id,
        "include_globs": args.include,
        "lfs": args.lfs or None,
    }
    return {**given, "watch": watch} if args.watch else given


GITHUB = SourceType(
    name="github",
    codec=SettingsCodec(GithubSourceSettings, nulls=frozenset({"app_id", "branch"})),
    shape=GithubSource,
    is_published=True,
    table=GithubTable,
    sections={"github": GithubSection},
    facts=SourceFacts(finishes_collection=True, accepts_ref=True),
    factory=factory,
    add_command=AddCommand("a GitHub repository", add_arguments, settings),
)
