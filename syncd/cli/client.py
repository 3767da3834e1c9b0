"""Talks to the running daemon, over its socket in the state folder or, with --url, over the network."""

from __future__ import annotations

import argparse
import errno
import json
import os
import socket
from collections.abc import AsyncGenerator, Mapping
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict, Unpack

import aiohttp
from yarl import URL

from syncd.config import Config, load_config
from syncd.config.secret import sendable
from syncd.errors import ConfigError, SyncdError
from syncd.json_types import Json, json_object
from syncd.quoting import shown, told
from syncd.runtime.sockets import reachable
from syncd.runtime.state import SOCKET_FILE, TOKEN_FILE

REQUEST_TIMEOUT_S = 120.0
LIST_PAGE_SIZE = 1000
"""The longest page of a list that the daemon returns."""


@dataclass(frozen=True, slots=True)
class ServicePlace:
    """Where the daemon that runs as this machine's service keeps its files; see systemd/syncd.service."""

    config: Path = Path("/etc/syncd/syncd.toml")
    state: Path = Path("/var/lib/syncd")


SERVICE = ServicePlace()


class UnreachableError(SyncdError):
    """The daemon does not answer."""


class NotPermittedError(SyncdError):
    """Another user may do this; the message says which. Exit status 77."""


class ApiError(SyncdError):
    """The daemon rejected the request; the message is the daemon's."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class RequestOptions(TypedDict, total=False):
    """What a request may carry, in aiohttp's words."""

    params: Mapping[str, str]
    json: object
    headers: Mapping[str, str]
    timeout: aiohttp.ClientTimeout


