"""`syncd s3`: set up a bucket for auto-sync and check the setup. Both need no daemon and use the standard AWS credentials."""

from __future__ import annotations

import argparse
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from rich.markup import escape

from syncd.cli.commands import Commands
from syncd.cli.output import out, print_json

if TYPE_CHECKING:
    from syncd.sources.s3.client import Connections
    from syncd.sources.s3.endpoint import Endpoint
    from syncd.sources.s3.setup import WantedSetup

STATUS_MARKS = {"ok": "[green]ok[/]", "warning": "[yellow]warning[/]", "missing": "[red]missing[/]"}


def add_parser(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Register the command in `commands`; `common` holds the options that all commands share."""
    actions = commands.add_parser("s3").add_subparsers(required=True, metavar="ACTION")
    setting_up = actions.add_parser(
        "setup",
        parents=[common],
        help="print the queue, its policy, the notifications and the IAM policy, or create them",
    )
    options(setting_up)
    setting_up.add_argument(
        "--apply", action="store_true", help="create the queue, its policy and the notifications; safe to repeat"
    )
    setting_up.set_defaults(command=setup)
    examining = actions.add_parser("doctor", parents=[common], help="check what auto-sync of a bucket is missing")
    options(examining)
    examining.set_defaults(command=doctor)


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options shared by `setup` and `doctor`."""
    parser.add_argument("--bucket", required=True)
    parser.add_argument(
        "--region", default="us-east-1", help="AWS region of the credentials; the bucket's own region is looked up"
    )
    parser.add_argument("--prefix", action="append", default=[], help="only keys with this prefix; may be repeated")
    parser.add_argument(
        "--queue-name", default="", help="a queue shared by several buckets (default: one for this bucket)"
    )
    parser.add_argument("--profile", help="profile in the AWS configuration files")
    parser.add_argument("--endpoint-url", help="for MinIO, Ceph and similar stores")
    parser.add_argument("--path-style", action="store_true")


@asynccontextmanager
async def found(args: argparse.Namespace) -> AsyncGenerator[tuple[Connections, Endpoint, WantedSetup]]:
    """Yield connections, the endpoint and what the bucket should have, in the bucket's own region."""
    # The AWS libraries take a second to import, which other commands should not have to wait for.
    from syncd.sources.s3.client import Connections
    from syncd.sources.s3.endpoint import Endpoint
    from syncd.sources.s3.provision import discover

    connections = Connections()
    try:
        asked = Endpoint(args.region, profile=args.profile, url=args.endpoint_url, path_style=args.path_style)
        wanted = replace(await discover(connections, asked, args.bucket, args.prefix), queue_name=args.queue_name)
        endpoint = Endpoint(wanted.region, profile=args.profile, url=args.endpoint_url, path_style=args.path_style)
        yield connections, endpoint, wanted
    finally:
        await connections.close()


async def setup(args: argparse.Namespace) -> int:
    """Print what the bucket needs, or create it; attaching the IAM policy is left to an administrator."""
    from syncd.sources.s3.provision import apply, existing_notifications, existing_policy
    from syncd.sources.s3.setup import iam_policy, setup_documents

    async with found(args) as (connections, endpoint, wanted):
        if args.apply:
            made = {"queue_url": await apply(connections, endpoint, wanted), "iam_policy": iam_policy(wanted)}
            if args.json:
                print_json(made)
            else:
                out.print("[bold]iam_policy[/], for an administrator to attach to the key or role", markup=True)
                out.print_json(data=made["iam_policy"])
                out.print(f'queue_url = "{made["queue_url"]}"', soft_wrap=True)
            return 0
        policy = await existing_policy(connections, endpoint, wanted.name)
        needed = setup_documents(wanted, await existing_notifications(connections, endpoint, wanted.bucket), policy)
    if args.json:
        print_json(needed)
        return 0
    for name, document in needed.items():
        out.print(f"[bold]{name}[/]", markup=True)
        out.print_json(data=document)
    return 0


async def doctor(args: argparse.Namespace) -> int:
    """Print the findings; exit status 1 if something is missing."""
    from syncd.sources.s3.doctor import examine as examine
    from syncd.sources.s3.settings import AutoSync, S3Settings

    async with found(args) as (connections, endpoint, wanted):
        prefix = args.prefix[0] if args.prefix else ""
        settings = S3Settings(wanted.bucket, endpoint, "unused", prefix, AutoSync.DIRECT)
        findings = await examine(connections, settings, wanted)
    for finding in findings:
        if args.json:
            print_json(asdict(finding))
        else:
            fix = f" — {finding.fix}" if finding.fix else ""
            words = escape(f"{finding.subject}: {finding.detail}{fix}")
            out.print(f"{STATUS_MARKS[finding.state]:<8} {words}", markup=True)
    return 1 if any(finding.state == "missing" for finding in findings) else 0
