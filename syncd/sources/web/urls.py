"""Normalises URLs, so that each page has one: parsed as browsers do (WHATWG, by ada), then by our own rules.

The rules: http and https only, no credentials, no fragment, host in ASCII lower case, default port and dot segments gone,
percent-encoding in capitals and unreserved characters plain, tracking and session parameters dropped, query sorted.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import can_ada

MAX_URL_LENGTH = 2000
MAX_SEGMENTS = 20
MAX_PARAMETERS = 12
MAX_REPEATED_SEGMENTS = 3

TRACKING = re.compile(
    r"(?:utm_\w+|gclid|gclsrc|dclid|gbraid|wbraid|fbclid|msclkid|yclid|twclid|ttclid|igshid|mc_cid|mc_eid|_ga|_gl"
    r"|_hsenc|_hsmi|mkt_tok|oly_anon_id|oly_enc_id|vero_id|wt_mc|pk_\w+|piwik_\w+|mtm_\w+|hsa_\w+|s_cid|ref_src)",
    re.IGNORECASE,
)
SESSION = re.compile(r"(?:phpsessid|jsessionid|aspsessionid\w*|cfid|cftoken|zenid|osc?sid)", re.IGNORECASE)
SESSION_VALUE = re.compile(r"(?:sid|s|session|sessionid|session_id)=[0-9a-f]{16,64}", re.IGNORECASE)
PATH_SESSION = re.compile(r";jsessionid=[^/?;]*", re.IGNORECASE)
PERCENT = re.compile(r"%([0-9a-fA-F]{2})")
DIGITS = re.compile(r"\d+")
DATE = re.compile(
    r"(?<!\d)(?:19|20)\d\d(?:[-/._](?:0?[1-9]|1[0-2])(?:[-/._](?:[0-2]?\d|3[01]))?|(?:0[1-9]|1[0-2])(?:[0-2]\d|3[01])?)(?!\d)"
)
CALENDAR = re.compile(
    r"[?&](?:month|year|date|day|week|mon|yr|cal\w{0,9})=#|(?:calendar|kalender|calendrier|agenda|events?|termine)[^?]{0,200}#",
    re.IGNORECASE,
)
"""In a pattern: numbers that are told to be dates."""
UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
DEFAULT_PORTS = {"http:": "80", "https:": "443"}


class UrlError(ValueError):
    """The text is not an http(s) URL that a crawler should request."""


class Url(NamedTuple):
    """A normalised URL, with the parts on which decisions are based."""

    text: str
    scheme: str
    host: str
    """Host in ASCII; with its port if that is not the scheme's default."""
    path: str
    query: str

    @property
    def origin(self) -> str:
        """Return scheme, host and port: what robots.txt and credentials belong to."""
        return f"{self.scheme}://{self.host}"

    @property
    def hostname(self) -> str:
        """Return the host without its port."""
        return self.host if self.host.endswith("]") else self.host.rsplit(":", 1)[0]

    @property
    def port(self) -> int:
        """Return the port that is dialled."""
        _, colon, port = self.host.rpartition(":")
        return int(port) if colon and port.isdigit() else (443 if self.scheme == "https" else 80)


def normal(text: str, base: str | None = None) -> Url:
    """Return `text` normalised and resolved against `base`. Raises UrlError."""
    if len(text) > MAX_URL_LENGTH:
        raise UrlError(f"longer than {MAX_URL_LENGTH} characters")
    try:
        parsed = can_ada.parse(base) + text if base else can_ada.parse(text)
    except (ValueError, TypeError) as error:
        # TypeError: a lone surrogate, which cannot be sent.
        raise UrlError("not a URL") from error
    if parsed.protocol not in DEFAULT_PORTS:
        raise UrlError(f"{parsed.protocol or 'no scheme'} is not http or https")
    host = parsed.host.rstrip(".")
    if not host:
        raise UrlError("no host")
    if parsed.username or parsed.password:
        raise UrlError("credentials in the URL")
    path = normal_path(parsed.pathname)
    query = normal_query(parsed.search[1:]) if parsed.search else ""
    scheme = parsed.protocol[:-1]
    return Url(f"{scheme}://{host}{path}{'?' + query if query else ''}", scheme, host, path, query)


