"""Connections to AWS: one client per endpoint and service, shared by all sources, replaced when credentials expire."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Generic, Literal, Protocol, TypeVar, cast

import anyio
from aiobotocore.config import AioConfig  # pyright: ignore[reportMissingTypeStubs] - it has none
from aiobotocore.session import AioSession  # pyright: ignore[reportMissingTypeStubs] - it has none
from botocore.loaders import create_loader  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType] - likewise
from botocore.utils import parse_timestamp  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType] - likewise

from syncd.errors import MisconfiguredError, PermanentError, RetryableError
from syncd.runtime.headers import plausible_date
from syncd.runtime.retry import Backoff, retrying
from syncd.sources.objects.transport import StaleCredentialsError, ThrottledError, Transport
from syncd.sources.s3.calls import AwsClient, S3Client, SqsClient, StsClient
from syncd.sources.s3.endpoint import Endpoint
from syncd.sources.s3.errors import AWS_ERRORS, translated

T = TypeVar("T")
C = TypeVar("C", bound=AwsClient)
_LOADER = create_loader()
"""Holds the parsed descriptions of the services, which cost a quarter of a second each."""

Service = Literal["s3", "sqs", "sts"]

READ_ANEW_S = 60.0
"""How often refused credentials are read again, because their file may have been corrected."""


class ParserDefaults(Protocol):
    """Botocore's maker of parsers, as far as it is told anything."""

    def set_parser_defaults(self, *, timestamp_parser: Callable[[str], datetime | None]) -> None:
        """Have answers' time stamps read by this function."""
        ...


