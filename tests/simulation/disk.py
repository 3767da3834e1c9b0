"""SQLite without threads: what outlives a crash of the simulated daemon is one database in memory.

The store's own functions run in it as they are, each whole, some time after they were asked for: a crash falls before or behind one.
"""

import asyncio
import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from unittest.mock import patch

from syncd.store import database, word_file
from syncd.store.connections import CallingConnection, lenient_text

DELAY_S = 0.002


class DeadError(BaseException):
    """Whoever asks lived in a process that is gone."""


class InlineConnection:
    """One of the two connections of a life, both to the same database."""

    def __init__(self, raw: sqlite3.Connection, rng: random.Random) -> None:
        self._raw = raw
        self._rng = rng
        self._loop = asyncio.get_running_loop()

    async def execute(self, sql: str, parameters: object = ()) -> None:
        """Execute in turn, even if the caller is cancelled meanwhile, as a thread would."""
        if asyncio.get_running_loop() is not self._loop:
            raise DeadError
        if sql.startswith("PRAGMA"):
            return
        done = self._loop.create_future()

        def run() -> None:
            try:
                self._raw.execute(sql, parameters)
            except Exception as error:
                if not done.cancelled():
                    done.set_exception(error)
            else:
                if not done.cancelled():
                    done.set_result(None)

        self._loop.call_later(self._rng.random() * DELAY_S, run)
        await done

    async def close(self) -> None:
        """Leave the database to the next life."""


def new_database() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None, factory=CallingConnection)
    connection.text_factory = lenient_text
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


@contextmanager
def in_memory(raw: sqlite3.Connection, rng: random.Random) -> Iterator[None]:
    """Let every store that is opened be in this database, and its words in another."""
    words = new_database()

    async def open_connection(_path: Path) -> InlineConnection:
        return InlineConnection(raw, rng)

    async def open_words(_path: Path) -> InlineConnection:
        return InlineConnection(words, rng)

    read_once: Callable[..., dict[int, tuple[str, str]]] = cache(database.numbered_migrations)
    with (
        patch.object(database, "open_connection", open_connection),
        patch.object(word_file, "open_connection", open_words),
        patch.object(database, "numbered_migrations", lambda packages: read_once(tuple(packages))),
    ):
        yield
