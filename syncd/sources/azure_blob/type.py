"""The source type `azure_blob`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from syncd.json_types import JsonObject
from syncd.model import SourceFacts
from syncd.sources.azure_blob.settings import AzureSection, AzureSource, AzureSourceSettings, AzureTable
from syncd.sources.codec import SettingsCodec
from syncd.sources.factory import Machine
from syncd.sources.objects.settings import add_store_arguments, store_settings
from syncd.sources.type import AddCommand, SourceType

if TYPE_CHECKING:
    from syncd.sources.azure_blob.factory import AzureFactory


def factory(machine: Machine) -> AzureFactory:
    """Return what opens Azure Blob sources."""
    from syncd.sources.azure_blob.factory import AzureFactory

    return AzureFactory(machine)


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `sources add azure_blob`."""
    parser.add_argument("account_name")
    parser.add_argument("container_name")
    add_store_arguments(parser)


def settings(args: Namespace) -> JsonObject:
    """Return the settings that the arguments describe, as the API takes them."""
    credential = args.credential_file.read_text().strip() if args.credential_file else None
    names = {"account_name": args.account_name, "container_name": args.container_name}
    return {**store_settings(args), **names, "credential": credential}


AZURE_BLOB = SourceType(
    name="azure_blob",
    codec=SettingsCodec(AzureSourceSettings),
    shape=AzureSource,
    table=AzureTable,
    sections={"azure_blob": AzureSection},
    facts=SourceFacts(backfills=True),
    factory=factory,
    add_command=AddCommand("a container of Azure Blob Storage", add_arguments, settings),
)
