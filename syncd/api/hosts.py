"""Whether a request without a token was meant for this daemon: what it names as its host, and which page it comes from."""

from __future__ import annotations

import ipaddress
from collections.abc import Set as AbstractSet
from urllib.parse import urlsplit

from aiohttp import web

from syncd.api.errors import RefusedError
from syncd.quoting import shown


def require_own_host(request: web.Request, names: AbstractSet[str]) -> None:
    """Raise RefusedError (403) unless Host and Origin name this machine's loopback or one of `names` (lower case).

    A foreign page whose own name is made to lead here (DNS rebinding) has the browser send that name. Only browsers have to be
    kept out, and they always send a host; probes without one pass.
    """
    hosts = [f"//{host}" for host in request.headers.getall("host", ())]
    for given in (*hosts, *request.headers.getall("origin", ())):
        if not _is_own(given, names):
            raise RefusedError(
                403,
                f"{shown(given.removeprefix('//'))} is not this daemon; call it by a loopback address or api.host, name another "
                "in embedding.queries_url, or send a token",
            )


def _is_own(url: str, names: AbstractSet[str]) -> bool:
    try:
        place = urlsplit(url)
        name = (place.hostname or "").removesuffix(".")
    except ValueError:
        return False
    if "@" in place.netloc or place.path.strip("/"):
        return False
    return name in names or is_loopback(name)


def is_loopback(name: str) -> bool:
    """Tell whether a host's name or address can only be this machine's own."""
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
