"""Checks URLs of repositories. Pure; each raises PermanentError saying what is allowed.

Git runs what some URLs name (`ext::`, options in place of hosts), so only plain ones of known schemes are let through.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from syncd.errors import PermanentError
from syncd.quoting import shown

_PLAIN = re.compile(r"[\x21-\x5b\x5d-\x7e]{1,2000}")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|[0-9A-Fa-f:.]+")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
_SCP = re.compile(r"(?:(?P<user>[^@:/]+)@)?(?P<host>[^@:/]+):(?P<path>(?![-/]).+|/(?!/).+)")


def scheme_of(url: str) -> str:
    """Return the protocol that git uses for a URL that was checked: https, http, ssh or file."""
    return urlsplit(url).scheme if "://" in url else "ssh"


def check_url(url: str) -> str:
    """Return the URL of a repository on a server, over HTTP or SSH (also as `user@host:path`), or a local one's `file:///…`."""
    if not _PLAIN.fullmatch(url):
        raise _refused(url, "it contains a space, a backslash or a control character, or is too long")
    if "://" not in url:
        found = _SCP.fullmatch(url)
        if not found or "::" in url:
            raise _refused(url, "it is neither https://, ssh://, file:/// nor user@host:path")
        _check_host(url, found["host"], found["user"])
        return url
    return _checked(url)


def check_web_url(url: str) -> str:
    """Return the URL of a repository that is read over HTTP; all others are for the configuration file."""
    if scheme_of(check_url(url)) not in ("https", "http"):
        raise _refused(
            url, "only https:// is accepted here; ssh and local repositories are declared in the configuration file"
        )
    return url


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        user, secret, host, _ = parts.username, parts.password, parts.hostname, parts.port
    except ValueError as error:
        raise _refused(url, "its host or port is impossible") from error
    if secret is not None or (user and parts.scheme != "ssh"):
        raise PermanentError("url must not contain a user's secret: give the token by itself")
    if parts.query or parts.fragment or len(parts.path) < 2:
        raise _refused(url, "it must have a path, and neither a query nor a fragment")
    if parts.scheme == "file":
        if host or user:
            raise _refused(url, "a local repository is file:///path")
        return url
    if parts.scheme not in ("https", "http", "ssh"):
        raise _refused(url, "its scheme is none of https, http, ssh and file")
    _check_host(url, host or "", user)
    return url


def _check_host(url: str, host: str, user: str | None) -> None:
    if not _HOST.fullmatch(host) or (user is not None and not _USER.fullmatch(user)):
        raise _refused(url, "its host or user is impossible")


def _refused(url: str, why: str) -> PermanentError:
    return PermanentError(f"url {shown(url)} cannot be used: {why}")
