"""`syncd run`: the daemon itself, in the foreground."""

from __future__ import annotations

import argparse
import resource
from functools import partial

from syncd.cli.commands import Commands
from syncd.config import load_config
from syncd.log import configure

MAX_OPEN_FILES = 65_536
"""As the systemd unit has it. A shell gives 1,024 by default, and each watched folder takes one."""


def add_parser(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Register the command in `commands`; `common` holds the options that all commands share."""
    parser = commands.add_parser("run", parents=[common])
    parser.set_defaults(command=run)


async def run(args: argparse.Namespace) -> int:
    """Run until SIGTERM or SIGINT."""
    # Importing the daemon takes a second, which `syncd --help` should not have to wait for.
    from syncd.app import serve

    raise_open_files()
    load = partial(load_config, args.config, types=args.types)
    config = load()
    configure(config.log.level, as_json=None if config.log.format == "auto" else config.log.format == "json")
    return await serve(config, load, types=args.types)


def raise_open_files() -> None:
    """Let the process, and those it starts, open as many files as the system allows it, up to `MAX_OPEN_FILES`. Twice is safe."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
