"""`syncd config`: print a configuration to start from, and check one, without starting anything."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from syncd.cli.commands import Commands
from syncd.cli.output import out, print_json, remark
from syncd.cli.words import some
from syncd.config import load_config
from syncd.errors import ConfigError

CONFIG_TEMPLATE = Path(__file__).parent / "files" / "syncd.toml"


def add_parser(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Register the command in `commands`; `common` holds the options that all commands share."""
    actions = commands.add_parser("config").add_subparsers(required=True, metavar="ACTION")
    checking = actions.add_parser("check", parents=[common], help="report what is wrong with a configuration file")
    checking.add_argument("file", nargs="?", type=Path)
    checking.set_defaults(command=check)
    showing = actions.add_parser("template", parents=[common], help="print every key with its default, commented")
    showing.set_defaults(command=template)


async def check(args: argparse.Namespace) -> int:
    """Print a summary of the configuration. Raises ConfigError (exit status 78)."""
    # Imported here because the model catalogue is slow to import and other commands do not need it.
    from syncd.app.examination import examine_sources
    from syncd.app.models import catalog_of, check_models, servers_by_model
    from syncd.app.webhooks import incoming_of, webhooks_of

    config = load_config(args.file or args.config, types=args.types)
    check_models(config, catalog_of(config))
    servers_by_model(config, catalog_of(config))
    webhooks_of(config)
    incoming_of(config)
    if problems := await examine_sources(config, args.types):
        raise ConfigError("\n".join(problems))
    for source in config.sources:
        if notice := source.settings().notice:
            remark(f"source {source.name}: {notice}")
    if args.json:
        print_json(config.model_dump(mode="json"))
    else:
        out.print(f"valid: {some(len(config.sources), 'source')}, state in {config.state_folder}")
    return 0


async def template(args: argparse.Namespace) -> int:
    """Print the configuration that an empty file stands for, with what each key means; with --json, as a JSON string."""
    text = CONFIG_TEMPLATE.read_text(encoding="utf-8")
    if args.json:
        print_json(text)
    else:
        sys.stdout.write(text)
    return 0
