"""`syncd token`: create, list and revoke API tokens."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from syncd.cli.answers import TokenAnswer
from syncd.cli.client import connected
from syncd.cli.commands import Commands
from syncd.cli.output import out, print_json, print_table

MAX_DAYS = 36_500


def add_parser(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Register the command in `commands`; `common` holds the options that all commands share."""
    actions = commands.add_parser("token").add_subparsers(required=True, metavar="ACTION")
    creating = actions.add_parser(
        "create", parents=[common], help="create a token and print it; it is never shown again"
    )
    creating.add_argument("name")
    creating.add_argument("--database", action="append", help="limit the token to this database; may be repeated")
    creating.add_argument("--read-only", action="store_true", help="it can list, search and read, and change nothing")
    creating.add_argument("--days", type=days, metavar="N", help="it ceases to be good after so many days")
    creating.set_defaults(command=create)
    actions.add_parser("list", parents=[common], help="list tokens").set_defaults(command=list_tokens)
    revoking = actions.add_parser("revoke", parents=[common], help="revoke a token with immediate effect")
    revoking.add_argument("id")
    revoking.set_defaults(command=revoke)


def days(text: str) -> timedelta:
    """Return a number of days, at most a hundred years of them. Raises ArgumentTypeError."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= MAX_DAYS):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {MAX_DAYS}")
    return timedelta(days=int(text))


async def create(args: argparse.Namespace) -> int:
    """Create a token and print its secret."""
    wanted: dict[str, object] = {"name": args.name, "databases": args.database}
    if args.read_only:
        wanted["access"] = "read"
    if args.days is not None:
        wanted["expires_at"] = (datetime.now(UTC) + args.days).isoformat()
    async with connected(args) as client:
        created = await client.post("/api/v1/tokens", wanted)
    print_json(created) if args.json else out.print(created["token"])
    return 0


async def list_tokens(args: argparse.Namespace) -> int:
    """Print all tokens."""
    async with connected(args) as client:
        tokens: list[TokenAnswer] = await client.get("/api/v1/tokens")
    if args.json:
        for token in tokens:
            print_json(token)
    else:
        print_table(("id", "name", "databases", "access", "expires"), [_row(token) for token in tokens])
    return 0


def _row(token: TokenAnswer) -> Sequence[str]:
    databases = ", ".join(token["databases"]) if token["databases"] else "all"
    return token["id"], token["name"], databases, token["access"], token["expires_at"] or "never"


async def revoke(args: argparse.Namespace) -> int:
    """Revoke a token; takes effect at once."""
    async with connected(args) as client:
        await client.delete(f"/api/v1/tokens/{args.id}")
    return 0
