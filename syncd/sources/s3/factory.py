"""Opens S3 sources, and says in which queue their events arrive and which keys may read it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace

from syncd.chroma.naming import check_collection
from syncd.errors import BugError, ConfigError, MisconfiguredError, NotFoundError
from syncd.json_types import JsonObject
from syncd.model import Invocation, SourceRecord
from syncd.runtime.actor import Actor
from syncd.runtime.containment import contained
from syncd.runtime.keylocks import KeyLocks
from syncd.schema import Model
from syncd.sources.factory import Requester, SourceFactory
from syncd.sources.objects.endpoints import check_endpoint
from syncd.sources.objects.event_queue import PollerSettings
from syncd.sources.objects.followed import FollowedSources
from syncd.sources.objects.keys import check_prefix
from syncd.sources.objects.queues import Queues
from syncd.sources.objects.transport import Transport
from syncd.sources.s3.client import Connections
from syncd.sources.s3.endpoint import AwsKey, is_aws_queue, queue_endpoint
from syncd.sources.s3.label_store import Labels
from syncd.sources.s3.naming import check_bucket
from syncd.sources.s3.settings import (
    S3_NAME,
    AutoSync,
    S3Section,
    S3Settings,
    S3SourceSettings,
    settings_from,
)
from syncd.sources.s3.source import BucketSource, S3Sources
from syncd.sources.s3.sqs import SQS, SqsQueue
from syncd.store import Store

CREDENTIAL_KIND = "aws"


class BucketFactory(SourceFactory[S3SourceSettings]):
    """The S3 sources of the daemon. `wake` notifies the Syncer of new invocations."""

    def __init__(self, store: Store, transport: Transport, section: S3Section, wake: Callable[[], None]) -> None:
        self.section = section
        self._store = store
        self.connections = Connections(transport)
        self.followed = FollowedSources(S3_NAME, store, self, SQS, wake)
        self._labels = Labels(store.database)
        self._sources = S3Sources(self.connections, self._labels, self.followed.journal, KeyLocks())
        self._queues = Queues("queues", self.followed, PollerSettings(visibility_s=section.visibility_s))

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

    async def keeps(self, record: SourceRecord[S3SourceSettings], collection: str) -> bool:
        """Return whether it is the source's own collection or one that labels name: a run over the bucket goes into all of them."""
        is_kept = record.settings.kept_collection is not None
        return record.keeps(collection) or (is_kept and collection in await self._labels.collections(record.id))

    async def settled(self, invocation: Invocation) -> None:
        """Wake the pollers that wait for this invocation. Twice is safe."""
        await self.followed.journal.over(invocation)

    def sources_changed(self) -> None:
        """Check at once whether the set of queues has changed. Never waits, twice is safe."""
        self._queues.sources_changed()

    def actors(self) -> Sequence[Actor]:
        """Return the actor that reads the queues."""
        return [self._queues]

    def problems(self) -> Mapping[str, str]:
        """Return, by source id, why a source's events cannot be received."""
        return self._queues.problems()

    def queues(self) -> Sequence[JsonObject]:
        """Return how each queue's poller is doing."""
        return self._queues.status()

    def queue_of(self, record: SourceRecord[S3SourceSettings]) -> str | None:
        """Return where a source's events arrive: its own queue or the common one; None if it ignores them."""
        settings = settings_from(record.settings, None, self.section.queue_url)
        return settings.queue_url if settings.auto_sync is not AutoSync.NONE else None

    async def follower(self, record: SourceRecord[S3SourceSettings]) -> BucketSource:
        """Return the source; without a usable credential, one that requests checks as others do. Raises PermanentError."""
        try:
            with contained("source", source=record.id):
                return await self.open(record)
        except (MisconfiguredError, BugError) as error:
            reason = MisconfiguredError(str(error))
            return self._sources.unusable(
                record.id, settings_from(record.settings, None, self.section.queue_url), reason
            )

    async def way_to_read(self, record: SourceRecord[S3SourceSettings], queue_url: str) -> tuple[Hashable, SqsQueue]:
        """Return the queue at its own host. Raises PermanentError."""
        endpoint = queue_endpoint(queue_url, (await self.open(record)).settings.endpoint)
        return endpoint, SqsQueue(queue_url, self.connections.sqs(endpoint))


def check_urls(settings: S3SourceSettings, allowed: Sequence[str] | None) -> None:
    """Raise PermanentError for a URL that is invalid, or neither AWS's nor among `allowed`; None allows every URL."""
    queue_hosts = None if settings.queue_url and is_aws_queue(settings.queue_url) else allowed
    for name, url, hosts in (
        ("endpoint_url", settings.endpoint_url, allowed),
        ("queue_url", settings.queue_url, queue_hosts),
    ):
        if url is not None:
            check_endpoint(name, url, hosts, "s3.allowed_endpoints")
