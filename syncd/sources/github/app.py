"""Tokens for private repositories, from the user's own GitHub App.

The App signs a short JWT, finds its installation on the repository and asks for a token that reads this one repository's
contents and nothing else. Source: docs.github.com, "Authenticating as a GitHub App installation" and "Rate limits for
the REST API". Tokens are opaque: their length and form may change.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import anyio
import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from syncd.errors import ConfigError, NotFoundError, PermanentError, RetryableError
from syncd.json_types import JsonObject, json_object
from syncd.runtime.headers import number, plausible_date, retry_after_s
from syncd.sources.git.remote import Login

CLOCK_SKEW = timedelta(seconds=60)
JWT_LIFE = timedelta(minutes=9)
"""GitHub refuses more than ten minutes, and times in its own future."""
RENEW_BEFORE = timedelta(minutes=10)
"""A token must outlive the fetch that starts with it; tokens are valid for an hour."""
GITHUB_TIMEOUT_S = 30.0
RATE_LIMIT_WAIT_S = 60.0
LONGEST_WAIT_S = 3600.0
"""GitHub's limits are by the hour."""
"""GitHub's advice if a refusal names no time."""
MAX_ANSWER_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Token:
    value: str = field(repr=False)
    expires_at: datetime


class AppLogins:
    """Logs in to one repository with an App's tokens."""

    def __init__(self, app: GithubApp, repository: str) -> None:
        self._app = app
        self._repository = repository

    async def login(self) -> Login:
        """Return a login with a token valid for ten minutes or more. Raises what `GithubApp.token` raises."""
        return Login("x-access-token", await self._app.token(self._repository))

    def forget(self) -> bool:
        """Drop the token, which the server refused; the next one is another."""
        self._app.forget(self._repository)
        return True


class GithubApp:
    """One App. Tokens are kept in memory only, and renewed before they expire."""

    def __init__(
        self,
        app_id: str,
        private_key_file: Path,
        api_url: str = "https://api.github.com",
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Read the key. Raises ConfigError if the file cannot be read or contains no RSA key."""
        self._app_id = app_id
        self._api_url = api_url.rstrip("/")
        self._now = now
        self._key = _read_key(private_key_file)
        self._tokens: dict[str, _Token] = {}
        self._asking = anyio.Lock()

    async def token(self, repository: str) -> str:
        """Return a token valid for at least ten minutes; waits for the network unless one is cached.

        Raises NotFoundError if the App is not installed on the repository, PermanentError if GitHub refuses it or
        the repository was renamed, otherwise RetryableError (with the delay that GitHub asks for).
        """
        async with self._asking:
            token = self._tokens.get(repository)
            if token is None or token.expires_at - RENEW_BEFORE <= self._now():
                token = self._tokens[repository] = await self._ask(repository)
            return token.value

    def forget(self, repository: str) -> None:
        """Drop a token the server refused; the next call asks for a new one."""
        self._tokens.pop(repository, None)

    async def _ask(self, repository: str) -> _Token:
        timeout = aiohttp.ClientTimeout(total=GITHUB_TIMEOUT_S)
        try:
            async with aiohttp.ClientSession(timeout=timeout, trust_env=True) as session:
                found = await self._call(session, "GET", f"/repos/{repository}/installation", repository)
                body = {
                    "repositories": [repository.partition("/")[2]],
                    "permissions": {"contents": "read", "metadata": "read"},
                }
                path = f"/app/installations/{int(str(found['id']))}/access_tokens"
                granted = await self._call(session, "POST", path, repository, body)
                return _Token(str(granted["token"]), _moment(str(granted["expires_at"])))
        except (aiohttp.ClientError, TimeoutError) as error:
            raise RetryableError(f"cannot reach {self._api_url}: {type(error).__name__}") from error
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise RetryableError(f"{self._api_url} gave an unexpected response: {type(error).__name__}") from error

    async def _call(
        self, session: aiohttp.ClientSession, method: str, path: str, repository: str, body: object = None
    ) -> JsonObject:
        headers = {
            "Authorization": f"Bearer {self._signed()}",
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
            "User-Agent": "syncd",
        }
        url = self._api_url + path
        async with session.request(method, url, headers=headers, json=body, allow_redirects=False) as answer:
            if answer.status not in (200, 201):
                raise self._refusal(answer, repository)
            text = await answer.content.read(MAX_ANSWER_BYTES)
            while more := await answer.content.read(MAX_ANSWER_BYTES - len(text)):
                text += more
            return json_object(json.loads(text))

    def _signed(self) -> str:
        now = self._now()
        claims = {"iat": now - CLOCK_SKEW, "exp": now + JWT_LIFE, "iss": self._app_id}
        return jwt.encode(claims, self._key, algorithm="RS256")

    def _refusal(
        self, answer: aiohttp.ClientResponse, repository: str
    ) -> NotFoundError | PermanentError | RetryableError:
        status = answer.status
        if status in (301, 302, 307, 308):
            return PermanentError(f"{repository} was renamed or moved: create a source with its new name")
        if status == 401:
            return PermanentError(
                f"GitHub refused App {self._app_id}: check app_id, the private key and this machine's clock"
            )
        if status == 404:
            return NotFoundError(
                f"App {self._app_id} is not installed on {repository}: install it there, or check the name"
            )
        if status == 429 or (status == 403 and self._is_rate_limit(answer)):
            return RetryableError("GitHub's rate limit is used up", retry_after_s=self._wait_s(answer))
        if status >= 500:
            return RetryableError(f"GitHub answered {status}", retry_after_s=_retry_after_s(answer))
        return PermanentError(
            f"GitHub answered {status} to App {self._app_id} for {repository}: "
            "the App needs read-only permission for Contents and Metadata and must not be suspended"
        )

    def _is_rate_limit(self, answer: aiohttp.ClientResponse) -> bool:
        return "retry-after" in answer.headers or answer.headers.get("x-ratelimit-remaining") == "0"

    def _wait_s(self, answer: aiohttp.ClientResponse) -> float:
        wait_s = _retry_after_s(answer)
        if wait_s is None and answer.headers.get("x-ratelimit-remaining") == "0":
            reset = number(answer.headers.get("x-ratelimit-reset"))
            wait_s = min(reset - self._now().timestamp(), LONGEST_WAIT_S) if reset is not None else None
        return max(wait_s, 1.0) if wait_s is not None else RATE_LIMIT_WAIT_S


def _retry_after_s(answer: aiohttp.ClientResponse) -> float | None:
    return retry_after_s(answer.headers.get("retry-after"), LONGEST_WAIT_S)


def _moment(text: str) -> datetime:
    moment = plausible_date(datetime.fromisoformat(text))
    if moment is None:
        raise ValueError("not a plausible date")
    return moment


def _read_key(file: Path) -> RSAPrivateKey:
    try:
        key = load_pem_private_key(file.read_bytes(), password=None)
    except OSError as error:
        raise ConfigError(f"github.private_key_file {str(file)!r} cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"github.private_key_file {str(file)!r} is not an unencrypted PEM key") from error
    if not isinstance(key, RSAPrivateKey):
        raise ConfigError(
            f"github.private_key_file {str(file)!r} is not an RSA key; use the one that GitHub generated for the App"
        )
    return key
