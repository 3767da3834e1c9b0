"""What only Azure has: names that XML cannot hold, folders that are no blobs, archives, tokens that do not suffice."""

from collections.abc import AsyncIterator

import pytest

from syncd.errors import MisconfiguredError, NotFoundError, NothingIndexedError
from syncd.sources.azure_blob.credentials import SasToken
from syncd.sources.objects.listing import KeySelection, ObjectStoreSource
from tests.azure_server import Azure
from tests.sources.objects.clouds import AzureCloud, Cloud, fresh_cloud
from tests.sources.running import SyncedCollection

ALL = KeySelection.of(None, None, None)


@pytest.fixture
async def cloud(azure_server: Azure) -> AsyncIterator[Cloud]:
    async with fresh_cloud(azure_server) as made:
        yield made


async def test_odd_names_are_read_and_what_is_no_file_fails_alone_or_is_none(cloud: AzureCloud):
    await cloud.put_all("plain.txt", "bell\x07%41.txt")
    cloud.server.put(cloud.name, "folder", b"", is_directory=True)
    cloud.server.put(cloud.name, "cold.txt", b"cold", is_archived=True)
    index = SyncedCollection()
    await index.sync(cloud.source())
    assert "is archived; rehydrate it first" in str(index.contents.pop("cold.txt"))
    assert index.contents == {"plain.txt": b"content of plain.txt", "bell\x07%41.txt": b"content of bell\x07%41.txt"}


async def test_a_token_reads_what_it_allows_and_says_what_it_lacks(cloud: AzureCloud):
    await cloud.put_all("a.txt")
    server, name = cloud.server, cloud.name

    async def synced(token: str) -> SyncedCollection:
        index = SyncedCollection()
        await index.sync(ObjectStoreSource(cloud.store(server.url, SasToken(token)), ALL))
        return index

    assert list((await synced(server.sas(name))).contents) == ["a.txt"]
    with pytest.raises(NothingIndexedError, match="access denied"):
        await synced(server.sas(name, "l"))
    for token, said in (
        (server.sas(name, "r"), r"AuthorizationPermissionMismatch.*sp=rl"),
        (server.sas(name, expires="2020-01-01T00:00:00Z"), "end of the SAS token's validity"),
        ("", r"anonymously.*give the source a credential"),
    ):
        with pytest.raises(MisconfiguredError, match=said) as refused:
            await synced(token)
        assert "sig" not in str(refused.value)
    server.public.add(name)
    assert list((await synced("")).contents) == ["a.txt"]
    cloud.name = "elsewhere"
    with pytest.raises(NotFoundError, match="may not be read without a credential"):
        await synced("")
