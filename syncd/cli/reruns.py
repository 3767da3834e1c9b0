"""`syncd retry` and `syncd confirm-deletes`: carry on where an invocation left something undone."""

from __future__ import annotations

import argparse
from functools import partial

from syncd.cli.client import connected
from syncd.cli.commands import Commands
from syncd.cli.sync import finish


def add_parser(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add the commands."""
    parser = commands.add_parser("retry", parents=[common], help="run an invocation's failed documents again")
    parser.add_argument("invocation", help="its id")
    parser.add_argument("--key", action="append", dest="keys", help="only this document (may be repeated)")
    parser.set_defaults(command=partial(again, "retry"))
    parser = commands.add_parser(
        "confirm-deletes", parents=[common], help="carry out the deletes that an invocation held back"
    )
    parser.add_argument("invocation", help="its id")
    parser.set_defaults(command=partial(again, "confirm-deletes"), keys=None)


async def again(what: str, args: argparse.Namespace) -> int:
    """Ask for the run and follow it to its end."""
    body = {"keys": args.keys} if args.keys else {}
    async with connected(args) as client:
        made = await client.post(f"/api/v1/invocations/{args.invocation}/{what}", body)
        return await finish(client, made["invocation_id"], args.json)
