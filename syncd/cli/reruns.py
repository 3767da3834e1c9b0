"""`syncd retry` and `syncd confirm-deletes`: finish what an invocation left undone."""

from __future__ import annotations

import argparse
from functools import partial

from syncd.cli.client import connected
from syncd.cli.commands import Commands
from syncd.cli.output import out, print_json
from syncd.cli.references import INVOCATION_HELP, invocation_id
from syncd.cli.sync import finish


def add_parser(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Register the commands in `commands`; `common` holds the options that all commands share."""
    parser = commands.add_parser("retry", parents=[common])
    parser.add_argument("invocation", help=INVOCATION_HELP)
    parser.add_argument("--key", action="append", dest="keys", help="only this document; may be repeated")
    parser.set_defaults(command=partial(again, "retry"))
    parser = commands.add_parser("confirm-deletes", parents=[common])
    parser.add_argument("invocation", help=INVOCATION_HELP)
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--list", action="store_true", help="only list the documents that would be deleted")
    instead.add_argument("--discard", action="store_true", help="keep the documents until a run misses them again")
    parser.set_defaults(command=confirm_deletes, keys=None)


async def confirm_deletes(args: argparse.Namespace) -> int:
    """Carry out an invocation's held deletes, or list or discard them."""
    if not args.list and not args.discard:
        return await again("confirm-deletes", args)
    async with connected(args) as client:
        path = f"/api/v1/invocations/{await invocation_id(client, args.types, args.invocation)}"
        if args.discard:
            await client.post(f"{path}/discard-deletes", {})
            print_json({}) if args.json else out.print("discarded: the documents stay")
            return 0
        async for held in client.every(f"{path}/held-deletes"):
            print_json(held) if args.json else out.print(held["key"])
    return 0


async def again(what: str, args: argparse.Namespace) -> int:
    """Create the run and follow it to its end."""
    body = {"keys": args.keys} if args.keys else {}
    async with connected(args) as client:
        ident = await invocation_id(client, args.types, args.invocation)
        made = await client.post(f"/api/v1/invocations/{ident}/{what}", body)
        return await finish(client, made["invocation_id"], args.json)