class Connection(Generic[C]):
    """One service at one endpoint. `call` may be used by any number of tasks; `close` ends it for good."""

    def __init__(self, service: Service, endpoint: Endpoint, transport: Transport, read_timeout_s: float) -> None:
        self.transport = transport
        self.downloads = anyio.Semaphore(transport.downloads, fast_acquire=True)
        self.backoff = Backoff(transport.backoff_base_s, cap_s=transport.backoff_cap_s)
        self._service: Service = service
        self._endpoint = endpoint
        self._read_timeout_s = read_timeout_s
        self._opening = anyio.Lock()
        self._client: C | None = None
        self._retired: list[C] = []
        self._quiet_until = 0.0
        self._made_at = 0.0

    async def once(self, function: Callable[[C], Awaitable[T]], what: str) -> T:
        """Return `await function(client)`, its errors translated; one attempt, held back while the service is throttling.

        ClientErrors that `function` wants to see it must catch itself.
        """
        client = await self.ready(what)
        try:
            return await function(client)
        except AWS_ERRORS as error:
            raise self.blame(error, what, client) from error
        except (KeyError, ValueError, OverflowError) as error:
            # What botocore raises for malformed numbers and missing parts of a response.
            raise RetryableError(f"{what}: unexpected response ({type(error).__name__}); check endpoint_url") from error

    async def call(self, function: Callable[[C], Awaitable[T]], what: str) -> T:
        """Like `once`, with retries of retryable errors, within `call_timeout_s`. `function` must be safe to repeat."""
        settings = self.transport
        return await retrying(
            lambda: self.once(function, what),
            self.backoff,
            attempts=settings.attempts,
            deadline_s=settings.call_timeout_s,
        )

    def blame(self, error: Exception, what: str, client: C) -> Exception:
        """Return the translated error; also pause a throttled service, and have stale credentials read again."""
        ours = translated(error, what)
        if isinstance(ours, ThrottledError):
            # Every task on this connection waits, so that one throttled call does not become one per task.
            quiet_s = ours.retry_after_s or self.backoff.base_s
            self._quiet_until = max(self._quiet_until, anyio.current_time() + quiet_s)
        if self._client is client and self._may_read_credentials_anew(ours):
            self._retired.append(client)
            self._client = None
        return ours

    def _may_read_credentials_anew(self, error: Exception) -> bool:
        """Return whether a new client may succeed: credentials have expired, or may have been corrected by now."""
        is_old = anyio.current_time() - self._made_at >= READ_ANEW_S
        return isinstance(error, StaleCredentialsError) or (isinstance(error, MisconfiguredError) and is_old)

    async def ready(self, what: str) -> C:
        """Return the client, once the service is not throttling.

        Raises MisconfiguredError without credentials, or for an invalid endpoint.
        """
        if (wait_s := self._quiet_until - anyio.current_time()) > 0:
            await anyio.sleep(wait_s)
        async with self._opening:
            if self._client is None:
                # The client retired last may still be in use; earlier ones have long been unused.
                for client in self._retired[:-1]:
                    await client.__aexit__(None, None, None)
                self._retired = self._retired[-1:]
                try:
                    self._client = await self._make().__aenter__()
                except ValueError as error:
                    raise MisconfiguredError(f"{what}: {error}; check endpoint_url and region") from error
                except AWS_ERRORS as error:
                    raise translated(error, what) from error
                self._made_at = anyio.current_time()
            return self._client

    async def close(self) -> None:
        """Close all connections of this endpoint. Twice is safe."""
        clients, self._retired = [*self._retired, self._client], []
        self._client = None
        for client in clients:
            if client is not None:
                await client.__aexit__(None, None, None)

    def _make(self) -> AbstractAsyncContextManager[C]:
        endpoint, key = self._endpoint, self._endpoint.key
        # A session of its own: a session caches credentials, and a client made from it would get the stale ones again.
        session = AioSession(profile=endpoint.profile) if endpoint.profile and not key else AioSession()
        session.register_component("data_loader", _LOADER)  # pyright: ignore[reportUnknownMemberType]
        parsers = cast("ParserDefaults", session.get_component("response_parser_factory"))  # pyright: ignore[reportUnknownMemberType]
        parsers.set_parser_defaults(timestamp_parser=parsed_moment)
        client = session.create_client(  # pyright: ignore[reportUnknownMemberType]
            self._service,
            region_name=endpoint.region,
            endpoint_url=endpoint.url,
            aws_access_key_id=key.access_key_id if key else None,
            aws_secret_access_key=key.secret_access_key if key else None,
            aws_session_token=key.session_token if key else None,
            config=self._config(),
        )
        # Its calls are made at run time, from the service's description.
        return cast("AbstractAsyncContextManager[C]", client)

    def _config(self) -> AioConfig:
        return AioConfig(
            connect_timeout=self.transport.connect_timeout_s,
            read_timeout=self._read_timeout_s,
            max_pool_connections=self.transport.connections,
            # Retries are ours: botocore's would multiply them and know nothing of deadlines.
            retries={"total_max_attempts": 1, "mode": "standard"},
            s3={"addressing_style": "path" if self._endpoint.path_style else "auto"},
            # Checksums that only AWS understands break other services; lengths and ETags are checked here.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )


class UnusableConnection(Connection[S3Client]):
    """Stands in when there is no usable credential: every call raises `reason` without network access."""

    def __init__(self, reason: PermanentError, endpoint: Endpoint, transport: Transport) -> None:
        super().__init__("s3", endpoint, transport, transport.stall_timeout_s)
        self._reason = reason

    async def ready(self, what: str) -> S3Client:
        """Raise the reason; never waits."""
        raise self._reason


class Connections:
    """All connections of the daemon to AWS, by endpoint. Close it after everything that uses it."""

    def __init__(self, transport: Transport | None = None) -> None:
        self.transport = transport or Transport()
        self._s3: dict[tuple[Endpoint, str], Connection[S3Client]] = {}
        self._sqs: dict[tuple[Endpoint, str], Connection[SqsClient]] = {}
        self._sts: dict[tuple[Endpoint, str], Connection[StsClient]] = {}

    def s3(self, endpoint: Endpoint, bucket: str = "") -> Connection[S3Client]:
        """Return the connection to S3 that all users of a bucket share, so that none waits for another bucket; never waits."""
        return self._shared(self._s3, "s3", endpoint, self.transport.stall_timeout_s, bucket)

    def sqs(self, endpoint: Endpoint, wait_s: float = 20.0) -> Connection[SqsClient]:
        """Return the shared connection to SQS, patient enough for a long poll of `wait_s`; never waits."""
        return self._shared(self._sqs, "sqs", endpoint, wait_s + self.transport.connect_timeout_s)

    def sts(self, endpoint: Endpoint) -> Connection[StsClient]:
        """Return the shared connection to STS; never waits."""
        return self._shared(self._sts, "sts", endpoint, self.transport.stall_timeout_s)

    def _shared(
        self,
        known: dict[tuple[Endpoint, str], Connection[C]],
        service: Service,
        endpoint: Endpoint,
        read_timeout_s: float,
        bucket: str = "",
    ) -> Connection[C]:
        if (endpoint, bucket) not in known:
            known[endpoint, bucket] = Connection(service, endpoint, self.transport, read_timeout_s)
        return known[endpoint, bucket]

    async def close(self) -> None:
        """Close every connection. Twice is safe."""
        for known in (self._s3, self._sqs, self._sts):
            while known:
                await known.popitem()[1].close()


def parsed_moment(value: str) -> datetime | None:
    """Return a time stamp of an answer, or None where it is none that can be meant.

    Botocore's parser accepts more formats, but takes half of a listing's time.
    """
    try:
        return plausible_date(datetime.fromisoformat(value))
    except (TypeError, ValueError):
        pass
    try:
        return plausible_date(parse_timestamp(value))
    except (TypeError, ValueError, OverflowError, RuntimeError):
        return None
