"""Where a repository is, and who may read it there."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit

from syncd.errors import ConfigError

LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Remote:
    """A repository on a server. Raises ConfigError for an impossible URL."""

    url: str
    """As git takes it."""
    name: str
    """What it is called in messages and metadata; chunk ids depend on it."""

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        unwanted = parts.query or parts.fragment or parts.username
        if parts.scheme not in ("https", "http") or not parts.hostname or unwanted:
            raise ConfigError(f"{self.url!r} is not the URL of a repository, like 'https://github.com/owner/name.git'")

    @property
    def origin(self) -> str:
        """Return scheme, host and port: the only place a secret is sent to."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def scheme(self) -> str:
        """Return the only protocol git may use for it."""
        return urlsplit(self.url).scheme

    @property
    def may_carry_secret(self) -> bool:
        """Return whether a secret may be sent: over TLS, or within this machine."""
        return self.scheme == "https" or urlsplit(self.url).hostname in LOOPBACK


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
