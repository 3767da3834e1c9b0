"""`syncd shadow` and `syncd rollback`: a collection that is built beside the one that answers, and the way back."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime

from syncd.cli.answers import ShadowAnswer, StatusAnswer
from syncd.cli.client import connected
from syncd.cli.commands import Commands
from syncd.cli.output import out, print_json, print_table
from syncd.errors import PermanentError


def add_parser(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Register both commands in `commands`; `common` holds the options that all commands share."""
    parser = commands.add_parser("shadow", parents=[common])
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--switch", action="store_true", help="let it take the collection's place, however it compares")
    what.add_argument(
        "--discard", action="store_true", help="remove it; the collection stays as it is until settings change"
    )
    parser.set_defaults(command=show_shadow)
    back = commands.add_parser("rollback", parents=[common])
    back.set_defaults(command=roll_back)
    for each in (parser, back):
        each.add_argument("collection")
        each.add_argument("--database", default="default_database")


async def show_shadow(args: argparse.Namespace) -> int:
    """Print how a collection's shadow is and compares, or decide about it. Raises PermanentError if there is none."""
    body = {"database_name": args.database, "collection_name": args.collection}
    async with connected(args) as client:
        if args.switch:
            await client.post("/api/v1/shadows/switch", body, timeout_s=None)
            out.print(f"{args.collection} answers with the new settings; syncd rollback {args.collection} goes back")
            return 0
        if args.discard:
            await client.post("/api/v1/shadows/discard", body)
            out.print(f"{args.collection} stays as it is until the settings of its sources change again")
            return 0
        daemon: StatusAnswer = await client.get("/api/v1/status")
    place = (args.database, args.collection)
    found = [it for it in daemon.get("shadows", ()) if (it["database_name"], it["collection_name"]) == place]
    if not found:
        raise PermanentError(
            f"collection {args.collection!r} has no shadow: none of its sources was set to something else"
        )
    for it in found:
        print_json(it) if args.json else print_shadow(it)
    return 0


async def roll_back(args: argparse.Namespace) -> int:
    """Let the former collection answer again."""
    async with connected(args) as client:
        body = {"database_name": args.database, "collection_name": args.collection}
        await client.post("/api/v1/rollback", body, timeout_s=None)
    out.print(
        f"{args.collection} answers as before the change, and its sources bring what changed since; once more goes forward"
    )
    return 0


def shadow_line(it: ShadowAnswer) -> str:
    """Return how a shadow is, in a sentence."""
    name = it["collection_name"]
    match it["state"]:
        case "building":
            waits = f", and waits: {it['reason']}" if it["reason"] else ""
            return f"shadow of {name}: {it.get('built', 0.0):.0%} built{waits}"
        case "refused":
            return f"shadow of {name} waits for a decision: {it['reason']} (syncd shadow {name} --switch, or --discard)"
        case "former":
            until = datetime.fromtimestamp(it.get("kept_until", 0.0), UTC).strftime("%Y-%m-%d %H:%MZ")
            return f"{name} can go back to what it was until {until}: syncd rollback {name}"
        case "blocked":
            return f"{name} cannot be built with its sources' settings: {it['reason']}"
        case state:
            return f"shadow of {name}: {state}"


def print_shadow(it: ShadowAnswer) -> None:
    """Print a shadow with the figures of both collections side by side."""
    out.print(shadow_line(it))
    if figures := it.get("figures"):
        out.print(f"{it.get('questions')} questions made of the collection: before → after the change")
        rows = [
            (
                each["way"],
                *("{:.3f} → {:.3f}".format(*pair) for pair in (each["ndcg_at_10"], each["recall_at_10"], each["mrr"])),
                "{:.3f} → {:.3f}".format(*each["read_ndcg"]) if "read_ndcg" in each else "",
            )
            for each in figures
        ]
        print_table(("", "nDCG@10", "recall@10", "MRR", "nDCG as read"), rows)
