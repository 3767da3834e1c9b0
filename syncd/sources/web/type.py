"""The source type `web_scrape`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from syncd.json_types import JsonObject
from syncd.model import SourceFacts
from syncd.sources.codec import SettingsCodec
from syncd.sources.factory import Machine
from syncd.sources.type import AddCommand, SourceType
from syncd.sources.web.settings import WebSection, WebSource, WebSourceSettings, WebTable

if TYPE_CHECKING:
    from syncd.sources.web.factory import SiteFactory


def factory(machine: Machine) -> SiteFactory:
    """Return what opens web sources."""
    from syncd.sources.web.factory import SiteFactory

    return SiteFactory(machine.section(WebSection), machine.store.database)


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `sources add web_scrape`."""
    parser.add_argument("starting_url", help="https://…; the crawl follows its links within the site")
    parser.add_argument("--include", action="append", metavar="REGEX", help="only such paths; may be repeated")
    parser.add_argument("--exclude", action="append", metavar="REGEX", help="leave these paths out; may be repeated")
    parser.add_argument("--pages", type=int, help="index at most so many pages")
    parser.add_argument("--depth", type=int, help="how many links away from the starting page")
    parser.add_argument("--interval-s", type=int, default=86_400, help="how often to crawl a watched site again")


def settings(args: Namespace) -> JsonObject:
    """Return the settings that the arguments describe, as the API takes them."""
    schedule = {"target_collection_name": args.watch, "interval_s": args.interval_s}
    given: JsonObject = {
        "starting_url": args.starting_url,
        "include_path_regexes": args.include,
        "exclude_path_regexes": args.exclude,
        "page_limit": args.pages,
        "max_depth": args.depth,
    }
    return {**given, "schedule": schedule} if args.watch else given


WEB = SourceType(
    name="web_scrape",
    codec=SettingsCodec(WebSourceSettings, nulls=frozenset({"page_limit", "max_depth"})),
    shape=WebSource,
    is_published=True,
    table=WebTable,
    sections={"web": WebSection},
    facts=SourceFacts(
        finishes_collection=True,
        no_dry_run="websites do not support dry runs; omit dry_run (unchanged pages cost nothing)",
    ),
    factory=factory,
    add_command=AddCommand("a website", add_arguments, settings, alias="web"),
    migrations=__package__,
)
