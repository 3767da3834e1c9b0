"""`syncd credentials`: list, rotate and delete the keys that sources made through the API use."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import TypedDict

from syncd.cli.client import connected
from syncd.cli.commands import Commands
from syncd.cli.output import print_json, print_table
from syncd.errors import ConfigError
from syncd.json_types import json_object


class CredentialAnswer(TypedDict):
    """A credential, without its secret."""

    id: int
    kind: str
    database_name: str
    stored_at: str
    sources: Sequence[str]


def add_parser(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Register the command in `commands`; `common` holds the options that all commands share."""
    actions = commands.add_parser("credentials").add_subparsers(required=True, metavar="ACTION")
    actions.add_parser("list", parents=[common], help="list them, without their secrets").set_defaults(command=index)
    rotating = actions.add_parser(
        "rotate",
        parents=[common],
        help='replace a secret by what standard input says: {"aws_access_key_id": …, "aws_secret_access_key": …}, {"token": …}, '
        '{"service_account_key": …} or {"credential": …}',
    )
    rotating.add_argument("id", type=int)
    rotating.set_defaults(command=rotate)
    deleting = actions.add_parser("delete", parents=[common], help="delete one that no source uses")
    deleting.add_argument("id", type=int)
    deleting.set_defaults(command=delete)


async def index(args: argparse.Namespace) -> int:
    """Print all credentials."""
    async with connected(args) as client:
        found: list[CredentialAnswer] = await client.get("/api/v1/credentials")
    if args.json:
        for credential in found:
            print_json(credential)
    else:
        rows = [(it["id"], it["kind"], it["database_name"], it["stored_at"], ", ".join(it["sources"])) for it in found]
        print_table(("id", "kind", "database", "stored", "used by"), rows)
    return 0


async def rotate(args: argparse.Namespace) -> int:
    """Replace a secret. It is read from standard input: arguments can be read by every user of the machine."""
    try:
        secret = json_object(json.loads(sys.stdin.read()))
    except ValueError as error:
        raise ConfigError("standard input is not a JSON object with the new secret") from error
    async with connected(args) as client:
        await client.post(f"/api/v1/credentials/{args.id}/rotate", secret)
    return 0


async def delete(args: argparse.Namespace) -> int:
    """Delete one credential."""
    async with connected(args) as client:
        await client.delete(f"/api/v1/credentials/{args.id}")
    return 0
