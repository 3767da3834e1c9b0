"""Where a repository is, and who may read it there."""

from __future__ import annotations

import base64
import re
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import anyio

from syncd.errors import ConfigError, PermanentError, RetryableError
from syncd.sources.git.urls import check_url, scheme_of
from syncd.sources.web.addresses import AddressGuard

_SSH_PATH = re.compile(r"/[A-Za-z0-9_./+@-]+")

LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class SshAccess:
    """How to log in over SSH, and which servers to believe. Raises ConfigError for paths that OpenSSH would read as something else."""

    key_file: Path
    known_hosts_file: Path

    def __post_init__(self) -> None:
        for path in (self.key_file, self.known_hosts_file):
            if not _SSH_PATH.fullmatch(str(path)):
                raise ConfigError(f"{str(path)!r}: paths of keys must be absolute, without spaces, quotes and %")

    @property
    def command(self) -> str:
        """Return the command for git. Nothing of the user's configuration, agent or known hosts counts."""
        options = {
            "BatchMode": "yes",
            "StrictHostKeyChecking": "yes",
            "UpdateHostKeys": "no",
            "UserKnownHostsFile": self.known_hosts_file,
            "GlobalKnownHostsFile": "/dev/null",
            "IdentityFile": self.key_file,
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
            "ForwardAgent": "no",
            "ClearAllForwardings": "yes",
            "ConnectTimeout": 30,
            "ServerAliveInterval": 30,
        }
        return " ".join(["ssh", "-F", "/dev/null", *(f"-o {name}={value}" for name, value in options.items())])


@dataclass(frozen=True, slots=True)
class Remote:
    """A repository on a server or on this machine. Raises ConfigError for an impossible URL."""

    url: str
    """As git takes it."""
    name: str
    """What it is called in messages and metadata; chunk ids depend on it."""
    ssh: SshAccess | None = None
    guard: AddressGuard | None = field(default=None, compare=False)
    """Which addresses may be dialled, for URLs that the configuration's owner did not write; None: any."""

    def __post_init__(self) -> None:
        try:
            check_url(self.url)
        except PermanentError as error:
            raise ConfigError(str(error)) from None

    @property
    def origin(self) -> str:
        """Return scheme, host and port: the only place a secret is sent to."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def scheme(self) -> str:
        """Return the only protocol git may use for it."""
        return scheme_of(self.url)

    @property
    def may_carry_secret(self) -> bool:
        """Return whether a secret may be sent: over TLS, or within this machine."""
        return self.scheme == "https" or urlsplit(self.url).hostname in LOOPBACK

    async def pin(self) -> str:
        """Return what fixes the addresses that git dials, as `http.curloptResolve` has it; '' where any will do.

        A name is looked up once, checked and pinned, so that it cannot lead elsewhere when git looks it up. Waits for
        the network. Raises PermanentError if no address may be dialled, RetryableError if there is none.
        """
        if not self.guard:
            return ""
        parts = urlsplit(self.url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        try:
            found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise RetryableError(f"cannot find the address of {host}: {error.strerror}") from error
        addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
        allowed = [address for address in addresses if not self.guard.refusal(address, port)]
        if not allowed:
            why = self.guard.refusal(addresses[0], port) if addresses else "it has no address"
            raise PermanentError(f"{host} may not be read from: {why}, in [git]")
        return f"{host}:{port}:{','.join(f'[{one}]' if ':' in one else one for one in allowed)}"


@dataclass(frozen=True, slots=True)
class Login:
    """A user and a secret, for HTTP's basic authentication."""

    user: str
    secret: str = field(repr=False)

    @property
    def header(self) -> str:
        """Return the value of the header `Authorization`."""
        return f"Basic {base64.b64encode(f'{self.user}:{self.secret}'.encode()).decode()}"


class Logins(Protocol):
    """Logs in to one repository."""

    async def login(self) -> Login:
        """Return a login that is valid for the next minutes. May wait for the network. Raises SyncdError."""
        ...

    def forget(self) -> bool:
        """Drop a login that the server refused; return whether the next one can be another."""
        ...
