"""`syncd dead-letters`: list event messages that could not be processed."""

from __future__ import annotations

import argparse

from syncd.cli.answers import DeadLetterAnswer
from syncd.cli.client import connected
from syncd.cli.commands import Commands
from syncd.cli.output import print_json, print_table


def add_parser(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Register the command in `commands`; `common` holds the options that all commands share."""
    parser = commands.add_parser("dead-letters", parents=[common])
    parser.add_argument("--queue-url", help="only of this queue")
    parser.set_defaults(command=dead_letters)


async def dead_letters(args: argparse.Namespace) -> int:
    """Print the messages in the dead-letter queues, newest first."""
    async with connected(args) as client:
        found: list[DeadLetterAnswer] = await client.get("/api/v1/dead-letters", queue_url=args.queue_url, limit=1000)
    if args.json:
        for letter in found:
            print_json(letter)
    else:
        rows = [(it["at"], it["queue_url"], it["message_id"], it["receives"], it["reason"]) for it in found]
        print_table(("last seen", "queue", "message", "receives", "reason"), rows)
    return 0
