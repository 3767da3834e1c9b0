"""Prints the names of the running daemon's sources or collections, for a shell that completes them; nothing, where they are not to be had.

    python -m syncd.cli.known_names source

Imports as little as can be: somebody waits for it at every press of a key.
"""

from __future__ import annotations

import json
import os
import re
import socket
import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path

NAMED_LISTS: Mapping[str, tuple[str, str]] = {
    "source": ("/api/v1/sources?limit=1000", "name"),
    "collection": ("/api/v1/collections?limit=1000", "collection_name"),
}
"""By what an argument is called: the API's list, and the field of its items that has the name."""
PATIENCE_S = 2.0

_HARMLESS = re.compile(r"[\w.@:/+-]+", re.ASCII)
"""Shells expand the words that they are given, and a name may be a stranger's."""


def known_names(kind: str, state: Path) -> Iterator[str]:
    """Yield the names that the daemon on a state folder knows. Raises OSError, HTTPException or ValueError where it does not answer."""
    path, field = NAMED_LISTS[kind]
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PATIENCE_S)
        connection.connect(str(state / "api.sock"))
        asking = HTTPConnection("syncd")
        asking.sock = connection
        asking.request("GET", path, headers={"x-chroma-token": (state / "token").read_text().strip()})
        for item in json.loads(asking.getresponse().read()):
            if _HARMLESS.fullmatch(name := str(item.get(field) or "")):
                yield name


def state_folders() -> Iterator[Path]:
    """Yield where a daemon's state may be, the user's own first."""
    configured: object = os.environ.get("SYNCD_STATE_DIR")
    if not configured and (file := os.environ.get("SYNCD_CONFIG")):
        configured = tomllib.loads(Path(file).read_text(encoding="utf-8")).get("state_dir")
    yield Path(str(configured or "~/.local/state/syncd")).expanduser()
    if not configured:
        yield Path("/var/lib/syncd")


def main() -> None:
    """Print the names that the first daemon that answers knows."""
    with suppress(OSError, HTTPException, ValueError):
        for state in state_folders():
            with suppress(OSError):
                print("\n".join(known_names(sys.argv[1], state)))
                return


if __name__ == "__main__":
    main()
