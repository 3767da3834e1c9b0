"""`syncd watch`: follow an invocation."""

from __future__ import annotations

import argparse

from syncd.cli.client import connected
from syncd.cli.commands import Commands
from syncd.cli.references import INVOCATION_HELP, invocation_id
from syncd.cli.sync import finish


def add_parser(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Register the command in `commands`; `common` holds the options that all commands share."""
    parser = commands.add_parser("watch", parents=[common])
    parser.add_argument("invocation", help=INVOCATION_HELP)
    parser.set_defaults(command=watch)


async def watch(args: argparse.Namespace) -> int:
    """Follow an invocation; exit status 0 if it completes, 1 if it fails or is cancelled."""
    async with connected(args) as client:
        return await finish(client, await invocation_id(client, args.types, args.invocation), args.json)
