"""`syncd webhooks`: list those of the configuration file, and try one out."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TypedDict

from syncd.cli.answers import WebhookAnswer
from syncd.cli.client import connected
from syncd.cli.commands import Commands
from syncd.cli.output import out, print_json, print_table


class WebhookTestAnswer(TypedDict):
    """How a receiver answered a test."""

    delivered: bool
    status: int | None
    error: str | None


def add_parser(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Register the command in `commands`; `common` holds the options that all commands share."""
    actions = commands.add_parser("webhooks").add_subparsers(required=True, metavar="ACTION")
    listing = actions.add_parser(
        "list", parents=[common], help="list them, with what waits and what was delivered last"
    )
    listing.set_defaults(command=index)
    trying = actions.add_parser("test", parents=[common], help="send a notification of type `test`, once")
    trying.add_argument("name")
    trying.set_defaults(command=test)


async def index(args: argparse.Namespace) -> int:
    """Print all webhooks."""
    async with connected(args) as client:
        found: list[WebhookAnswer] = await client.get("/api/v1/webhooks")
    if args.json:
        for webhook in found:
            print_json(webhook)
    else:
        columns = ("webhook", "events", "waiting", "given up", "last", "state")
        print_table(columns, [_row(webhook) for webhook in found], empty="the configuration has no [[webhooks]]")
    return 0


def _row(webhook: WebhookAnswer) -> Sequence[object]:
    last = webhook["last"]
    shown = f"{last['event']} {'given up' if last['error'] else 'delivered'} at {last['at']}" if last else "none yet"
    return (
        webhook["name"],
        ", ".join(webhook["events"]) or "all",
        webhook["waiting"],
        webhook["given_up"],
        shown,
        webhook_problem(webhook) or "in order",
    )


def webhook_problem(webhook: WebhookAnswer) -> str | None:
    """Return since when and why a webhook cannot be told anything, None if it can."""
    return f"failing since {webhook['failing_since']}: {webhook['error']}" if webhook["failing_since"] else None


async def test(args: argparse.Namespace) -> int:
    """Send a test and print how the receiver answered; 1 if it was not delivered."""
    async with connected(args) as client:
        answer: WebhookTestAnswer = await client.post(f"/api/v1/webhooks/{args.name}/test", None)
    if args.json:
        print_json(answer)
    elif answer["delivered"]:
        out.print(f"delivered: {args.name} answered {answer['status']}")
    else:
        out.print(f"not delivered: {answer['error']}")
    return 0 if answer["delivered"] else 1
