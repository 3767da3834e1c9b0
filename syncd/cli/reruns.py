"""`syncd retry` and `syncd confirm-deletes`: finish what an invocation left undone."""

from __future__ import annotations

import argparse
from functools import partial

from syncd.cli.client import connected
from syncd.cli.commands import Commands
from syncd.cli.sync import finish


def add_parser(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Register the commands in `commands`; `common` holds the options that all commands share."""
    parser = commands.add_parser("retry", parents=[common])
    parser.add_argument("invocation", help="id of the invocation")
    parser.add_argument("--key", action="append", dest="keys", help="only this document; may be repeated")
    parser.set_defaults(command=partial(again, "retry"))
    parser = commands.add_parser("confirm-deletes", parents=[common])
    parser.add_argument("invocation", help="id of the invocation")
    parser.set_defaults(command=partial(again, "confirm-deletes"), keys=None)


async def again(what: str, args: argparse.Namespace) -> int:
    """Create the run and follow it to its end."""
    body = {"keys": args.keys} if args.keys else {}
    async with connected(args) as client:
        made = await client.post(f"/api/v1/invocations/{args.invocation}/{what}", body)
        return await finish(client, made["invocation_id"], args.json)
