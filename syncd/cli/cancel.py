"""`syncd cancel`: end an invocation."""

from __future__ import annotations

import argparse

from syncd.cli.client import connected
from syncd.cli.commands import Commands
from syncd.cli.output import out, print_json
from syncd.cli.references import INVOCATION_HELP, invocation_id


def add_parser(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Register the command in `commands`; `common` holds the options that all commands share."""
    parser = commands.add_parser("cancel", parents=[common])
    parser.add_argument("invocation", help=INVOCATION_HELP)
    parser.set_defaults(command=cancel)


async def cancel(args: argparse.Namespace) -> int:
    """Cancel an invocation; exit status 1 if it has ended already."""
    async with connected(args) as client:
        await client.put(f"/api/v1/invocations/{await invocation_id(client, args.types, args.invocation)}")
    print_json({}) if args.json else out.print("cancelled: what it has indexed stays")
    return 0
