"""One Chroma server: whether it is available, and calls to it with a time limit and translated errors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

import anyio
import structlog
from pydantic import ValidationError

from syncd.chroma.deaths import Deaths
from syncd.chroma.refusals import CorruptError, DatabaseDamagedError, LostError, no_chroma
from syncd.chroma.rows import CLOUD_LIMITS, LOCAL_LIMITS
from syncd.errors import CollectionCorrupt, NotFoundError, PermanentError, RetryableError, SyncdError
from syncd.model import Target
from syncd.row_checks import RecordLimits
from syncd.runtime.watched_server import WatchedServer

if TYPE_CHECKING:
    from syncd.chroma.network import ServerNetwork
    from syncd.chroma.transport import Api, Collection

R = TypeVar("R")
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ChromaSettings:
    """Where Chroma is. Every call but `heartbeat` may take `timeout_s`; `limits` are what one record may hold."""

    host: str = "127.0.0.1"
    port: int = 8000
    ssl: bool = False
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    tenant: str = "default_tenant"
    timeout_s: float = 120.0
    limits: RecordLimits = LOCAL_LIMITS
    frees_deleted: bool = False
    """Whether the index is freed of deleted rows: Chroma Cloud compacts it, a server of one node never does."""
    network: ServerNetwork | None = None
    """What makes the sockets, for our own server where it is in a network of its own."""

    @classmethod
    def cloud(cls, tenant: str, api_key: str, host: str = "api.trychroma.com") -> ChromaSettings:
        """Return the settings for Chroma Cloud, with its quotas as limits."""
        headers = {"x-chroma-token": api_key}
        return cls(host, 443, ssl=True, headers=headers, tenant=tenant, limits=CLOUD_LIMITS, frees_deleted=True)


class ChromaConnection(WatchedServer):
    """Chroma over HTTP; an async context manager, and an Actor that monitors whether Chroma is available.

    `suspect` is told when the server itself seems damaged, or hangs, and why.
    """

    name = "chroma-watch"

    def __init__(self, settings: ChromaSettings, suspect: Callable[[str], None] = lambda _: None) -> None:
        super().__init__("Chroma")
        self.settings = settings
        self._suspect = suspect
        self._deaths = Deaths()
        self._api: Api | None = None
        self._handles: dict[Target, Collection] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._api is not None:
            await self._api.aclose()

    async def heartbeat(self) -> None:
        """Check whether Chroma is available; waits at most five seconds. Raises RetryableError."""
        await self._call("the heartbeat", self._connected().heartbeat(), timeout_s=5.0)

    def _connected(self) -> Api:
        if self._api is None:
            # Here and not above: importing chromadb costs 31 MB and 0.6 s of CPU, which only the daemon should pay.
            from syncd.chroma.transport import connect

            settings = self.settings
            self._api = connect(settings.host, settings.port, settings.ssl, settings.headers, settings.network)
        return self._api

    async def _call(
        self, what: Target | str, call: Awaitable[R], timeout_s: float | None = None, *, rows: str = ""
    ) -> R:
        """Await `call` within the time limit, note whether Chroma answered, and translate its errors.

        `rows`: the sort of call, if it is about rows of the collection `what`, as Chroma then reads the collection's index files.
        """
        if not rows or not isinstance(what, Target):
            return await self._answer(what, call, timeout_s or self.settings.timeout_s, "")
        with self._deaths.during(what):
            result = await self._answer(what, call, self.settings.timeout_s, rows)
        self._deaths.succeeded(what, rows)
        return result

    async def _answer(self, what: Target | str, call: Awaitable[R], limit_s: float, rows: str) -> R:
        name = what if isinstance(what, str) else f"collection {what.collection} in database {what.database}"
        try:
            with anyio.fail_after(limit_s):
                result = await call
        except TimeoutError as error:
            reason = f"Chroma did not answer within {limit_s:g} s ({name})"
            self._set_away(reason)
            if rows:
                self._suspect(reason)
            raise self._deadly(what, rows) or RetryableError(reason) from error
        except SyncdError as error:
            raise self._translated(what, name, error, rows) from error
        except (LookupError, AttributeError, ValidationError) as error:
            # Of an answer that lacks what Chroma's have; of wrong arguments chromadb raises a plain ValueError or TypeError.
            reason = no_chroma(f"{self.settings.host}:{self.settings.port}")
            self._set_away(reason)
            raise RetryableError(reason) from error
        except (ValueError, TypeError) as error:
            raise PermanentError(f"{name}: {error}") from error
        self._set_away(None)
        return result

    def _translated(self, what: Target | str, name: str, error: SyncdError, rows: str) -> SyncdError:
        """Return the error that the caller is to get in place of one of the transport."""
        match error:
            case DatabaseDamagedError():
                self._suspect(str(error))
                self._set_away(str(error))
                return RetryableError(str(error))
            case RetryableError():
                self._set_away(str(error))
                lost = self._deadly(what, rows) if isinstance(error, LostError) else None
                return lost or RetryableError(str(error), error.retry_after_s)
            case CorruptError():
                return CollectionCorrupt(f"{name} has damaged index files, and is rebuilt from the store ({error})")
            case NotFoundError():
                if isinstance(what, Target):
                    self._handles.pop(what, None)
                return NotFoundError(f"{name} does not exist ({error})")
            case _:
                return error

    def _deadly(self, what: Target | str, rows: str) -> CollectionCorrupt | None:
        """Return an error if Chroma died of calls like this one again and again, so that the collection is to blame."""
        if not rows or not isinstance(what, Target) or not self._deaths.died(what, rows):
            return None
        return CollectionCorrupt(
            f"Chroma dies of collection {what.collection} in database {what.database}, which is rebuilt from the store"
        )

    def _changed(self, reason: str | None) -> None:
        if reason is not None:
            log.warning("chroma.away", reason=reason)
        else:
            log.info("chroma.available")
            self._deaths.lives_again()
