"""A fresh bucket or container of each cloud, and sources over it."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from syncd.sources.azure_blob.container import Container
from syncd.sources.azure_blob.credentials import read_credential
from syncd.sources.azure_blob.errors import azure_error
from syncd.sources.gcs.bucket import GcsBucket
from syncd.sources.gcs.credentials import GoogleTokens
from syncd.sources.gcs.errors import gcs_error
from syncd.sources.gcs.keys import STORAGE_SCOPE, read_google_key
from syncd.sources.objects.http import Asking, HttpClient, HttpConnection
from syncd.sources.objects.listing import KeySelection, ObjectStore, ObjectStoreSource
from syncd.sources.objects.transport import Transport
from tests.azure_server import ACCOUNT, KEY, Azure
from tests.gcs_server import Gcs

FAST = Transport(stall_timeout_s=5.0, backoff_base_s=0.01, backoff_cap_s=0.05, call_timeout_s=10.0)


@dataclass
class Cloud:
    """A fresh bucket or container: what its owner does, and who reads it."""

    server: Any
    name: str
    client: HttpClient

    def source(self, url: str | None = None, **selection: Any) -> ObjectStoreSource:
        """Return a source over it; `url`: of a proxy before the server."""
        wanted = {"prefix": None, "include": None, "exclude": None, **selection}
        return ObjectStoreSource(self.store(url or self.server.url), KeySelection.of(**wanted))

    def store(self, url: str, signer: Any = None) -> ObjectStore:
        raise NotImplementedError

    async def put(self, key: str, body: bytes | str, **said: str) -> None:
        raise NotImplementedError

    async def delete(self, key: str) -> None:
        raise NotImplementedError

    async def put_all(self, *keys: str) -> None:
        for key in keys:
            await self.put(key, f"content of {key}")


class GcsCloud(Cloud):
    server: Gcs

    def store(self, url: str, signer: Any = None) -> ObjectStore:
        async def asking(scope: str) -> Asking:
            return read_google_key(self.server.key_file(), "key").asking(scope)

        signer = signer or GoogleTokens(self.client, asking, STORAGE_SCOPE, f"gs://{self.name}")
        return GcsBucket(self.name, url, HttpConnection(self.client, signer, gcs_error))

    async def put(self, key: str, body: bytes | str, **said: str) -> None:
        await self.server.put(self.name, key, body.encode() if isinstance(body, str) else body, **said)

    async def delete(self, key: str) -> None:
        await self.server.delete(self.name, key)


class AzureCloud(Cloud):
    server: Azure

    def store(self, url: str, signer: Any = None) -> ObjectStore:
        endpoint = f"{url}/{ACCOUNT}"
        signer = signer or read_credential(KEY, ACCOUNT, endpoint)
        return Container(ACCOUNT, self.name, endpoint, HttpConnection(self.client, signer, azure_error))

    async def put(self, key: str, body: bytes | str, **said: str) -> None:
        self.server.put(self.name, key, body.encode() if isinstance(body, str) else body, **said)

    async def delete(self, key: str) -> None:
        del self.server.containers[self.name][key]


@asynccontextmanager
async def fresh_cloud(server: Gcs | Azure, **transport: Any) -> AsyncIterator[Cloud]:
    """Yield a new bucket or container, and end its connections."""
    name, client = f"bucket-{uuid.uuid4()}", HttpClient(replace(FAST, **transport))
    server.page_size, server.holds_back = 1000, 0
    try:
        if isinstance(server, Gcs):
            await server.make_bucket(name)
            yield GcsCloud(server, name, client)
        else:
            server.containers[name] = {}
            yield AzureCloud(server, name, client)
    finally:
        await client.close()
