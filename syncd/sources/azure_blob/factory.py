"""Opens sources in Azure Blob Storage."""

from __future__ import annotations

from typing_extensions import override
from yarl import URL

from syncd.model import SourceRecord
from syncd.schema import Model
from syncd.sources.azure_blob.container import Container
from syncd.sources.azure_blob.credentials import FoundSigner, SasToken, read_credential
from syncd.sources.azure_blob.errors import azure_error
from syncd.sources.azure_blob.naming import check_account, check_container
from syncd.sources.azure_blob.settings import AzureSection, AzureSource, AzureSourceSettings
from syncd.sources.factory import Machine
from syncd.sources.objects.factory import ObjectStoreFactory
from syncd.sources.objects.http import Asking, HttpConnection, Signer

NOBODY = SasToken("")


class AzureFactory(ObjectStoreFactory[AzureSourceSettings]):
    """The open Azure Blob sources."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine, "azure_blob", machine.section(AzureSection))

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
