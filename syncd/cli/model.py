"""`syncd model`: list models, download their files, add your own, measure them; needs no daemon."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from syncd.cli import bench
from syncd.cli.bench import folder_of
from syncd.cli.commands import Commands
from syncd.cli.model_row import ModelRow
from syncd.cli.output import out, print_json, print_table
from syncd.config import load_config
from syncd.errors import ConfigError

if TYPE_CHECKING:
    from syncd.config.models import ModelSection
    from syncd.pipeline.embed.gguf_facts import GgufFacts
    from syncd.pipeline.embed.local import PreparedModel

RESTART = "Restart the daemon to use it."


def add_parser(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Register the command in `commands`; `common` holds the options that all commands share."""
    actions = commands.add_parser("model").add_subparsers(required=True, metavar="ACTION")
    actions.add_parser("list", parents=[common], help="list known models and their files").set_defaults(
        command=list_models
    )
    pulling = actions.add_parser("pull", parents=[common], help="download a model's file and test it")
    pulling.add_argument("name")
    pulling.add_argument("--quantisation", help="which quantisation, e.g. Q8_0, F16, Q4_K_M; see `syncd model list`")
    pulling.set_defaults(command=pull)
    adding = actions.add_parser(
        "add",
        parents=[common],
        help="add your own model, a GGUF or a folder in model2vec's format, to the configuration file",
    )
    adding.add_argument("name", help="the name by which sources refer to it")
    adding.add_argument("file", type=Path)
    adding.add_argument(
        "--pooling", choices=["last", "mean", "cls"], help="how token vectors are pooled, if the file does not say"
    )
    adding.add_argument(
        "--max-tokens", type=int, help="longest text embedded in one piece, in tokens (default: from the file)"
    )
    adding.add_argument("--query-prompt", help="prompt put in front of queries")
    adding.add_argument("--document-prompt", help="prompt put in front of documents")
    adding.set_defaults(command=add)
    bench.add_action(actions, common)
    trusting = actions.add_parser(
        "trust", parents=[common], help="accept what a model's servers compute from now on as the reference"
    )
    trusting.add_argument("name")
    trusting.set_defaults(command=trust)


async def list_models(args: argparse.Namespace) -> int:
    """Print the models, their files, and which of these are in use and downloaded."""
    from syncd.app.models import catalog_of, engine_options, servers_by_model, splade_folder
    from syncd.pipeline.embed.files import is_here
    from syncd.pipeline.sparse.splade_files import SPLADE, VOCABULARY, WINDOW_TOKENS, present

    config = load_config(args.config, types=args.types)
    catalog, folder = catalog_of(config), folder_of(config)
    servers = servers_by_model(config, catalog)
    rows: list[ModelRow] = []
    for name in catalog.names():
        model, options = catalog.find(name), engine_options(config, name)
        used = model.file(options.quantisation)
        for file in model.files:
            configured = options.path if file == used else None
            is_there = is_here(model, file, folder, configured)
            urls = [server.url for server in servers.get(name, [])]
            rows.append(
                ModelRow(name, file.quantisation, model.dimensions, model.max_tokens, is_there, file == used, urls)
            )
    here = present(splade_folder(config, config.state_folder))
    rows.append(ModelRow(SPLADE, "ONNX", VOCABULARY, WINDOW_TOKENS, here, here, []))
    if args.json:
        for row in rows:
            print_json(row._asdict())
    else:
        print_table(ModelRow._fields, [row.shown() for row in rows])
    return 0


async def pull(args: argparse.Namespace) -> int:
    """Download a model's file with a progress bar and probe it."""
    from syncd.app.models import catalog_of, engine_options
    from syncd.pipeline.embed.local import prepare
    from syncd.pipeline.sparse.splade_files import SPLADE

    if args.name == SPLADE:
        return await pull_splade(args)
    config = load_config(args.config, types=args.types)
    with progress_bar(args) as progress:
        model, options = catalog_of(config).find(args.name), engine_options(config, args.name)
        chosen = replace(options, quantisation=args.quantisation) if args.quantisation else options
        prepared = await prepare(model, folder_of(config), chosen, progress)
    report(args, prepared)
    if chosen != options and not args.json:
        out.print(f'To use it: quantisation = "{args.quantisation}" in a [[models]] table named "{args.name}".')
    return 0


async def pull_splade(args: argparse.Namespace) -> int:
    """Download the sparse model's files unless they are here, and test the model."""
    from syncd.app.models import splade_folder
    from syncd.pipeline.sparse.splade import check_loads
    from syncd.pipeline.sparse.splade_files import own_files, published_files

    config = load_config(args.config, types=args.types)
    folder = splade_folder(config, config.state_folder)
    with progress_bar(args) as progress:
        digest = await (own_files(folder) if config.search.splade_dir else published_files(folder, progress))
    await check_loads(folder, config.embedding.threads)
    say_ready(args, folder, digest)
    return 0


