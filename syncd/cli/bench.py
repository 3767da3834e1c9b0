"""`syncd model bench`: tokens per second of every engine that can run a model here, and the time a million tokens take."""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, NotRequired, TypedDict

from syncd.cli.commands import Commands
from syncd.cli.output import out, print_json, print_table
from syncd.config import Config, load_config
from syncd.errors import SyncdError

if TYPE_CHECKING:
    from syncd.model import Embedder
    from syncd.pipeline.embed.engine import ModelRequest

TEXT_CHARACTERS = 1500
MOST_TEXTS_AT_A_TIME = 512
MILLION = 1_000_000


def add_action(actions: Commands, common: argparse.ArgumentParser) -> None:
    """Register `bench` among the actions of `syncd model`."""
    parser = actions.add_parser(
        "bench", parents=[common], help="measure a model: tokens per second and the time a million tokens take"
    )
    parser.add_argument("name", nargs="?", help="the model (default: embedding.default_model)")
    parser.add_argument("--quantisation", help="which quantisation: Q8_0, F16 or Q4_K_M (default: the one in use)")
    parser.add_argument(
        "--seconds", type=duration_s, default=10.0, help="how long to measure each engine (default: 10)"
    )
    parser.set_defaults(command=bench)


def duration_s(text: str) -> float:
    """Return an option's number of seconds. Raises ArgumentTypeError unless it is greater than 0."""
    if not 0 < (seconds := float(text)) < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a duration; give a number of seconds greater than 0")
    return seconds


def folder_of(config: Config) -> Path:
    """Return the folder of the GGUF files."""
    from syncd.app.models import models_folder

    return models_folder(config, config.state_folder)


async def bench(args: argparse.Namespace) -> int:
    """Measure one engine after the other on syncd's own source code."""
    config = load_config(args.config, types=args.types)
    name = args.name or config.embedding.default_model
    rows = [
        await measured(engine, request, args.seconds)
        for engine, request in requests(config, name, args.quantisation).items()
    ]
    show_measurements(args, rows)
    return 0 if any("tokens_per_s" in row for row in rows) else 1


def requests(config: Config, name: str, quantisation: str | None) -> dict[str, ModelRequest]:
    """Return what to measure, by name: each engine installed here, and each of the model's servers."""
    from syncd.app.models import catalog_of, engine_options, servers_by_model
    from syncd.pipeline.embed.engine import ModelRequest
    from syncd.pipeline.embed.engines import ENGINES

    catalog, options = catalog_of(config), engine_options(config, name)
    options = replace(options, quantisation=quantisation) if quantisation else options
    request = ModelRequest(catalog.find(name), folder_of(config), options)
    local = {
        engine.label: replace(request, options=replace(options, runtime=engine.name))
        for engine in ENGINES
        if not engine.obstacle(request)
    }
    servers = servers_by_model(config, catalog).get(name, [])
    return {**local, **{server.url: replace(request, servers=[server]) for server in servers}}


class Measurement(TypedDict):
    """One engine's figures, or the reason there are none."""

    model: str
    engine: str
    tokens_per_s: NotRequired[float]
    million_tokens_s: NotRequired[float]
    error: NotRequired[str]


async def measured(engine: str, request: ModelRequest, seconds: float) -> Measurement:
    """Return one engine's figures, or the reason there are none."""
    from syncd.pipeline.embed.engines import engine_for
    from syncd.pipeline.embed.front import running

    row: Measurement = {"model": request.model.name, "engine": engine}
    try:
        async with running(await engine_for(request).make_embedder(request)) as embedder:
            # Caught inside, because a task group would wrap it in an exception group.
            try:
                tokens_per_s = await speed(embedder, seconds)
            except SyncdError as error:
                return {**row, "error": str(error)}
    except SyncdError as error:
        return {**row, "error": str(error)}
    return {**row, "tokens_per_s": round(tokens_per_s, 1), "million_tokens_s": round(MILLION / tokens_per_s)}


async def speed(embedder: Embedder, seconds: float) -> float:
    """Return tokens per second, measured for about `seconds` after a warm-up text."""
    texts, at_a_time, tokens = cycle(bench_texts()), 1, 0
    await embedder.embed([next(texts)], "query")
    began = now = time.perf_counter()
    while now - began < seconds:
        tokens += (await embedder.embed(list(islice(texts, at_a_time)), "document")).tokens
        took_s = time.perf_counter() - now
        now += took_s
        at_a_time = min(at_a_time * 2, MOST_TEXTS_AT_A_TIME) if took_s < 1 else at_a_time
    return tokens / (now - began)


def bench_texts() -> list[str]:
    """Return pieces of syncd's own source code, each about as long as a chunk."""
    import syncd

    files = sorted(Path(syncd.__file__).parent.rglob("*.py"))
    text = "\n".join(file.read_text("utf-8") for file in files)
    return [text[start : start + TEXT_CHARACTERS] for start in range(0, len(text), TEXT_CHARACTERS)]


def show_measurements(args: argparse.Namespace, rows: list[Measurement]) -> None:
    """Print what was measured."""
    if args.json:
        for row in rows:
            print_json(row)
        return
    lines = [
        (row["engine"], f"{row['tokens_per_s']:,.0f}", duration(row["million_tokens_s"])) if "tokens_per_s" in row and "million_tokens_s" in row
        else (row["engine"], "-", row.get("error", ""))
        for row in rows
    ]  # fmt: skip
    out.print(f"{rows[0]['model']}, pieces of {TEXT_CHARACTERS} characters of source code")
    print_table(("engine", "tokens/s", "time for 1M tokens"), lines)


def duration(seconds: float) -> str:
    """Return a duration for people, in s, min or h."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
