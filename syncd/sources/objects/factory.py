"""Opens sources of plain object stores, and keeps what they are read with."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

from anyio import to_thread
from typing_extensions import override

from syncd.errors import ConfigError, MisconfiguredError, NotFoundError, PermanentError
from syncd.json_types import JsonObject
from syncd.model import Invocation, SourceRecord
from syncd.quoting import told
from syncd.runtime.actor import Actor
from syncd.schema import Model
from syncd.sources.factory import Machine, Requester, SourceFactory
from syncd.sources.objects.endpoints import check_endpoint, check_secrecy
from syncd.sources.objects.event_queue import EventQueue, PollerSettings, QueueKind
from syncd.sources.objects.followed import FollowedSources
from syncd.sources.objects.follower import StoreFollower
from syncd.sources.objects.http import HttpClient, Signer
from syncd.sources.objects.keys import check_prefix
from syncd.sources.objects.listing import KeySelection, ObjectStore, ObjectStoreSource
from syncd.sources.objects.queues import Queues
from syncd.sources.objects.settings import SECRET_FILE_MAX_BYTES, ObjectStoreSection, ObjectStoreSettings
from syncd.sources.objects.transport import Transport

S = TypeVar("S", bound=ObjectStoreSettings)


@dataclass(frozen=True, slots=True)
class OpenStore(Generic[S]):
    """An open source with the settings and the secret it was opened with; if a record's differ, it is opened again."""

    settings: S
    secret: str | None
    source: ObjectStoreSource