@contextmanager
def progress_bar(args: argparse.Namespace) -> Generator[Callable[[int, int | None], None]]:
    """Yield a callback that shows the bytes received and the total (None: unknown) in a progress bar."""
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

        yield progress


def report(args: argparse.Namespace, prepared: PreparedModel) -> None:
    """Print the probe's result and where the model's file is."""
    say_ready(args, prepared.file.path, prepared.file.digest)


def say_ready(args: argparse.Namespace, path: Path, digest: str) -> None:
    """Print a model's path and sha256."""
    if args.json:
        print_json({"path": str(path), "sha256": digest})
    else:
        out.print(f"ready: {path}")


async def add(args: argparse.Namespace) -> int:
    """Test a GGUF file or the folder of a static model and add it to the configuration file, pinned to its sha256."""
    from syncd.app.models import catalog_entry, engine_options
    from syncd.config.mistakes import describe_errors
    from syncd.config.models import ModelSection
    from syncd.pipeline.embed.files import verified, verified_folder
    from syncd.pipeline.embed.gguf_facts import read_facts
    from syncd.pipeline.embed.local import prepare

    config, path = load_config(args.config, types=args.types), args.file.expanduser().absolute()
    if args.config is None:
        raise ConfigError("the model is added to a configuration file: give --config FILE, or set SYNCD_CONFIG")
    if any(model.name == args.name for model in config.models):
        raise ConfigError(f"models: {args.name!r} is already in {args.config}; edit it there, or choose another name")
    if not path.exists():
        raise ConfigError(f"{path} is not a file; give the GGUF file, or the folder of a static model, to add")
    try:
        section = ModelSection.model_validate(values_of(args, path, read_facts(path)))
    except ValidationError as error:
        raise ConfigError(describe_errors(error, path, ModelSection)) from error
    digest = (await (verified_folder(path, None) if path.is_dir() else verified(path, None, folder_of(config)))).digest
    section = section.model_copy(update={"sha256": digest})
    options = replace(engine_options(config, args.name), path=path)
    prepared = await prepare(catalog_entry(section), folder_of(config), options)
    append(args.config, table_of(section))
    report(args, prepared)
    if not args.json:
        out.print(f"{args.name} was added to {args.config}. {RESTART}")
    return 0


def values_of(args: argparse.Namespace, path: Path, facts: GgufFacts) -> Mapping[str, object]:
    """Return the model's configuration: options given on the command line, else what the file says."""
    pooling = args.pooling or facts.pooling
    if pooling is None:
        raise ConfigError(
            f"{path} does not say which pooling it uses; give --pooling, as stated in the model card (Qwen3: last)"
        )
    if_known = {
        "query_prompt": facts.query_prompt if args.query_prompt is None else args.query_prompt,
        "document_prompt": facts.document_prompt if args.document_prompt is None else args.document_prompt,
        "matryoshka": facts.matryoshka,
    }
    return {
        "name": args.name,
        "path": path,
        "pooling": pooling,
        "dimensions": facts.dimensions,
        "max_tokens": args.max_tokens or facts.max_tokens,
        **{key: value for key, value in if_known.items() if value is not None},
    }


def table_of(section: ModelSection) -> str:
    """Return the TOML of a `[[models]]` table."""
    values = section.model_dump(mode="json", exclude_none=True)
    # JSON strings and numbers are valid TOML.
    return "\n[[models]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())


def append(file: Path, table: str) -> None:
    """Append a table to a configuration file. Raises ConfigError, and leaves the file as it was, if the result is invalid."""
    before = file.read_text("utf-8")
    file.write_text(before.rstrip("\n") + "\n" + table, "utf-8")
    try:
        load_config(file)
    except ConfigError:
        file.write_text(before, "utf-8")
        raise


async def trust(args: argparse.Namespace) -> int:
    """Drop the reference vectors of a model's servers; those of the next start become the reference."""
    from syncd.app.models import catalog_of
    from syncd.pipeline.embed.record import forget_record

    config = load_config(args.config, types=args.types)
    model = catalog_of(config).find(args.name)
    forget_record(model.name, folder_of(config))
    if args.json:
        print_json({"forgotten": model.name})
    else:
        out.print(
            f"The vectors that the servers of {model.name} compute at the daemon's next start become the reference; "
            f"if they differ from the previous ones, everything is embedded again. {RESTART}"
        )
    return 0
