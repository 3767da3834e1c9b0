"""Opens S3 sources, and decides which sources' events arrive in which queue and which keys may read it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeGuard

import structlog

from syncd.chroma.naming import check_collection
from syncd.errors import BugError, ConfigError, MisconfiguredError, NotFoundError, PermanentError, SyncdError
from syncd.json_types import JsonObject
from syncd.model import Invocation, SourceRecord, UnreadableSettings
from syncd.runtime.actor import Actor
from syncd.runtime.containment import contained
from syncd.runtime.keylocks import KeyLocks
from syncd.schema import Model
from syncd.sources.factory import Requester, SourceFactory
from syncd.sources.objects.endpoints import check_endpoint
from syncd.sources.objects.keys import check_prefix
from syncd.sources.objects.transport import Transport
from syncd.sources.s3.access import QueueReader
from syncd.sources.s3.client import Connections
from syncd.sources.s3.endpoint import AwsKey, Endpoint, is_aws_queue, queue_endpoint
from syncd.sources.s3.event_store import CheckQueue, DeadLetters
from syncd.sources.s3.journal import Journal
from syncd.sources.s3.label_store import Labels
from syncd.sources.s3.naming import check_bucket
from syncd.sources.s3.queues import Queues
from syncd.sources.s3.settings import (
    S3_NAME,
    AutoSync,
    S3Section,
    S3Settings,
    S3SourceSettings,
    settings_from,
)
from syncd.sources.s3.source import BucketSource, S3Sources
from syncd.store import Store

log = structlog.get_logger()

CREDENTIAL_KIND = "aws"

BucketRecord = SourceRecord[S3SourceSettings]


class BucketFactory(SourceFactory[S3SourceSettings]):
    """The S3 sources of the daemon. `wake` notifies the Syncer of new invocations."""

    def __init__(self, store: Store, transport: Transport, section: S3Section, wake: Callable[[], None]) -> None:
        self.section = section
        self._store = store
        self.connections = Connections(transport)
        self.unopened: dict[str, str] = {}
        """Sources that follow events and could not be opened at the last attempt: reason by id."""
        self.journal = Journal(CheckQueue(store.database), wake)
        self.dead_letters = DeadLetters(store.database)
        self._sources = S3Sources(self.connections, Labels(store.database), self.journal, KeyLocks())
        self._queues = Queues(self)

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        await self.connections.close()

    async def open(self, record: SourceRecord[S3SourceSettings]) -> BucketSource:
        """Return the source of a record.

        Raises MisconfiguredError if its credential is unavailable, PermanentError if its settings are invalid.
        """
        return self._sources.open(record.id, await self.settings(record))

    async def settings(self, record: SourceRecord[S3SourceSettings]) -> S3Settings:
        """Return a record's settings with its key, if any, decrypted. Raises MisconfiguredError."""
        number = record.settings.aws_credential_id
        if number is None:
            return settings_from(record.settings, None, self.section.queue_url)
        try:
            secret = await self._store.credentials.get(number, record.database)
        except (NotFoundError, ConfigError) as error:
            raise MisconfiguredError(f"its credential cannot be used: {error}") from error
        key = AwsKey(secret["aws_access_key_id"], secret["aws_secret_access_key"])
        return settings_from(record.settings, key, self.section.queue_url)

    def accept(self, settings: S3SourceSettings, requester: Requester) -> S3SourceSettings:
        """Check names, and that untrusted callers name only AWS or allowed endpoints. Raises PermanentError."""
        check_collection(settings.collection_name or "")
        check_urls(settings, None if requester.is_trusted else self.section.allowed_endpoints)
        check_bucket(settings.bucket_name)
        check_prefix(settings.path_prefix or "")
        return settings

    async def keep_secrets(self, given: Model, settings: S3SourceSettings, requester: Requester) -> S3SourceSettings:
        """Store an inline key, or check that the named credential belongs to this database. Raises NotFoundError.

        For an unlimited caller, that of another database is put into this one too.
        """
        credentials, database = self._store.credentials, requester.database
        if (number := settings.aws_credential_id) is not None:
            if (
                requester.is_unlimited
                and (shared := await credentials.shared(number, CREDENTIAL_KIND, database)) is not None
            ):
                return replace(settings, aws_credential_id=shared)
            if not await credentials.exists(number, database):
                raise NotFoundError(f"aws_credential_id {number} does not exist in this database; give the keys inline")
            return settings
        secret = given.model_dump(include={"aws_access_key_id", "aws_secret_access_key"})
        return replace(settings, aws_credential_id=await credentials.add(database, CREDENTIAL_KIND, secret))

    async def settled(self, invocation: Invocation) -> None:
        """Wake the pollers that wait for this invocation. Twice is safe."""
        await self.journal.over(invocation)

    def sources_changed(self) -> None:
        """Check at once whether the set of queues has changed. Never waits, twice is safe."""
        self._queues.sources_changed()

    def actors(self) -> Sequence[Actor]:
        """Return the actor that reads the queues."""
        return [self._queues]

    def problems(self) -> Mapping[str, str]:
        """Return, by source id, why a source's events cannot be received."""
        return self._queues.problems()

    def status(self) -> JsonObject:
        """Return how each queue's poller is doing."""
        return {"queues": self._queues.status()}

    async def of_queue(self, queue_url: str) -> Sequence[BucketSource]:
        """Return all sources whose events arrive in a queue.

        Sources without a usable credential are included: their events are journalled like all others, and the runs
        that they lead to wait until the source can be opened.
        """
        sources: list[BucketSource] = []
        for record in (await self.following()).get(queue_url, ()):
            try:
                sources.append(await self._follower(record))
            except PermanentError as error:
                self._blame(record, error)
        return sources

    async def _follower(self, record: BucketRecord) -> BucketSource:
        try:
            with contained("source", source=record.id):
                return await self.open(record)
        except (MisconfiguredError, BugError) as error:
            reason = MisconfiguredError(str(error))
            return self._sources.unusable(
                record.id, settings_from(record.settings, None, self.section.queue_url), reason
            )

    def _blame(self, record: SourceRecord, error: SyncdError) -> None:
        reason = f"it cannot be opened: {error}"
        if self.unopened.get(record.id) != reason:
            log.warning("source.refused", source=called(record), reason=str(error))
        self.unopened[record.id] = reason

    async def following(self) -> Mapping[str, Sequence[BucketRecord]]:
        """Return the sources that follow events, by queue, the oldest first."""
        found: dict[str, list[BucketRecord]] = {}
        for record in await self._store.sources.list(type=S3_NAME, limit=-1, newest_first=False):
            if isinstance(record.settings, UnreadableSettings):
                self._blame(record, PermanentError(record.settings.reason))
                continue
            if not is_bucket(record):
                continue
            settings = settings_from(record.settings, None, self.section.queue_url)
            if settings.auto_sync is not AutoSync.NONE and settings.queue_url:
                found.setdefault(settings.queue_url, []).append(record)
        return found

    async def readers(self) -> Mapping[str, Sequence[QueueReader]]:
        """Return the keys that each queue may be read with, the oldest source's first; sources may share one.

        The queue's URL alone decides where it is reached. So a source that names an existing queue cannot change how it is
        read, and no key is sent anywhere but where its own source says.
        """
        found: dict[str, list[QueueReader]] = {}
        unopened, self.unopened = self.unopened, {}
        for queue_url, records in (await self.following()).items():
            sources: dict[Endpoint, dict[str, str]] = {}
            for record in records:
                try:
                    with contained("source", source=record.id):
                        endpoint = queue_endpoint(queue_url, (await self.open(record)).settings.endpoint)
                except (PermanentError, BugError) as error:
                    self.unopened |= {record.id: unopened[record.id]} if record.id in unopened else {}
                    self._blame(record, error)
                else:
                    sources.setdefault(endpoint, {})[record.id] = called(record)
            if sources:
                found[queue_url] = [QueueReader(endpoint, owners) for endpoint, owners in sources.items()]
        return found


def check_urls(settings: S3SourceSettings, allowed: Sequence[str] | None) -> None:
    """Raise PermanentError for a URL that is invalid, or neither AWS's nor among `allowed`; None allows every URL."""
    queue_hosts = None if settings.queue_url and is_aws_queue(settings.queue_url) else allowed
    for name, url, hosts in (
        ("endpoint_url", settings.endpoint_url, allowed),
        ("queue_url", settings.queue_url, queue_hosts),
    ):
        if url is not None:
            check_endpoint(name, url, hosts, "s3.allowed_endpoints")


def is_bucket(record: SourceRecord) -> TypeGuard[BucketRecord]:
    """Tell whether a record is of this type, and its settings could be read."""
    return isinstance(record.settings, S3SourceSettings)


def called(record: SourceRecord) -> str:
    """Return a source's name for messages."""
    return record.name or record.id
