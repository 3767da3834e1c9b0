"""Browsers that are logged in: a cookie stands for a token, so that no page and no address ever holds the token itself."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from hashlib import sha256

from aiohttp import web

SESSION_S = 8 * 3600.0
"""How long a cookie is good, as long as its token is: a working day."""
SESSIONS_PER_TOKEN = 32
"""Of one token the latest that are kept; so nobody ends the sessions of others by logging in."""
COOKIE_PATH = "/api/v1"
"""Other servers of the same host get every cookie of it that their paths ask for; few have this one."""


@dataclass(frozen=True, slots=True)
class _Session:
    token_id: str
    ends_at: float


class Sessions:
    """Who is logged in, in memory: a restart ends them all. Of keys only digests are kept. A session says which token it stands for,
    and not whether that is good still: whoever asks looks that up.
    """

    def __init__(self) -> None:
        self._sessions: dict[bytes, _Session] = {}

    def begin(self, token_id: str) -> str:
        """Return the key of a new session of a token."""
        now = time.monotonic()
        self._sessions = {digest: it for digest, it in self._sessions.items() if it.ends_at > now}
        earlier = [digest for digest, it in self._sessions.items() if it.token_id == token_id]
        for digest in earlier[: max(0, len(earlier) - SESSIONS_PER_TOKEN + 1)]:
            del self._sessions[digest]
        key = secrets.token_urlsafe(32)
        self._sessions[_digest(key)] = _Session(token_id, now + SESSION_S)
        return key

    def token_id(self, key: str) -> str | None:
        """Return the id of the token that a session stands for, None if there is no such session any more."""
        found = self._sessions.get(_digest(key))
        return found.token_id if found and found.ends_at > time.monotonic() else None

    def end(self, key: str) -> None:
        """End a session. Twice is safe."""
        self._sessions.pop(_digest(key), None)


SESSIONS = web.AppKey("sessions", Sessions)


def session_key(request: web.Request) -> str:
    """Return the key of the session that a request has a cookie of, '' if it has none."""
    return request.cookies.get(_cookie_name(request), "")


def set_session(request: web.Request, response: web.Response, key: str) -> None:
    """Have a browser keep the key of a session, where no script reads it and no other site's request takes it along."""
    is_encrypted = request.secure or request.headers.get("x-forwarded-proto", "").lower() == "https"
    response.set_cookie(
        _cookie_name(request),
        key,
        max_age=int(SESSION_S),
        path=COOKIE_PATH,
        httponly=True,
        samesite="Strict",
        secure=is_encrypted,
    )


def drop_session(request: web.Request, response: web.Response) -> None:
    """Have a browser forget its session."""
    response.del_cookie(_cookie_name(request), path=COOKIE_PATH, httponly=True, samesite="Strict")


def _cookie_name(request: web.Request) -> str:
    """Return the cookie's name: browsers keep cookies of a host's ports together, and each may be another daemon's."""
    port = request.host.rpartition(":")[2]
    return f"syncd_session_{port}" if port.isascii() and port.isdigit() else "syncd_session"


def _digest(key: str) -> bytes:
    return sha256(key.encode("utf-8", "surrogateescape")).digest()
