"""Opens sources in Azure Blob Storage."""

from __future__ import annotations

from typing_extensions import override
from yarl import URL

from syncd.errors import MisconfiguredError
from syncd.model import SourceRecord
from syncd.schema import Model
from syncd.sources.azure_blob.container import Container
from syncd.sources.azure_blob.credentials import FoundSigner, SasToken, read_credential
from syncd.sources.azure_blob.errors import azure_error
from syncd.sources.azure_blob.naming import check_account, check_container, check_storage_queue
from syncd.sources.azure_blob.queue import STORAGE_QUEUES, StorageQueue, storage_queue_error
from syncd.sources.azure_blob.settings import AzureSection, AzureSource, AzureSourceSettings
from syncd.sources.factory import Machine
from syncd.sources.objects.factory import ObjectStoreFactory
from syncd.sources.objects.http import Asking, HttpConnection, Signer

NOBODY = SasToken("")


class AzureFactory(ObjectStoreFactory[AzureSourceSettings]):
    """The open Azure Blob sources."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine, "azure_blob", machine.section(AzureSection), STORAGE_QUEUES)

    def endpoint(self, settings: AzureSourceSettings) -> str:
        """Return the account's own host, or what is named in its place."""
        return (settings.endpoint_url or f"https://{settings.account_name}.blob.core.windows.net").rstrip("/")

    @override
    async def examine(self, record: SourceRecord[AzureSourceSettings]) -> None:
        """Read the credential, too, and sign with it."""
        await super().examine(record)
        signer = self.own_signer(record.settings, is_declared=True)
        await signer.signed(Asking(URL(self.endpoint(record.settings))))

    def check(self, settings: AzureSourceSettings) -> None:
        """Check the names. Raises PermanentError."""
        check_account(settings.account_name)
        check_container(settings.container_name)
        if settings.queue_url is not None:
            check_storage_queue(settings.queue_url)

    def given_secret(self, given: Model) -> str | None:
        """Return the credential in a request to the API, if there is one."""
        return given.credential if isinstance(given, AzureSource) else None

    def stored_signer(self, settings: AzureSourceSettings, value: str) -> Signer:
        """Return who a credential of the safe is. Raises MisconfiguredError."""
        return read_credential(value, settings.account_name, self.endpoint(settings))

    def own_signer(self, settings: AzureSourceSettings, *, is_declared: bool) -> Signer:
        """Return who the file or variable says that the configuration names, or nobody."""
        file, variable = settings.credential_file, settings.credential_env
        if not is_declared or not (file or variable):
            return NOBODY
        return FoundSigner(settings.account_name, self.endpoint(settings), file, variable)

    def store(self, settings: AzureSourceSettings, signer: Signer) -> Container:
        """Return the container; never waits."""
        connection = HttpConnection(self.client, signer, azure_error)
        return Container(settings.account_name, settings.container_name, self.endpoint(settings), connection)

    def is_own_queue(self, settings: AzureSourceSettings, queue_url: str) -> bool:
        """Return whether a queue is the account's own."""
        return queue_url.startswith(f"https://{settings.account_name}.queue.core.windows.net/")

    def queue(self, record: SourceRecord[AzureSourceSettings], queue_url: str, secret: str | None) -> StorageQueue:
        """Return the queue, read with the container's credential. Raises PermanentError."""
        signer = self.signer(record, secret)
        if signer is NOBODY:
            raise MisconfiguredError("queue_url needs a credential: nobody may read a queue anonymously")
        return StorageQueue(queue_url, HttpConnection(self.client, signer, storage_queue_error))