def normal_path(path: str) -> str:
    """Return `path` without session markers and with normalised percent-encoding."""
    if ";" in path:
        path = PATH_SESSION.sub("", path)
    return PERCENT.sub(plain_percent, path) if "%" in path else path


def normal_query(query: str) -> str:
    """Return the parameters that can matter, sorted."""
    if "%" in query:
        query = PERCENT.sub(plain_percent, query)
    kept = [
        part
        for part in query.split("&")
        if part
        and not TRACKING.fullmatch(name := part.partition("=")[0])
        and not SESSION.fullmatch(name)
        and not SESSION_VALUE.fullmatch(part)
    ]
    kept.sort()
    return "&".join(kept)


def plain_percent(match: re.Match[str]) -> str:
    """Decode an unreserved character (RFC 3986 section 6.2.2.2), write the rest in capitals."""
    character = chr(int(match[1], 16))
    return character if character in UNRESERVED else match[0].upper()


def trap_reason(url: Url) -> str | None:
    """Return why this URL looks like a crawler trap, or None."""
    segments = [segment for segment in url.path.split("/") if segment]
    if len(segments) > MAX_SEGMENTS:
        return f"more than {MAX_SEGMENTS} path segments"
    if len(segments) > MAX_REPEATED_SEGMENTS and any(
        segments.count(segment) > MAX_REPEATED_SEGMENTS for segment in set(segments)
    ):
        return "a path segment repeats"
    if url.query.count("&") >= MAX_PARAMETERS:
        return f"more than {MAX_PARAMETERS} parameters"
    return None


def url_pattern(url: Url) -> str | None:
    """Return `url` with dates as '@' and other runs of digits as '#', or None if it has none: similar pages share a pattern."""
    local = url.path + "?" + url.query
    pattern = DIGITS.sub("#", DATE.sub("@", local))
    return url.host + pattern if pattern != local else None


def is_calendar(pattern: str) -> bool:
    """Return whether addresses of this pattern are days, months or years: there is always a next one."""
    return "@" in pattern or CALENDAR.search(pattern) is not None


def facets(url: Url) -> tuple[str, ...]:
    """Return a key for each parameter with its value where there are several: filters of shops are few, their combinations are not."""
    pairs = [pair for pair in url.query.split("&") if pair]
    return tuple(f"&{url.host}{url.path}?{pair}" for pair in dict.fromkeys(pairs)) if len(pairs) > 1 else ()


def host_named(text: str) -> str:
    """Return a host as URLs have it, whatever its script and letter case; `host`, `host:port` or an address. Raises UrlError."""
    host = normal(text if "://" in text else f"http://{text}").host
    return host.removesuffix(":443").removesuffix(":80")


def siblings(host: str) -> set[str]:
    """Return a host with and without `www.`: one site, to everybody but computers."""
    return {host, host.removeprefix("www."), f"www.{host.removeprefix('www.')}"}


def twins(address: str) -> list[str]:
    """Return what else a normalised address is written as: with or without `www.`, and with the other scheme."""
    scheme, _, rest = address.partition("://")
    host, slash, local = rest.partition("/")
    schemes = (scheme,) if ":" in host else ("http", "https")
    others = (f"{each}://{name}{slash}{local}" for each in schemes for name in sorted(siblings(host)))
    return [other for other in others if other != address]


class Site:
    """Which hosts belong to the crawled site."""

    def __init__(self, start: Url, *, allow_subdomains: bool = False, extra_hosts: tuple[str, ...] = ()) -> None:
        self._hosts = siblings(start.host).union(*(siblings(host_named(host)) for host in extra_hosts))
        self._suffix = f".{start.hostname.removeprefix('www.')}" if allow_subdomains else None
        self._port = start.port

    def add(self, host: str) -> None:
        """Add a host to which the starting page has moved."""
        self._hosts |= siblings(host)

    def holds(self, url: Url) -> bool:
        """Return whether `url` is on the site."""
        if url.host in self._hosts:
            return True
        return self._suffix is not None and url.hostname.endswith(self._suffix) and url.port in (80, 443, self._port)


def same_place(one: Url, other: Url) -> bool:
    """Return whether two hosts differ in `www.` or the scheme only, as a starting page's move often does."""
    return one.hostname.removeprefix("www.") == other.hostname.removeprefix("www.") and (
        one.port == other.port or {one.port, other.port} == {80, 443}
    )
