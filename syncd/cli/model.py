"""`syncd model`: list models and fetch their files; needs no daemon."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from syncd.cli.output import out, print_json, print_table
from syncd.config import Config, load_config


def add_parser(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the command."""
    actions = commands.add_parser("model", help="list models and fetch their files").add_subparsers(
        required=True, metavar="ACTION"
    )
    actions.add_parser("list", parents=[common], help="list known models").set_defaults(command=list_models)
    pulling = actions.add_parser("pull", parents=[common], help="fetch (or convert) a model's file and try it")
    pulling.add_argument("name")
    pulling.set_defaults(command=pull)


def folder_of(config: Config) -> Path:
    """Return where GGUF files lie."""
    return config.embedding.models_dir or config.state_folder / "models"


async def list_models(args: argparse.Namespace) -> int:
    """Print the models and whether their file is here."""
    from syncd.app_models import catalog_of

    config = load_config(args.config)
    catalog, folder = catalog_of(config), folder_of(config)
    rows: list[tuple[Any, ...]] = []
    for name in catalog.names():
        model = catalog.find(name)
        file = model.file()
        rows.append((name, file.quantisation, model.dimensions, model.max_tokens, (folder / file.name).exists()))
    columns = ("model", "file", "dimensions", "max_tokens", "here")
    if args.json:
        for row in rows:
            print_json(dict(zip(columns, row, strict=True)))
    else:
        print_table(columns, [(*row[:-1], "yes" if row[-1] else "no") for row in rows])
    return 0


async def pull(args: argparse.Namespace) -> int:
    """Fetch a model's file with a progress bar and probe it."""
    from syncd.app_models import catalog_of, engine_options
    from syncd.pipeline.embed.embedder import prepare

    config = load_config(args.config)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=out, disable=args.json) as bar:
        task = bar.add_task(args.name, total=None)

        def progress(done_bytes: int, total_bytes: int | None) -> None:
            bar.update(task, completed=done_bytes, total=total_bytes)

        model = catalog_of(config).find(args.name)
        prepared = await prepare(model, folder_of(config), engine_options(config, args.name), progress)
    print_json({"path": str(prepared.file.path)}) if args.json else out.print(f"ready: {prepared.file.path}")
    return 0
