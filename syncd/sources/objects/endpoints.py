"""Which endpoints the network API may name: a request to any other would be made on a stranger's behalf."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field

from syncd.errors import MisconfiguredError, PermanentError
from syncd.quoting import shown
from syncd.schema import http_parts
from syncd.sources.git.remote import LOOPBACK

AllowedEndpoint = Annotated[str, Field(pattern=r"^https?://[^/?#@]+/?$")]
"""A scheme and a host, in a table of the configuration file."""


def check_endpoint(name: str, url: str, allowed: Sequence[str] | None, setting: str) -> None:
    """Raise PermanentError for a URL that is invalid, or whose host is not among `allowed`; None allows every host.

    `name` is what the URL is called, and `setting` the list that may allow it.
    """
    parts = http_parts(url)
    if parts is None or parts.username or parts.password or parts.fragment:
        raise PermanentError(f"{name} {shown(url)} must be an http or https URL with a host and without credentials")
    if allowed is None or f"{parts.scheme}://{parts.netloc}" in {one.rstrip("/") for one in allowed}:
        return
    raise PermanentError(f"{name} {shown(url)} is not allowed; name its host under {setting} in the configuration")


def check_secrecy(url: str, what: str) -> None:
    """Raise MisconfiguredError where `what`, which is good for whoever reads it, would be sent unencrypted over a network."""
    parts = urlsplit(url)
    if parts.scheme != "https" and parts.hostname not in LOOPBACK:
        raise MisconfiguredError(f"{url!r} would send {what} unencrypted; use https")
