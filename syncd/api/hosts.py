"""Checks whether a request without a token was meant for this daemon, and whether one with a cookie was made by its own pages."""

from __future__ import annotations

import ipaddress
from collections.abc import Set as AbstractSet
from urllib.parse import urlsplit

from aiohttp import web

from syncd.api.errors import RefusedError
from syncd.quoting import shown


def require_own_host(request: web.Request, names: AbstractSet[str]) -> None:
    """Raise RefusedError (403) unless Host and Origin name this machine's loopback or one of `names` (lower case).

    In a DNS rebinding attack, a page's own domain resolves to this daemon and the browser sends that domain. Only browsers have
    to be kept out, and they always send Host; probes without one pass.
    """
    hosts = [f"//{host}" for host in request.headers.getall("host", ())]
    for given in (*hosts, *request.headers.getall("origin", ())):
        if not _is_own(given, names):
            raise RefusedError(
                403,
                f"{shown(given.removeprefix('//'))} is not this daemon; use a loopback address or api.host, put another name "
                "into embedding.queries_url, or send a token",
            )


def require_own_page(request: web.Request) -> None:
    """Raise RefusedError (403) unless a request that a cookie speaks for was made by a page of this daemon's, or only reads and does
    not say by which.

    Browsers take a cookie along for pages of other ports of its host too, whatever its SameSite.
    """
    fetch_site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if fetch_site is not None:
        # No page can set this header, and behind a proxy it is right though Host may be another name.
        is_own = fetch_site == "same-origin"
    else:
        is_own = origin is not None and origin.partition("://")[2] == request.host
        is_own = is_own or (origin is None and request.method == "GET")
    if not is_own:
        raise RefusedError(403, "another page's requests are not logged in; use the dashboard, or send a token")


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
    """Return whether a host name or address always means this machine (localhost, 127.0.0.0/8, ::1)."""
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
