"""The source type `web_scrape`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncd.model import SourceFacts
from syncd.sources.codec import SettingsCodec
from syncd.sources.factory import Machine
from syncd.sources.type import SourceType
from syncd.sources.web.settings import WebSection, WebSource, WebSourceSettings, WebTable

if TYPE_CHECKING:
    from syncd.sources.web.factory import SiteFactory


def factory(machine: Machine) -> SiteFactory:
    """Return what opens web sources."""
    from syncd.sources.web.factory import SiteFactory

    return SiteFactory(machine.section(WebSection), machine.store.database)


WEB = SourceType(
    name="web_scrape",
    codec=SettingsCodec(WebSourceSettings, nulls=frozenset({"page_limit", "max_depth"})),
    shape=WebSource,
    is_published=True,
    table=WebTable,
    sections={"web": WebSection},
    facts=SourceFacts(
        finishes_collection=True,
        no_dry_run="websites do not support dry runs; omit dry_run (unchanged pages cost nothing)",
    ),
    factory=factory,
    migrations=__package__,
)
