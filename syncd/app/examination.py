"""Examines declared sources before a daemon does: with every check that opening them makes, and without a trace."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from syncd.app.settings import machine_of
from syncd.config import Config
from syncd.errors import SyncdError
from syncd.sources.factories import SourceFactories
from syncd.sources.type import SourceTypes
from syncd.store import Store


async def examine_sources(config: Config, types: SourceTypes) -> Sequence[str]:
    """Return what is wrong with the declared sources, one line each, in the file's order.

    Nothing is fetched, and the state folder stays as it is: the records are kept in a temporary one.
    """
    problems: list[str] = []
    with TemporaryDirectory(prefix="syncd-check-") as folder:
        store = await Store.open(Path(folder), types)
        try:
            factories = SourceFactories(types, machine_of(config, config.state_folder, store, lambda: None))
            for table in config.sources:
                embedding = table.embedding(config.embedding.default_model)
                record = await store.sources.create(
                    table.source_type,
                    table.database,
                    table.settings(),
                    embedding,
                    table.chunking.to_model(),
                    table.name,
                )
                try:
                    await factories.examine(record)
                except SyncdError as error:
                    problems.append(f"source {table.name}: {error}")
        finally:
            await store.close()
    return problems