class ObjectStoreFactory(SourceFactory[S]):
    """The open sources of one type. The type says how its store is asked, and by whom."""

    def __init__(self, machine: Machine, kind: str, section: ObjectStoreSection, queues: QueueKind) -> None:
        """`kind`: the type's name, under which the safe keeps its credentials; `queues`: where events arrive."""
        self.client = HttpClient(Transport(spool_dir=machine.spool_folder))
        self.followed = FollowedSources(kind, machine.store, self, queues, machine.wake)
        self._queues = Queues(f"{kind}_queues", self.followed, PollerSettings(visibility_s=section.visibility_s))
        self._credentials = machine.store.credentials
        self._kind = kind
        self._allowed = section.allowed_endpoints
        self._open: dict[str, OpenStore[S]] = {}

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        await self.client.close()

    @abstractmethod
    def endpoint(self, settings: S) -> str:
        """Return the base URL of the store."""

    @abstractmethod
    def check(self, settings: S) -> None:
        """Check the names. Raises PermanentError."""

    @abstractmethod
    def given_secret(self, given: Model) -> str | None:
        """Return the credential in a request to the API, if there is one."""

    @abstractmethod
    def stored_signer(self, settings: S, value: str) -> Signer:
        """Return who a credential of the safe is. Raises PermanentError if it is damaged, or may not be used there."""

    @abstractmethod
    def own_signer(self, settings: S, *, is_declared: bool) -> Signer:
        """Return who a source without one is: what the configuration names, or nobody. Raises PermanentError."""

    @abstractmethod
    def store(self, settings: S, signer: Signer) -> ObjectStore:
        """Return the store; never waits."""

    @abstractmethod
    def is_own_queue(self, settings: S, queue_url: str) -> bool:
        """Return whether a queue is at the cloud itself, where the source's credential is no secret."""

    @abstractmethod
    def queue(self, record: SourceRecord[S], queue_url: str, secret: str | None) -> EventQueue:
        """Return the queue, read as the source is or with the secret of the safe. Raises PermanentError."""

    async def open(self, record: SourceRecord[S]) -> ObjectStoreSource:
        """Return the source of a record. Raises ConfigError, PermanentError; MisconfiguredError if its credential is unavailable."""
        # What only says when and where to is another run's, and no reason to open it anew.
        given = replace(
            record.settings,
            watch=None,
            schedule=None,
            collection_name=None,
            converter=None,
            max_lag_s=None,
            secrets=None,
            queue_url=None,
        )
        secret, now = await self._secret(record), self._open.get(record.id)
        if now is None or (now.settings, now.secret) != (given, secret):
            selection = KeySelection.of(given.path_prefix, given.include_globs, given.exclude_globs)
            store = self.store(given, self.signer(record, secret))
            now = self._open[record.id] = OpenStore(given, secret, ObjectStoreSource(store, selection))
        return now.source

    @override
    def accept(self, settings: S, requester: Requester) -> S:
        """Check names, globs, and that untrusted callers name only the cloud or allowed endpoints. Raises PermanentError, ConfigError."""
        if settings.endpoint_url is not None:
            allowed = None if requester.is_trusted else self._allowed
            check_endpoint("endpoint_url", settings.endpoint_url, allowed, f"{self._kind}.allowed_endpoints")
        if settings.queue_url is not None:
            is_own = settings.endpoint_url is None and self.is_own_queue(settings, settings.queue_url)
            allowed = None if requester.is_trusted or is_own else self._allowed
            check_endpoint("queue_url", settings.queue_url, allowed, f"{self._kind}.allowed_endpoints")
        self.check(settings)
        check_prefix(settings.path_prefix or "")
        KeySelection.of(settings.path_prefix, settings.include_globs, settings.exclude_globs)
        return settings

    @override
    async def keep_secrets(self, given: Model, settings: S, requester: Requester) -> S:
        """Store an inline credential for the store's own endpoint, or check that the named one belongs to this database.

        Raises NotFoundError, PermanentError.
        """
        database = requester.database
        if value := self.given_secret(given):
            self.stored_signer(settings, value)
            # It is sent to no other endpoint, whoever names its number.
            secret = {"value": value, "endpoint": self.endpoint(settings)}
            return replace(settings, credential_id=await self._credentials.add(database, self._kind, secret))
        wanted = number = settings.credential_id
        if wanted is None:
            return settings
        if requester.is_unlimited:
            number = await self._credentials.shared(wanted, self._kind, database)
        if number is None or not await self._credentials.exists(number, database):
            raise NotFoundError(f"credential_id {wanted} does not exist in this database; give the credential inline")
        return replace(settings, credential_id=number)

    @override
    async def examine(self, record: SourceRecord[S]) -> None:
        """Check that there is something to read its queue with, too."""
        await super().examine(record)
        if record.settings.queue_url is not None:
            await self.way_to_read(record, record.settings.queue_url)

    @override
    async def settled(self, invocation: Invocation) -> None:
        """Wake the pollers that wait for this invocation. Twice is safe."""
        await self.followed.journal.over(invocation)

    @override
    def sources_changed(self) -> None:
        """Check at once whether the set of queues has changed. Never waits, twice is safe."""
        self._queues.sources_changed()

    @override
    def actors(self) -> Sequence[Actor]:
        """Return the actor that reads the queues."""
        return [self._queues]

    @override
    def problems(self) -> Mapping[str, str]:
        """Return, by source id, why a source's events cannot be received."""
        return self._queues.problems()

    @override
    def queues(self) -> Sequence[JsonObject]:
        """Return how each queue's poller is doing."""
        return self._queues.status()

    def queue_of(self, record: SourceRecord[S]) -> str | None:
        """Return where a source's events arrive, None if it is only listed."""
        return record.settings.queue_url

    async def follower(self, record: SourceRecord[S]) -> StoreFollower:
        """Return the source as far as events concern it. Raises ConfigError as PermanentError."""
        settings = record.settings
        try:
            selection = KeySelection.of(settings.path_prefix, settings.include_globs, settings.exclude_globs)
        except ConfigError as error:
            raise PermanentError(str(error)) from error
        collection = settings.default_collection or ""
        return StoreFollower(record.id, settings.place, selection, collection, self.followed.journal)

    async def way_to_read(self, record: SourceRecord[S], queue_url: str) -> tuple[Hashable, EventQueue]:
        """Return the queue as the source's own credential reaches it. Raises PermanentError."""
        check_secrecy(queue_url, "what the queue is read with")
        secret = await self._secret(record)
        key = (self.endpoint(record.settings), secret, record.settings.credential_place)
        return key, self.queue(record, queue_url, secret)

    def signer(self, record: SourceRecord[S], secret: str | None) -> Signer:
        """Return who the source is read by: with a secret of the safe, or as the configuration says. Raises PermanentError."""
        if secret is None:
            return self.own_signer(record.settings, is_declared=record.is_declared)
        return self.stored_signer(record.settings, secret)

    async def _secret(self, record: SourceRecord[S]) -> str | None:
        """Return what the safe holds for a source, None for one without. Raises MisconfiguredError."""
        settings = record.settings
        if settings.credential_id is None:
            return None
        try:
            secret = await self._credentials.get(settings.credential_id, record.database)
        except (NotFoundError, ConfigError) as error:
            raise MisconfiguredError(f"its credential cannot be used: {error}") from error
        if secret.get("endpoint") != self.endpoint(settings):
            raise MisconfiguredError(
                f"credential {settings.credential_id} is not for {self.endpoint(settings)}; give it inline"
            )
        return secret["value"]


async def secret_in(file: str) -> str:
    """Return what a credential's file holds, read each time: whoever renews it need not tell. Raises MisconfiguredError."""
    try:
        text = (await to_thread.run_sync(Path(file).read_bytes))[:SECRET_FILE_MAX_BYTES].decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise MisconfiguredError(
            f"credential_file {file!r} cannot be read ({told(error)}); correct the path, or let the daemon's user read it"
        ) from error
    if not text:
        raise MisconfiguredError(f"credential_file {file!r} is empty; write the credential into it")
    return text
