"""The source type `gcs`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from syncd.json_types import JsonObject
from syncd.model import SourceFacts
from syncd.sources.codec import SettingsCodec
from syncd.sources.factory import Machine
from syncd.sources.gcs.settings import GcsSection, GcsSource, GcsSourceSettings, GcsTable
from syncd.sources.objects.settings import add_store_arguments, store_settings
from syncd.sources.type import AddCommand, SourceType

if TYPE_CHECKING:
    from syncd.sources.gcs.factory import GcsFactory


def factory(machine: Machine) -> GcsFactory:
    """Return what opens GCS sources."""
    from syncd.sources.gcs.factory import GcsFactory

    return GcsFactory(machine)


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `sources add gcs`."""
    parser.add_argument("bucket_name")
    add_store_arguments(parser)


def settings(args: Namespace) -> JsonObject:
    """Return the settings that the arguments describe, as the API takes them."""
    key = args.credential_file.read_text() if args.credential_file else None
    return {**store_settings(args), "bucket_name": args.bucket_name, "service_account_key": key}


GCS = SourceType(
    name="gcs",
    codec=SettingsCodec(GcsSourceSettings),
    shape=GcsSource,
    table=GcsTable,
    sections={"gcs": GcsSection},
    facts=SourceFacts(backfills=True),
    factory=factory,
    add_command=AddCommand("a bucket of Google Cloud Storage", add_arguments, settings),
)
