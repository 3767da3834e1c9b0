"""`syncd token`: create, list and revoke API tokens."""

from __future__ import annotations

import argparse

from syncd.cli.answers import TokenAnswer
from syncd.cli.client import connected
from syncd.cli.commands import Commands
from syncd.cli.output import out, print_json, print_table


def add_parser(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Register the command in `commands`; `common` holds the options that all commands share."""
    actions = commands.add_parser("token").add_subparsers(required=True, metavar="ACTION")
    creating = actions.add_parser(
        "create", parents=[common], help="create a token and print it; it is never shown again"
    )
    creating.add_argument("name")
    creating.add_argument("--database", action="append", help="limit the token to this database; may be repeated")
    creating.set_defaults(command=create)
    actions.add_parser("list", parents=[common], help="list tokens").set_defaults(command=list_tokens)
    revoking = actions.add_parser("revoke", parents=[common], help="revoke a token with immediate effect")
    revoking.add_argument("id")
    revoking.set_defaults(command=revoke)


async def create(args: argparse.Namespace) -> int:
    """Create a token and print its secret."""
    async with connected(args) as client:
        created = await client.post("/api/v1/tokens", {"name": args.name, "databases": args.database})
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
        rows = [(t["id"], t["name"], ", ".join(t["databases"]) if t["databases"] else "all") for t in tokens]
        print_table(("id", "name", "databases"), rows)
    return 0


async def revoke(args: argparse.Namespace) -> int:
    """Revoke a token; takes effect at once."""
    async with connected(args) as client:
        await client.delete(f"/api/v1/tokens/{args.id}")
    return 0
