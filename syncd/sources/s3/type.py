"""The source type `s3`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncd.model import SourceFacts
from syncd.sources.codec import SettingsCodec
from syncd.sources.factory import Machine
from syncd.sources.objects.transport import Transport
from syncd.sources.s3.command import add_arguments, settings
from syncd.sources.s3.naming import is_standard_key
from syncd.sources.s3.settings import S3_NAME, S3Section, S3Source, S3SourceSettings, S3Table
from syncd.sources.type import AddCommand, ObjectRules, SourceType

if TYPE_CHECKING:
    from syncd.sources.s3.factory import BucketFactory


def factory(machine: Machine) -> BucketFactory:
    """Return what opens S3 sources."""
    # The AWS libraries take a second to import.
    from syncd.sources.s3.factory import BucketFactory

    transport = Transport(spool_dir=machine.spool_folder)
    return BucketFactory(machine.store, transport, machine.section(S3Section), machine.wake)


S3 = SourceType(
    name=S3_NAME,
    codec=SettingsCodec(S3SourceSettings, nulls=frozenset({"path_prefix", "queue_url", "endpoint_url", "profile"})),
    shape=S3Source,
    is_published=True,
    table=S3Table,
    sections={"s3": S3Section},
    facts=SourceFacts(has_own_collection=True, backfills=True),
    objects=ObjectRules(
        bucket=lambda settings: settings.bucket_name,
        prefix=lambda settings: settings.path_prefix or "",
        is_reserved=is_standard_key,
    ),
    factory=factory,
    add_command=AddCommand("a bucket of S3", add_arguments, settings),
    migrations=__package__,
)
