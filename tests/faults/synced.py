"""A daemon that keeps folders in collections, with vectors that cost nothing, to break things under and look at from outside."""

import json
import os
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chromadb.errors import ChromaError, NotFoundError

from tests.daemon import MINILM, Daemon, Held, held
from tests.forked import shared_forks


def configuration(folders: dict[str, Path], chroma: str = "") -> str:
    """Return a configuration that keeps each folder in the collection of that name."""
    sources = "".join(
        f'[[sources]]\nname = "{name}"\ntype = "folder"\npath = "{path}"\ncollection = "{name}"\n'
        "chunking = { target_size_bytes = 64, max_size_bytes = 120 }\n"
        for name, path in folders.items()
    )
    return f"""
[api]
port = 0
[embedding]
default_model = "{MINILM}"
runtime = "hash"
[chroma]
check_interval_s = 0.5
{chroma}
{sources}"""


@dataclass
class Synced:
    """A daemon, and what its collections are to hold."""

    daemon: Daemon
    right: dict[str, Held]

    @classmethod
    def start(cls, folder: Path, folders: dict[str, Path], chroma: str = "") -> "Synced":
        """Start a daemon and wait until it has synced everything."""
        daemon = Daemon(
            folder,
            configuration(folders, chroma),
            program=("tests.pipeline.embed.hash_engine",),
            forks=shared_forks(),
        ).start()
        synced = cls(daemon, {})
        asked = "SELECT count(DISTINCT source_id) FROM invocations"
        daemon.wait_until(lambda: daemon.rows(asked)[0][0] == len(folders))
        synced.settle()
        synced.right = {name: synced.held(name) for name in folders}
        return synced

    def settle(self) -> None:
        """Wait until nothing is left to do."""
        self.daemon.wait_until(lambda: not self.daemon.unsettled())

    def held(self, name: str) -> Held:
        """Return what Chroma holds, asked directly; nothing while the collection is being made again."""
        chroma = self.daemon.announced()["chroma"]
        try:
            return held(chroma["host"], chroma["port"], name)
        except NotFoundError:
            return Held({}, {})

    def is_whole(self, name: str) -> bool:
        """Return whether a collection has the rows that it had at first, whatever they say."""
        try:
            return self.held(name).rows.keys() == self.right[name].rows.keys()
        except ChromaError:  # which has the rows and, for a moment, no index for them
            return False

    def wait_whole(self, *names: str) -> None:
        """Wait until nothing is being filled and health is good, then compare with what was there before."""
        wanted = names or tuple(self.right)
        self.daemon.wait_until(lambda: not self.filling() and self.health() == "" and all(map(self.is_whole, wanted)))
        for name in wanted:
            self.held(name).assert_equals(self.right[name])

    def filling(self) -> list[str]:
        """Return the collections that are being filled."""
        return [name for (name,) in self.daemon.rows("SELECT name FROM collections WHERE rebuilding IS NOT NULL")]

    def health(self) -> str:
        """Return what health says is wrong; '' if nothing."""
        status, body = self.ask("GET", "/health")
        return "" if status == 200 else body["message"]

    def status(self) -> dict[str, Any]:
        """Return the daemon's state."""
        return self.ask("GET", "/api/v1/status")[1]

    def search(self, name: str, text: str, mode: str = "hybrid") -> tuple[int, dict[str, Any]]:
        """Search, and return the status and the answer."""
        body = {"database_name": "default_database", "collection_name": name, "query": text, "mode": mode}
        return self.ask("POST", "/api/v1/search", body)

    def verify(self, name: str, repair: bool = False) -> tuple[int, dict[str, Any]]:
        """Verify a collection against the store, and return the status and the answer."""
        body = {"database_name": "default_database", "collection_name": name, "repair": repair}
        return self.ask("POST", "/api/v1/verify", body)

    def rebuild(self, name: str) -> tuple[int, dict[str, Any]]:
        """Rebuild a collection, and return the status and the answer."""
        return self.ask("POST", "/api/v1/rebuild", {"database_name": "default_database", "collection_name": name})

    def vectors(self) -> int:
        """Return how many texts were ever embedded."""
        return self.daemon.rows("SELECT count(*) FROM vectors")[0][0]

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Send a request to the daemon; return the status and the answer, with `retry_after` where it says that."""
        headers = {"x-chroma-token": self.daemon.token(), "content-type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        url = self.daemon.announced()["url"] + path
        try:
            with urllib.request.urlopen(
                urllib.request.Request(url, data, headers, method=method), timeout=120
            ) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, {**json.load(error), "retry_after": error.headers["Retry-After"]}


def write_notes(folder: Path, files: int, sections: int) -> Path:
    """Write Markdown files whose every section becomes a chunk."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(files):
        write_note(folder, number, sections)
    return folder


def write_note(folder: Path, number: int, sections: int, word: str = "kites") -> None:
    """Write one file."""
    text = "".join(
        f"# Part {number}.{n}\n\nHere {word} of many colours fly over the hill with the number {number * sections + n}.\n\n"
        for n in range(sections)
    )
    new = folder / f".{number}.new"
    new.write_text(text)
    os.replace(new, folder / f"{number}.md")
