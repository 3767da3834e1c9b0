"""A source type that the program does not know: two poems of an author. Run as a program, it is syncd with this type."""

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

import anyio

from syncd.cli import main
from syncd.errors import PermanentError
from syncd.model import (
    Checkpoint,
    Document,
    Request,
    Run,
    SourceFacts,
    SourceRecord,
    SourceSettings,
    SourceWatch,
    WholeSource,
    chunk_prefix,
)
from syncd.schema import Model, Table
from syncd.sources import shapes
from syncd.sources.bodies import BytesBody
from syncd.sources.codec import SettingsCodec
from syncd.sources.factory import Machine, Requester, SourceFactory
from syncd.sources.registry import TYPES
from syncd.sources.table import SourceTable
from syncd.sources.type import AddCommand, SourceType, SourceTypes


@dataclass(frozen=True, slots=True, kw_only=True)
class PoemSettings(SourceSettings):
    author: str

    @property
    def place(self) -> str:
        return self.author


class Poems(Model):
    author: str
    watch: shapes.Watch | None = None


class PoemTable(SourceTable):
    type: Literal["poems"]
    author: str

    def own_settings(self) -> PoemSettings:
        return PoemSettings(author=self.author, watch=SourceWatch(target_collection_name=self.collection))


class PoemSection(Table):
    banned: tuple[str, ...] = ()


@dataclass(frozen=True)
class PoemSource:
    author: str

    async def changes(self, run: Run) -> AsyncIterator[Document | Checkpoint]:
        for title in ("Dawn", "Dusk"):
            text = f"# {title}\n\n{self.author} saw the {title.lower()} over the harbour.\n".encode()
            key = f"{self.author}/{title}"
            version = sha256(text).hexdigest()
            yield Document(key, version, BytesBody(text), chunk_prefix(key), name=f"{title}.md", display_name=key)
        yield Checkpoint("all", absent_are_gone=True)


@dataclass(frozen=True)
class PoemFactory(SourceFactory[PoemSettings]):
    section: PoemSection

    async def open(self, record: SourceRecord[PoemSettings]) -> PoemSource:
        return PoemSource(record.settings.author)

    def accept(self, settings: PoemSettings, requester: Requester) -> PoemSettings:
        if settings.author in self.section.banned:
            raise PermanentError(f"{settings.author} is banned")
        return settings

    async def watch(self, record: SourceRecord[PoemSettings], report: object = None) -> AsyncGenerator[Request]:
        yield WholeSource()
        await anyio.sleep_forever()


def factory(machine: Machine) -> PoemFactory:
    return PoemFactory(machine.section(PoemSection))


POEMS = SourceType(
    name="poems",
    codec=SettingsCodec(PoemSettings),
    shape=Poems,
    factory=factory,
    facts=SourceFacts(no_dry_run="poems cannot be foreseen"),
    table=PoemTable,
    sections={"poetry": PoemSection},
    add_command=AddCommand("two poems", lambda parser: parser.add_argument("author"), lambda a: {"author": a.author}),
)
KNOWN = SourceTypes(*TYPES, POEMS)

if __name__ == "__main__":
    main(types=KNOWN)