class Client:
    """Requests to one daemon."""

    def __init__(self, session: aiohttp.ClientSession, where: str) -> None:
        self._session = session
        self._where = where

    async def get(self, path: str, **params: object) -> Any:
        """Return the JSON answer to a GET; parameters that are None are omitted."""
        return await self._request("GET", path, params={k: str(v) for k, v in params.items() if v is not None})

    async def every(self, path: str, **params: object) -> AsyncGenerator[Any]:
        """Yield every item of a list, page by page."""
        offset = 0
        while True:
            page = await self.get(path, limit=LIST_PAGE_SIZE, offset=offset, **params)
            for item in page:
                yield item
            if len(page) < LIST_PAGE_SIZE:
                return
            offset += len(page)

    async def post(
        self,
        path: str,
        body: object,
        timeout_s: float | None = REQUEST_TIMEOUT_S,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Return the JSON answer to a POST; `timeout_s` None: no limit."""
        timeout = aiohttp.ClientTimeout(total=timeout_s)
        return await self._request("POST", path, json=body, headers=headers or {}, timeout=timeout)

    async def put(self, path: str, body: object = None) -> Json:
        """Return the JSON answer to a PUT."""
        return await self._request("PUT", path, json=body)

    async def delete(self, path: str) -> Json:
        """Return the JSON answer to a DELETE; None if it is empty."""
        return await self._request("DELETE", path)

    async def _request(self, method: str, path: str, **options: Unpack[RequestOptions]) -> Json:
        try:
            async with self._session.request(method, path.removeprefix("/"), **options) as response:
                return answer_of(response.status, await response.text(errors="replace"), self._where)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if isinstance(error, PermissionError) or getattr(error, "errno", None) == errno.EACCES:
                raise UnreachableError(not_yours(Path(self._where).parent)) from error
            cause = getattr(error, "os_error", error)
            reason = told(cause) if isinstance(cause, OSError) else str(error) or type(error).__name__
            raise UnreachableError(
                f"no daemon responds at {self._where} ({reason}); start one with: syncd run"
            ) from error


def answer_of(status: int, text: str, where: str) -> Json:
    """Return the JSON of an answer, None for an empty one. Raises ApiError; UnreachableError if it is not a daemon of syncd that answers."""
    try:
        answer = json.loads(text) if text else None
        if status < 400:
            return answer
        message = str(json_object(answer)["message"])
    except (ValueError, KeyError) as error:
        raise UnreachableError(
            f"what answers at {where} is not syncd (status {status}: {shown(text)}); give the address of a daemon's "
            "API with --url, or leave --url out"
        ) from error
    raise ApiError(status, message)


@asynccontextmanager
async def connected(args: argparse.Namespace) -> AsyncGenerator[Client]:
    """Yield a client of the daemon that `args` (--config, --url) name; by default the one on the user's own state folder,
    else the service's. Raises ConfigError, UnreachableError.
    """
    async with open_client(daemons_state(args, load_config(args.config, types=args.types)), args.url) as client:
        yield client


def daemons_state(args: argparse.Namespace, config: Config) -> Path:
    """Return the state folder of the daemon that `args` name: their own, or the service's where no daemon runs on that.

    Raises UnreachableError if this user has no access to it.
    """
    own = config.state_folder
    named = args.config or args.url or "state_dir" in config.model_fields_set or "STATE_DIRECTORY" in os.environ
    return own if named or listens(own) else service_state(args.service) or own


def listens(state: Path) -> bool:
    """Return whether a daemon is listening on this state folder. Raises UnreachableError if this user has no access to it."""
    try:
        with reachable(state / SOCKET_FILE) as path, socket.socket(socket.AF_UNIX) as connection:
            connection.connect(path)
    except PermissionError as error:
        raise UnreachableError(not_yours(state)) from error
    except OSError:
        return False
    return True


def service_state(service: ServicePlace) -> Path | None:
    """Return the service's state folder; None if no service runs. Raises UnreachableError if this user has no access to it."""
    state = service.state
    with suppress(ConfigError):  # missing, or not readable for this user
        config = load_config(service.config)
        state = config.state_folder if "state_dir" in config.model_fields_set else state
    return state if listens(state) else None


def not_yours(state: Path) -> str:
    """Return the error message for a daemon whose state folder belongs to another user."""
    return (
        f"the daemon on {state} belongs to another user: run the command as root or as that user (sudo syncd …), or create a "
        "token with `sudo syncd token create NAME`, put it into SYNCD_TOKEN and give --url http://127.0.0.1:8787"
    )


@asynccontextmanager
async def open_client(state: Path, url: str | None = None) -> AsyncGenerator[Client]:
    """Yield a client of the daemon with this state folder, or of the one at `url`. Raises ConfigError, UnreachableError."""
    base = api_base(url) if url else URL("http://syncd/")
    try:
        token = sendable(os.environ.get("SYNCD_TOKEN", "")) or token_in(state)
    except ValueError as error:
        raise ConfigError(f"SYNCD_TOKEN: {error}") from None
    headers: Mapping[str, str] = {"x-chroma-token": token} if token else {}
    timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
    with ExitStack() as stack:
        connector = None if url else aiohttp.UnixConnector(socket_of(state, stack))
        async with aiohttp.ClientSession(base, connector=connector, headers=headers, timeout=timeout) as session:
            yield Client(session, url or str(state / SOCKET_FILE))


def api_base(url: str) -> URL:
    """Return what the API's paths are relative to: behind a proxy, a daemon may be below a path. Raises ConfigError."""
    with suppress(ValueError):  # of a port or a host that there cannot be
        base = URL(url)
        is_whole = base.scheme in ("http", "https") and base.host and base.host.encode("idna")
        if is_whole and not base.query_string and not base.fragment:
            return base.with_path(f"{base.raw_path.rstrip('/')}/", encoded=True)
    raise ConfigError(
        f"--url {shown(url)} is no address of a daemon's API; give http:// or https://, a host and, where there is one, a port "
        "and a path, like http://127.0.0.1:8787"
    )


def socket_of(state: Path, stack: ExitStack) -> str:
    """Return a usable path of the daemon's socket, valid while `stack` is open. Raises UnreachableError."""
    try:
        return stack.enter_context(reachable(state / SOCKET_FILE))
    except OSError as error:
        raise UnreachableError(
            f"no daemon responds at {state / SOCKET_FILE} ({error.strerror}); start one with: syncd run"
        ) from error


def token_in(state: Path) -> str:
    """Return the administrator's token from the state folder; '' if this user cannot read it."""
    try:
        return (state / TOKEN_FILE).read_text().strip()
    except OSError:
        return ""
