"""One Qdrant server or cluster: whether it is available, and calls to it with a time limit and translated errors."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Coroutine
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

import anyio
import structlog
from qdrant_client import AsyncQdrantClient

from syncd.errors import NotFoundError, RetryableError, SyncdError
from syncd.model import Target
from syncd.qdrant.refusals import FAILURES, refusal_of
from syncd.runtime.watched_server import WatchedServer

T = TypeVar("T")
log = structlog.get_logger()

LEAST_VERSION = (1, 17)
"""The first with writes that only insert; metadata of collections came with 1.16 (its docs/redoc/v1.17.x/openapi.json)."""


@dataclass(frozen=True, slots=True)
class QdrantSettings:
    """Where Qdrant is, and how new collections are spread over a cluster; None: as it does by default."""

    url: str
    api_key: str | None = None
    shards: int | None = None
    replicas: int | None = None
    on_disk: bool = False
    timeout_s: int = 120


class QdrantConnection(WatchedServer):
    """Qdrant over HTTP; an async context manager, and an Actor that monitors whether Qdrant is available."""

    name = "qdrant-watch"

    def __init__(self, settings: QdrantSettings) -> None:
        super().__init__("Qdrant")
        self.settings = settings
        self._outdated: str | None = None
        # As a header, since the client prints a warning of a key without TLS; between machines of one's own that may be as it should.
        headers = {"api-key": settings.api_key} if settings.api_key else None
        self._client = AsyncQdrantClient(
            url=settings.url, headers=headers, timeout=settings.timeout_s, check_compatibility=False
        )
        self._names: dict[Target, str] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.close()

    async def heartbeat(self) -> None:
        """Check whether Qdrant answers, is new enough and takes our key; waits at most five seconds for each. Raises RetryableError."""
        found = await self._answer("the heartbeat", self._client.info(), 5.0)
        self._outdated = _outdated(found.version)
        # The version is told to everybody, so that it says nothing of the key.
        await self._call("the heartbeat", self._client.collection_exists("syncd"), 5.0)

    async def _call(self, what: Target | str, call: Coroutine[Any, Any, T], limit_s: float | None = None) -> T:
        """Await `call` within the time limit, note whether Qdrant answered, and translate its errors."""
        if self._outdated is not None:
            call.close()
            raise RetryableError(self._outdated)
        result = await self._answer(what, call, limit_s or self.settings.timeout_s)
        self._set_away(None)
        return result

    async def _answer(self, what: Target | str, call: Awaitable[T], limit_s: float) -> T:
        name = what if isinstance(what, str) else f"collection {what.collection} in database {what.database}"
        try:
            with anyio.fail_after(limit_s):
                return await call
        except TimeoutError as error:
            reason = f"Qdrant did not answer within {limit_s:g} s ({name})"
            self._set_away(reason)
            raise RetryableError(reason) from error
        except FAILURES as error:
            raise self._translated(what, name, refusal_of(error, self.settings.url)) from error

    def _translated(self, what: Target | str, name: str, error: SyncdError) -> SyncdError:
        if isinstance(error, RetryableError):
            self._set_away(str(error))
        elif isinstance(error, NotFoundError):
            if isinstance(what, Target):
                self._names.pop(what, None)
            return NotFoundError(f"{name} does not exist ({error})")
        return error

    def _changed(self, reason: str | None) -> None:
        if reason is not None:
            log.warning("qdrant.away", reason=reason)
        else:
            log.info("qdrant.available")


def _outdated(version: str) -> str | None:
    """Return why a server of this version cannot be used, or None."""
    numbers = tuple(int(number) for number in re.findall(r"\d{1,9}", version)[:2])
    if numbers >= LEAST_VERSION:
        return None
    needed = ".".join(map(str, LEAST_VERSION))
    return f"Qdrant {version} is too old: upgrade it to {needed} or later"
