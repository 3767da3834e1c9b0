"""What `syncd doctor` finds about a running daemon, or in its place where none runs."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import anyio

from syncd import __version__
from syncd.app.settings import chroma_settings
from syncd.cli.answers import StatusAnswer
from syncd.cli.client import Client
from syncd.cli.diagnoses import Diagnosis
from syncd.cli.words import some
from syncd.config import Config
from syncd.runtime.sockets import http_url
from syncd.runtime.state import DATABASE_FILE, holder_of
from syncd.store.salvage import damage_of

HEARTBEAT_LIMIT_S = 10.0


async def running_diagnoses(client: Client) -> list[Diagnosis]:
    """Ask a running daemon how its parts are."""
    status: StatusAnswer = await client.get("/api/v1/status")
    return list(diagnoses_of(status))


def diagnoses_of(status: StatusAnswer) -> Iterator[Diagnosis]:
    """Yield what a daemon's state comes to."""
    other = f"it is syncd {status['version']}, installed is {__version__}: restart it (systemctl restart syncd)"
    yield Diagnosis("daemon", f"runs, syncd {status['version']}", other if status["version"] != __version__ else "")
    chroma = status["chroma"]
    yield Diagnosis(
        "Chroma", "answers", f"{chroma['away']}; work waits, and goes on by itself" if chroma["away"] else ""
    )
    waiting = status["models_waiting"]
    yield from (Diagnosis(f"model {name}", problem=reason) for name, reason in waiting.items())
    told = {chroma["away"], *(f"model {name}: {reason}" for name, reason in waiting.items())}
    yield from (Diagnosis("daemon", problem=problem) for problem in status["problems"] if problem not in told)
    yield from (Diagnosis("daemon", problem=f"works, but {shortfall}") for shortfall in status.get("degraded", ()))
    for queue in status.get("queues", ()):
        yield Diagnosis(f"queue {queue['queue_url']}", "is read", queue["problem"])
    for source in status.get("source_problems", ()):
        yield Diagnosis(f"source {source['name'] or source['source_id']}", problem=source["problem"])
    for actor in status.get("actors", ()):
        if actor["restarts"]:
            times = (
                f"crashed and was run again {some(actor['restarts'], 'time')}; `syncd logs` says why (actor.crashed)"
            )
            yield Diagnosis(f"part {actor['name']}", problem=times)


async def silent_diagnoses(config: Config, state: Path) -> list[Diagnosis]:
    """Look at what a daemon would need that does not run: its folder, its database, its port and its Chroma."""
    found: list[Diagnosis] = []
    if state.exists() and not state.is_dir():
        return [Diagnosis("daemon", "does not run; set state_dir, then start it with: syncd run")]
    if (holder := holder_of(state)) is not None:
        advice = f"process {holder} holds {state} and does not answer: it starts, stops or hangs; see `syncd logs`, or end it"
        return [Diagnosis("daemon", problem=advice)]
    found.append(Diagnosis("daemon", "does not run; start it with: syncd run"))
    found.append(await database(state / DATABASE_FILE))
    found.append(port(config))
    if config.chroma.mode != "local":
        found.append(await chroma(config))
    return found


async def database(path: Path) -> Diagnosis:
    """Read all of the state database. Waits for the disk."""
    if not path.exists():
        return Diagnosis("database", f"{path} is made by the first start")
    damage = await anyio.to_thread.run_sync(damage_of, path)
    return Diagnosis(
        "database",
        f"{path} is in good order",
        f"{path} is damaged: {damage}; run: syncd doctor --recover" if damage else "",
    )


def port(config: Config) -> Diagnosis:
    """Look whether the API's port is free."""
    host, number = config.api.host, config.api.port
    try:
        for family, kind, _, _, address in socket.getaddrinfo(host, number, type=socket.SOCK_STREAM):
            with socket.socket(family, kind) as trying:
                trying.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                trying.bind(address)
    except OSError as error:
        why = "another program listens there" if error.errno == errno.EADDRINUSE else error.strerror
        return Diagnosis(
            "port", problem=f"cannot listen on {host}:{number} ({why}): end that, or set api.host and api.port"
        )
    return Diagnosis("port", f"{host}:{number} is free")


async def chroma(config: Config) -> Diagnosis:
    """Ask a Chroma that is not ours for a heartbeat."""
    settings = chroma_settings(config, None)
    url = http_url(settings.host, settings.port).replace("http:", "https:" if settings.ssl else "http:")
    limit = aiohttp.ClientTimeout(total=HEARTBEAT_LIMIT_S)
    try:
        async with (
            aiohttp.ClientSession(headers=settings.headers, timeout=limit) as session,
            session.get(f"{url}/api/v2/heartbeat") as answer,
        ):
            reason = "" if answer.status == 200 else f"status {answer.status}"
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        reason = str(error) or type(error).__name__
    advice = f"nothing that is Chroma answers at {url} ({reason}): start it, or correct chroma.host and chroma.port"
    return Diagnosis("Chroma", f"answers at {url}", advice if reason else "")
