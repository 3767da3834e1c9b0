"""`syncd verify`: compare the source, the store and the collection, and repair what differs."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TypedDict

from syncd.cli.answers import InvocationAnswer, InvocationMade
from syncd.cli.client import Client, connected
from syncd.cli.commands import Commands
from syncd.cli.output import follow, out, print_json, state_of, summary
from syncd.cli.plan import print_plan
from syncd.cli.references import SOURCE_HELP, all_sources, settings_of, source_id, type_of, whole_source
from syncd.cli.words import some
from syncd.json_types import JsonObject

DIFFERENCES = ("missing", "different", "extra")
FOUND = (*DIFFERENCES, "damaged")
_KINDS = ("texts", "vectors", "metadata", "unfindable")
CHANGES = ("indexed", "deleted", "failed", "held_deletes")


class OrphansAnswer(TypedDict):
    """What a source that is gone left in a collection."""

    source_id: str
    name: str | None
    documents: int


class DriftAnswer(TypedDict):
    """How a collection differs from the store."""

    collection_name: str
    chunks: int
    missing: int
    different: int
    texts: int
    vectors: int
    metadata: int
    unfindable: int
    extra: int
    damaged: int
    unreadable: str | None
    repaired: bool
    held_deletes: Mapping[str, int]
    """By invocation."""
    orphans: Sequence[OrphansAnswer]


def add_parser(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Register the command in `commands`; `common` holds the options that all commands share."""
    parser = commands.add_parser("verify", parents=[common])
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("collection", nargs="?")
    which.add_argument("--source", help=f"{SOURCE_HELP}: compare what it has, in all its collections")
    parser.add_argument("--database", default="default_database")
    parser.add_argument("--repair", action="store_true", help="repair what differs, and only that")
    parser.add_argument("--no-sources", action="store_true", help="compare only the collection and the store")
    parser.add_argument(
        "--share", type=float, default=1.0, help="compare about this share of the documents with Chroma (0.1)"
    )
    parser.set_defaults(command=verify)


async def verify(args: argparse.Namespace) -> int:
    """Print the differences; exit status 0 if none are left, else 1."""
    async with connected(args) as client:
        drifts, keeping = await (of_source(client, args) if args.source else of_collection(client, args))
        if not args.json:
            for drift in drifts:
                out.print(words(drift))
        runs = [] if args.no_sources else await compare_sources(client, args, keeping)
    if args.json:
        print_json(
            {"collections" if args.source else "collection": drifts if args.source else drifts[0], "invocations": runs}
        )
    is_left = any(has_left(drift, args.repair) for drift in drifts)
    return 1 if is_left or any(is_behind(run, args.repair) for run in runs) else 0


async def of_collection(client: Client, args: argparse.Namespace) -> tuple[list[DriftAnswer], list[JsonObject]]:
    """Return how a collection differs from the store, and the sources that keep it."""
    body = {
        "database_name": args.database,
        "collection_name": args.collection,
        "repair": args.repair,
        "share": args.share,
    }
    drift: DriftAnswer = await client.post("/api/v1/verify", body, timeout_s=None)
    sources = [] if args.no_sources else await all_sources(client, args.database)
    return [drift], [it for it in sources if settings_of(args.types, it).kept_collection == args.collection]


async def of_source(client: Client, args: argparse.Namespace) -> tuple[list[DriftAnswer], list[JsonObject]]:
    """Return how what a source has in its collections differs from the store, and the source, if it keeps one."""
    ident = await source_id(client, args.types, args.source)
    body = {"repair": args.repair, "share": args.share}
    drifts: list[DriftAnswer] = await client.post(f"/api/v1/sources/{ident}/verify", body, timeout_s=None)
    source: JsonObject = await client.get(f"/api/v1/sources/{ident}")
    return drifts, [source] if settings_of(args.types, source).kept_collection else []


def has_left(drift: DriftAnswer, repaired: bool) -> bool:
    """Return whether something of a collection is left to be mended, or decided."""
    differs = drift["unreadable"] or any(map(drift.__getitem__, FOUND))
    return bool(drift["held_deletes"] or drift["orphans"] or (differs and not repaired))


def words(drift: DriftAnswer) -> str:
    """Return a line on how the collection differs from the store, and one for each run that holds deletes, each source that is gone."""
    found = ", ".join(f"{drift[name]} {name}{kinds(drift) if name == 'different' else ''}" for name in DIFFERENCES)
    mended = " (repaired)" if drift["repaired"] and any(drift[name] for name in DIFFERENCES) else ""
    held = [
        f"\n{some(documents, 'delete')} held, confirm with: syncd confirm-deletes {invocation_id}"
        for invocation_id, documents in drift["held_deletes"].items()
    ]
    orphans = [
        f"\n{some(left['documents'], 'document')} left of source {left['name'] or left['source_id']}, which is gone: add it again, or run: "
        f"syncd sources remove {left['source_id']} --purge"
        for left in drift["orphans"]
    ]
    if drift["unreadable"]:
        done = "it was rebuilt" if drift["repaired"] else "it is being rebuilt"
        found = f"nothing can be compared ({drift['unreadable']}): {done} from the store"
    damaged = f"\n{some(drift['damaged'], 'chunk')} damaged in the store{mended_by(drift)}" if drift["damaged"] else ""
    return f"{drift['collection_name']}: {some(drift['chunks'], 'chunk')}; in Chroma {found}{mended}{damaged}{''.join([*held, *orphans])}"


def kinds(drift: DriftAnswer) -> str:
    """Return in what rows differ, '' where none does."""
    named = ", ".join(f"{drift[name]} {name}" for name in _KINDS if drift[name])
    return f" ({named})" if named else ""


def mended_by(drift: DriftAnswer) -> str:
    """Return what became of damaged chunks, or is to be done."""
    return (
        ": their sources are asked for them again"
        if drift["repaired"]
        else "; --repair asks their sources for them again"
    )


async def compare_sources(
    client: Client, args: argparse.Namespace, keeping: Sequence[JsonObject]
) -> list[InvocationAnswer]:
    """Run every source that keeps its collection in sync (a dry run unless repairing); return the runs."""
    runs: list[InvocationAnswer] = []
    if not keeping and not args.json:
        out.print("no source keeps it in sync, so none was compared")
    for source in keeping:
        name = source.get("name") or source["id"]
        if args.types.facts_of(type_of(args.types, source)).no_dry_run and not args.repair:
            if not args.json:
                out.print(f"source {name} does not support dry runs; to compare it, run: syncd sync {name}")
            continue
        target = {"target_collection_name": settings_of(args.types, source).kept_collection}
        body = {**target, "dry_run": not args.repair, **whole_source(args.types, source)}
        made: InvocationMade = await client.post(f"/api/v1/sources/{source['id']}/invocations", body)
        run = await follow(client, made["invocation_id"], quiet=args.json)
        runs.append(run)
        if not args.json:
            out.print(f"source {name}:")
            await print_run(client, run)
    return runs


async def print_run(client: Client, run: InvocationAnswer) -> None:
    """Print a dry run's plan, or a real run's summary."""
    if run["dry_run"] and state_of(run) == "complete":
        await print_plan(client, run, with_names=True)
    else:
        out.print(summary(run))


def is_behind(run: InvocationAnswer, repaired: bool) -> bool:
    """Return whether a source and the collection still differ after the run."""
    left = ("failed", "held_deletes") if repaired else CHANGES
    return state_of(run) != "complete" or any(run["counts"][name] for name in left)
