"""Buckets of three clouds that change as a seed says, and tell so in queues."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from typing_extensions import override

from tests.aws_servers import REGION
from tests.azure_queues import AzureQueues, encoded, grid_event
from tests.azure_server import ACCOUNT, KEY, Azure
from tests.gcs_server import Gcs
from tests.pubsub_server import PubSub, notification
from tests.soak.places import NARROW, Kept, Texts
from tests.sources.s3.buckets import Place

FOLDER = "docs/"
SELDOM_S = 86_400
"""How often a bucket is listed: what events tell does not wait for it."""
KEY_VARIABLE = "SOAK_AZURE_KEY"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "secret",
    KEY_VARIABLE: KEY,
}
"""Of a daemon that reads them."""


@dataclass
class Bucket(Kept):
    """A bucket of S3 or of what is like it, read through `store_url`, whose events are read at `queue_url`."""

    store_url: str = ""
    queue_url: str = ""

    @override
    def settings(self) -> str:
        return (
            f'type = "{self.kind}"\n{self.access()}\nqueue_url = "{self.queue_url}"\n'
            f'path_prefix = "{FOLDER}{NARROW if self.is_narrow else ""}"'
        )

    @abstractmethod
    def access(self) -> str:
        """Return the settings that say which bucket it is, and with what it is read."""

    @override
    async def put(self, changes: Mapping[str, str | None]) -> None:
        for name, text in changes.items():
            await self.change_object(f"{FOLDER}{name}.md", text)

    @abstractmethod
    async def change_object(self, key: str, text: str | None) -> None:
        """Write an object or delete it, and have it told."""


@dataclass
class S3Bucket(Bucket):
    place: Place | None = None
    kind = "s3"

    @override
    def access(self) -> str:
        assert self.place is not None
        return (
            f'bucket_name = "{self.place.bucket}"\nregion = "{REGION}"\nendpoint_url = "{self.store_url}"\n'
            'path_style = true\nauto_sync = "direct"'
        )

    @override
    async def everything(self) -> Texts:
        assert self.place is not None
        return {key: body.decode() for key, body in (await self.place.contents(FOLDER)).items()}

    @override
    async def change_object(self, key: str, text: str | None) -> None:
        assert self.place is not None
        await (self.place.delete(key) if text is None else self.place.put(key, text))


@dataclass
class GcsBucket(Bucket):
    server: Gcs | None = None
    pubsub: PubSub | None = None
    key_file: Path = Path()
    kind = "gcs"

    @override
    def access(self) -> str:
        return (
            f'bucket_name = "{self.story}"\nendpoint_url = "{self.store_url}"\n'
            f'credential_file = "{self.key_file}"\ninterval_s = {SELDOM_S}'
        )

    @override
    async def everything(self) -> Texts:
        assert self.server is not None
        return {key: body.decode() for key, body in (await self.server.contents(self.story, FOLDER)).items()}

    @override
    async def change_object(self, key: str, text: str | None) -> None:
        assert self.server is not None
        assert self.pubsub is not None
        if text is not None:
            await self.server.put(self.story, key, text.encode())
        elif key in await self.everything():
            await self.server.delete(self.story, key)
        told = notification(self.story, key, "OBJECT_DELETE" if text is None else "OBJECT_FINALIZE")
        self.pubsub.publish(self.story, told)


@dataclass
class AzureContainer(Bucket):
    server: Azure | None = None
    queues: AzureQueues | None = None
    kind = "azure_blob"

    @override
    def access(self) -> str:
        return (
            f'account_name = "{ACCOUNT}"\ncontainer_name = "{self.story}"\nendpoint_url = "{self.store_url}"\n'
            f'credential_env = "{KEY_VARIABLE}"\ninterval_s = {SELDOM_S}'
        )

    @override
    async def everything(self) -> Texts:
        assert self.server is not None
        return {key: blob.body.decode() for key, blob in list(self.server.containers[self.story].items())}

    @override
    async def change_object(self, key: str, text: str | None) -> None:
        assert self.server is not None
        assert self.queues is not None
        if text is None:
            self.server.containers[self.story].pop(key, None)
        else:
            self.server.put(self.story, key, text.encode())
        told = grid_event(self.story, key, "BlobDeleted" if text is None else "BlobCreated")
        self.queues.put(self.story, encoded(told))
