"""Settings of an Azure Blob source: as stored, in the API and in the configuration file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from syncd.schema import VariableName
from syncd.sources.azure_blob.naming import check_account, check_container, check_storage_queue
from syncd.sources.objects.settings import (
    ObjectStoreSection,
    ObjectStoreSettings,
    ObjectStoreShape,
    ObjectStoreTable,
)
from syncd.sources.table import checked_with


@dataclass(frozen=True, slots=True, kw_only=True)
class AzureSourceSettings(ObjectStoreSettings):
    """A container of Azure Blob Storage, or a part of it."""

    account_name: str
    container_name: str
    credential_env: str | None = None

    @property
    def place(self) -> str:
        """Return the account and the container."""
        return f"{self.account_name}/{self.container_name}"

    @property
    def credential_place(self) -> str:
        """The file or the variable."""
        return self.credential_file or self.credential_env or ""

    @property
    def without_credential(self) -> Self:
        """Return the settings apart from what the container is read with."""
        return replace(self, credential_id=None, credential_file=None, credential_env=None)


class AzureSource(ObjectStoreShape):
    """A container of Azure Blob Storage, read with a key or a token, or anonymously where it is public."""

    account_name: Annotated[str, Field(min_length=3, max_length=24)]
    container_name: Annotated[str, Field(min_length=3, max_length=63)]
    credential: Annotated[str, Field(min_length=1, max_length=20_000)] | None = None
    """An account key, a SAS token or a connection string, which will be stored encrypted."""


class AzureTable(ObjectStoreTable):
    """A container of Azure Blob Storage, read with the key, token or connection string in a file or variable, or else anonymously."""

    type: Literal["azure_blob"]
    account_name: Annotated[str, checked_with(check_account)]
    container_name: Annotated[str, checked_with(check_container)]
    queue_url: Annotated[str, checked_with(check_storage_queue)] | None = None
    credential_env: VariableName | None = None

    @model_validator(mode="after")
    def one_credential(self) -> Self:
        """Check that there is at most one place to find the credential."""
        if self.credential_file and self.credential_env:
            raise ValueError("give one of credential_file and credential_env")
        return self

    def own_settings(self) -> AzureSourceSettings:
        """Return the settings that only this type has."""
        return AzureSourceSettings(
            account_name=self.account_name,
            container_name=self.container_name,
            path_prefix=self.path_prefix,
            include_globs=self.include_globs,
            exclude_globs=self.exclude_globs,
            endpoint_url=self.endpoint_url,
            queue_url=self.queue_url,
            credential_file=self.file,
            credential_env=self.credential_env,
            schedule=self.schedule,
        )


class AzureSection(ObjectStoreSection):
    """Sources in Azure Blob Storage."""
