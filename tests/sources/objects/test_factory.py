"""Who may have which store read, and with what: what the API may not, the configuration's owner may."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from syncd.errors import ConfigError, MisconfiguredError, NotFoundError, PermanentError
from syncd.model import Chunking, Embedding, SourceRecord
from syncd.sources.azure_blob.factory import AzureFactory
from syncd.sources.azure_blob.settings import AzureSection, AzureSource, AzureSourceSettings
from syncd.sources.factory import Machine, Requester
from syncd.sources.gcs.factory import GcsFactory
from syncd.sources.gcs.settings import GcsSection, GcsSource, GcsSourceSettings
from syncd.sources.objects.settings import ObjectStoreSettings
from syncd.sources.registry import TYPES
from syncd.store import Store
from tests.azure_server import ACCOUNT, KEY, Azure
from tests.gcs_server import Gcs
from tests.sources.running import SyncedCollection


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(tmp_path, TYPES)
    yield opened
    await opened.close()


def gcs(store: Store, *allowed: str) -> GcsFactory:
    return GcsFactory(Machine(Path("/nowhere"), store, {GcsSection: GcsSection(allowed_endpoints=allowed)}))


def azure(store: Store, *allowed: str) -> AzureFactory:
    return AzureFactory(Machine(Path("/nowhere"), store, {AzureSection: AzureSection(allowed_endpoints=allowed)}))


def record(settings: ObjectStoreSettings, name: str | None = None) -> SourceRecord[Any]:
    return SourceRecord(
        "1", "t", "d", settings, Embedding(), Chunking(), datetime.now(UTC), name, is_declared=name is not None
    )


def bucket(**settings: Any) -> GcsSourceSettings:
    return GcsSourceSettings(bucket_name="acme-docs", **settings)


def container(**settings: Any) -> AzureSourceSettings:
    return AzureSourceSettings(account_name=ACCOUNT, container_name="docs", **settings)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (bucket(endpoint_url="http://169.254.169.254"), "not allowed; name its host under gcs.allowed_endpoints"),
        (bucket(endpoint_url="ftp://x"), "must be an http or https URL"),
        (bucket(endpoint_url="http://[::1"), "must be an http or https URL"),
        (bucket(path_prefix="/docs/"), "no slash in front"),
        (bucket(include_globs=("[z-a]",)), "is not a gitignore pattern"),
        (GcsSourceSettings(bucket_name="gs://b"), "without gs://"),
        (container(endpoint_url="https://evil.example.org/devacct"), "azure_blob.allowed_endpoints"),
        (AzureSourceSettings(account_name="a/../b", container_name="docs"), "account_name 'a/../b': 3-24"),
        (AzureSourceSettings(account_name="abc", container_name="a--b"), "single dashes"),
        (bucket(queue_url="https://evil.example.org/v1/projects/p/subscriptions/syncd"), "gcs.allowed_endpoints"),
        (bucket(queue_url="https://pubsub.googleapis.com.evil.org/v1/projects/p/subscriptions/syncd"), "not allowed"),
        (bucket(queue_url="https://pubsub.googleapis.com/v1/projects/p/topics/syncd"), "no URL of a subscription"),
        (container(queue_url="https://other.queue.core.windows.net/syncd"), "azure_blob.allowed_endpoints"),
        (container(queue_url=f"https://{ACCOUNT}.queue.core.windows.net/Syncd"), "no URL of a queue"),
    ],
)
async def test_the_network_may_name_the_clouds_and_allowed_hosts_only(
    store: Store, settings: ObjectStoreSettings, said: str
):
    factory: Any = gcs(store) if isinstance(settings, GcsSourceSettings) else azure(store)
    with pytest.raises((PermanentError, ConfigError), match=said):
        factory.accept(settings, Requester("d"))


async def test_what_the_configuration_allows_is_taken_and_the_machines_own_user_may_name_anything(store: Store):
    wanted = bucket(endpoint_url="https://emulator.example.org/")
    assert gcs(store, "https://emulator.example.org").accept(wanted, Requester("d")) == wanted
    assert gcs(store).accept(wanted, Requester("d", is_trusted=True)) == wanted


@pytest.mark.parametrize(
    "queue_url",
    [
        "https://pubsub.googleapis.com/v1/projects/example.com:p/subscriptions/syncd",
        "https://europe-west1-pubsub.googleapis.com/v1/projects/p/subscriptions/syncd",
        f"https://{ACCOUNT}.queue.core.windows.net/syncd-docs",
    ],
)
async def test_the_clouds_own_queues_are_taken_from_anybody(store: Store, queue_url: str):
    wanted, factory = (container, azure) if ACCOUNT in queue_url else (bucket, gcs)
    assert factory(store).accept(wanted(queue_url=queue_url), Requester("d")).queue_url == queue_url
    # The credential then is for that endpoint, and none of the cloud's business.
    emulated = wanted(queue_url=queue_url, endpoint_url="https://emulator.example.org")
    with pytest.raises(PermanentError, match="not allowed"):
        factory(store, "https://emulator.example.org").accept(emulated, Requester("d"))


async def test_a_queue_is_read_with_a_credential_that_is_sent_in_secret(store: Store, tmp_path: Path):
    at_google = "pubsub.googleapis.com/v1/projects/p/subscriptions/syncd"
    at_azure = f"{ACCOUNT}.queue.core.windows.net/syncd"
    for nobodys in (
        gcs(store).way_to_read(record(bucket()), f"https://{at_google}"),
        gcs(store).way_to_read(record(bucket(anonymous=True), "declared"), f"https://{at_google}"),
        azure(store).way_to_read(record(container(), "declared"), f"https://{at_azure}"),
    ):
        with pytest.raises(MisconfiguredError, match="queue_url needs a credential"):
            await nobodys
    (tmp_path / "key").write_text(KEY)
    declared = record(container(credential_file=str(tmp_path / "key"), queue_url=f"http://{at_azure}"), "declared")
    with pytest.raises(MisconfiguredError, match="unencrypted; use https"):
        await azure(store).examine(declared)


async def test_events_of_a_source_need_a_collection():
    with pytest.raises(ValueError, match="queue_url needs a schedule"):
        AzureSource(account_name=ACCOUNT, container_name="docs", queue_url="https://q.example.org/syncd")


async def test_a_key_is_kept_encrypted_for_its_own_endpoint_and_read_with(
    store: Store, gcs_server: Gcs, tmp_path: Path
):
    await gcs_server.make_bucket("kept-encrypted")
    await gcs_server.put("kept-encrypted", "a.txt", b"text")
    factory = gcs(store, gcs_server.url)
    settings = replace(bucket(endpoint_url=gcs_server.url), bucket_name="kept-encrypted")
    given = GcsSource(bucket_name="kept-encrypted", service_account_key=gcs_server.key_file())
    kept = await factory.keep_secrets(given, settings, Requester("d"))
    assert kept == replace(settings, credential_id=kept.credential_id)
    index = SyncedCollection()
    source = await factory.open(record(kept))
    await index.sync(source)
    assert index.contents == {"a.txt": b"text"}
    assert await factory.open(record(replace(kept, schedule=None))) is source
    with pytest.raises(MisconfiguredError, match=r"is not for https://storage.googleapis.com; give it inline"):
        await factory.open(record(replace(kept, endpoint_url=None)))
    with pytest.raises(NotFoundError, match="does not exist in this database"):
        await factory.keep_secrets(GcsSource(bucket_name="bbb"), kept, Requester("other"))
    (safe,) = [it for it in await store.credentials.list(None) if it.database == "d"]
    await store.credentials.rotate(safe, {"value": f"{gcs_server.key_file()} "})
    assert await factory.open(record(kept)) is not source
    shared = await factory.keep_secrets(GcsSource(bucket_name="bbb"), kept, Requester("other", is_unlimited=True))
    assert shared.credential_id != kept.credential_id
    stored = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert b"PRIVATE KEY" not in stored
    await factory.__aexit__()


async def test_a_key_of_the_api_cannot_have_its_token_asked_for_elsewhere(store: Store, gcs_server: Gcs):
    given = GcsSource(bucket_name="bbb", service_account_key=gcs_server.key_file())
    with pytest.raises(PermanentError, match="name its host under gcs"):
        await gcs(store).keep_secrets(given, bucket(), Requester("d", is_unlimited=True))
    login = {"type": "authorized_user", "client_id": "i", "client_secret": "s", "refresh_token": "r"}
    given = GcsSource(bucket_name="bbb", service_account_key=json.dumps(login))
    with pytest.raises(PermanentError, match="somebody's own login"):
        await gcs(store).keep_secrets(given, bucket(), Requester("d", is_unlimited=True))


async def test_an_azure_credential_is_kept_and_read_with_and_a_damaged_one_refused(store: Store, azure_server: Azure):
    azure_server.containers["docs"] = {}
    azure_server.put("docs", "a.txt", b"text")
    factory, settings = azure(store), container(endpoint_url=azure_server.endpoint)
    for credential in (KEY, azure_server.sas("docs")):
        given = AzureSource(account_name=ACCOUNT, container_name="docs", credential=credential)
        kept = await factory.keep_secrets(given, settings, Requester("d"))
        index = SyncedCollection()
        await index.sync(await factory.open(record(kept)))
        assert index.contents == {"a.txt": b"text"}
    given = AzureSource(account_name=ACCOUNT, container_name="docs", credential="nonsense!")
    with pytest.raises(MisconfiguredError, match="neither an account key"):
        await factory.keep_secrets(given, settings, Requester("d"))
    await factory.__aexit__()


async def test_a_source_of_the_api_never_reads_with_what_the_machine_has(
    store: Store, gcs_server: Gcs, azure_server: Azure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    file = tmp_path / "key.json"
    file.write_text(gcs_server.key_file())
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    await gcs_server.make_bucket("acme-docs")
    own, azures = gcs(store), azure(store)
    settings = bucket(endpoint_url=gcs_server.url)
    await SyncedCollection().sync(await own.open(replace(record(settings, "declared"), id="2")))
    with pytest.raises(MisconfiguredError, match="Anonymous caller"):
        await SyncedCollection().sync(await own.open(record(settings)))
    azure_server.containers["docs"] = {}
    token = tmp_path / "token"
    token.write_text(azure_server.sas("docs"))
    settings = container(endpoint_url=azure_server.endpoint, credential_file=str(token))
    await SyncedCollection().sync(await azures.open(replace(record(settings, "declared"), id="2")))
    with pytest.raises(MisconfiguredError, match="anonymously"):
        await SyncedCollection().sync(await azures.open(record(settings)))
    await own.__aexit__()
    await azures.__aexit__()
