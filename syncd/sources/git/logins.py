"""Tokens for git sources: from a file that the configuration names, or from the safe."""

from __future__ import annotations

from pathlib import Path

from anyio import to_thread

from syncd.errors import ConfigError, MisconfiguredError, NotFoundError
from syncd.quoting import told
from syncd.redaction import register_secret
from syncd.sources.git.remote import Login
from syncd.store.secrets import Credentials

GIT_CREDENTIAL = "git"
"""The kind under which the safe keeps tokens."""
MAX_TOKEN_BYTES = 4096


class FileLogins:
    """Logs in with the token that a file holds, read each time: whoever renews it need not tell."""

    def __init__(self, user: str, file: Path) -> None:
        self._user = user
        self._file = file

    async def login(self) -> Login:
        """Return the login. Raises MisconfiguredError if the file cannot be read or holds no token."""
        try:
            token = (await to_thread.run_sync(self._file.read_text))[:MAX_TOKEN_BYTES].strip()
        except (OSError, UnicodeDecodeError) as error:
            raise MisconfiguredError(
                f"token_file {str(self._file)!r} cannot be read ({told(error)}); correct the path, or let the daemon's user read it"
            ) from error
        if not token or not token.isprintable():
            raise MisconfiguredError(f"token_file {str(self._file)!r} holds no token; write one into it")
        register_secret(token)
        return Login(self._user, token)

    def forget(self) -> bool:
        """Return False: there is only what the file holds."""
        return False


class StoredLogins:
    """Logs in with a token of the safe, at the one origin that it was given for."""

    def __init__(self, safe: Credentials, database: str, number: int, user: str, origin: str) -> None:
        self._safe = safe
        self._database = database
        self._number = number
        self._user = user
        self._origin = origin

    async def login(self) -> Login:
        """Return the login. Raises MisconfiguredError if there is none, or none for this origin."""
        try:
            secret = await self._safe.get(self._number, self._database)
        except (NotFoundError, ConfigError) as error:
            raise MisconfiguredError(f"its credential cannot be used: {error}") from error
        if secret.get("origin") != self._origin:
            raise MisconfiguredError(f"credential {self._number} is not for {self._origin}; give the token inline")
        return Login(self._user, secret["token"])

    def forget(self) -> bool:
        """Return False: there is only what the safe holds."""
        return False
