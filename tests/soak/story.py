"""One seeded story: six sources change, their declarations too, and whatever the daemon depends on is away now and then.

When the last trouble is over, each collection must come to hold what its source holds, and no other one anything, without
anybody asking for it.
"""

import asyncio
import math
import random
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import chromadb
from chromadb.errors import NotFoundError

from tests.crash.history import section
from tests.daemon import Daemon
from tests.soak.hurried import HURRY
from tests.soak.lines import Line
from tests.soak.places import NAMES, Kept

STEPS = 24
LONGEST_PAUSE_S = 0.6
SHORTEST_OUTAGE_S, LONGEST_OUTAGE_S = 1.0, 600.0
"""On the daemon's clock."""
CAP_S = 3600.0
"""The longest pause between two tries of a thing that failed, on the daemon's clock."""
WORK_S = 120.0
"""What the work itself may take, on our clock, on a machine that has other work."""
LIMIT_S = CAP_S / HURRY + WORK_S
LOOK_S = 0.5
LINES_OF = {
    "chroma": ("folder",),
    "model": ("folder",),
    "s3": ("s3",),
    "sqs": ("s3",),
    "gcs": ("gcs",),
    "pubsub": ("gcs",),
    "azure": ("azure_blob",),
    "azure_queue": ("azure_blob",),
    "git": ("git",),
    "web": ("web",),
}
"""Which sources change as a line's trouble begins."""


@dataclass
class Story:
    """The daemon, its sources, and the lines between it and what it depends on."""

    name: str
    rng: random.Random
    daemon: Daemon
    places: list[Kept]
    lines: list[Line]
    chroma: chromadb.api.ClientAPI
    base: str
    over_at: dict[str, float] = field(default_factory=dict)
    """When the trouble of a line ends."""
    told: list[str] = field(default_factory=list)

    async def happen(self) -> None:
        """Live through all steps; at the end nothing is in trouble and every source is declared."""
        for _ in range(STEPS):
            await self._step()
            await asyncio.sleep(self.rng.random() * LONGEST_PAUSE_S)
            self._end_troubles(time.monotonic())
        for each in self.places:
            each.is_declared = True
        self._declare()
        while self.over_at:
            await asyncio.sleep(LOOK_S)
            self._end_troubles(time.monotonic())

    async def outwait(self, name: str) -> None:
        """Change what depends on a line while that refuses, which it does until every run that was asked for has ended."""
        line = next(line for line in self.lines if line.name == name)
        line.trouble, settled = "403", self._settled()
        for each in self.places:
            if each.kind in LINES_OF[name]:
                await each.put({NAMES[0]: section(self.rng)})
        await asyncio.to_thread(
            self.daemon.wait_until, lambda: self._settled() > settled and not self.daemon.unsettled()
        )
        line.trouble = ""

    async def equal(self, limit_s: float = LIMIT_S) -> dict[str, str]:
        """Wait until every collection holds what it should, for as long as may pass between two tries; return what does not."""
        deadline = time.monotonic() + limit_s
        while (wrong := await self._differences()) and time.monotonic() < deadline:
            assert self.daemon.process is not None
            assert self.daemon.process.poll() is None, self.daemon.log()
            await asyncio.sleep(LOOK_S)
        return wrong

    async def _step(self) -> None:
        each, line = self.rng.choice(self.places), self.rng.choice(self.lines)
        dice = self.rng.random()
        if dice < 0.45:
            await each.change(self.rng)
            self.told.append(f"{each.kind} changed")
        elif dice < 0.8:
            self._trouble(line)
            if told := [each for each in self.places if each.kind in LINES_OF[line.name]]:
                await self.rng.choice(told).change(self.rng)
        else:
            self._edit(each)
            self._declare()

    def _settled(self) -> int:
        return self.daemon.rows("SELECT count(*) FROM invocations")[0][0] - self.daemon.unsettled()

    def _trouble(self, line: Line) -> None:
        longer_s = LONGEST_OUTAGE_S - SHORTEST_OUTAGE_S
        lasts_s = (SHORTEST_OUTAGE_S + longer_s * self.rng.random() ** 2) / HURRY
        line.trouble = self.rng.choice(line.troubles)
        self.over_at[line.name] = time.monotonic() + lasts_s
        self.told.append(f"{line.name}: {line.trouble} for {lasts_s * HURRY:.0f} s")

    def _end_troubles(self, now: float) -> None:
        for line in self.lines:
            if self.over_at.get(line.name, math.inf) <= now:
                line.trouble = ""
                del self.over_at[line.name]

    def _edit(self, each: Kept) -> None:
        if not each.is_declared:
            each.is_declared = True
            each.renames += self.rng.randrange(2)
            self.told.append(f"{each.kind} declared again")
            return
        match self.rng.randrange(4):
            case 0:
                each.is_declared = False
                self.told.append(f"{each.kind} not declared any more")
            case 1:
                each.renames += 1
                self.told.append(f"{each.kind} renamed")
            case 2:
                each.is_narrow = not each.is_narrow
                self.told.append(f"{each.kind} {'narrow' if each.is_narrow else 'wide'}")
            case _:
                each.editions += 1
                self.told.append(f"{each.kind} into {each.collection}")

    def _declare(self) -> None:
        self.daemon.config = self.base + "".join(each.table() for each in self.places)
        file = self.daemon.folder / "syncd.toml"
        new = file.with_suffix(".new")
        new.write_text(f'state_dir = "{self.daemon.state}"\n' + self.daemon.config)
        new.replace(file)
        assert self.daemon.process is not None
        self.daemon.process.send_signal(signal.SIGHUP)

    async def _differences(self) -> dict[str, str]:
        """Return, by collection, what is wrong with it."""
        held = await asyncio.to_thread(contents, self.chroma, self.name)
        wrong = {name: f"{sorted(texts)} stay in it" for name, texts in held.items() if texts}
        for each in self.places:
            expected, found = await each.expected(), held.get(each.collection, {})
            wrong.pop(each.collection, None)
            if found != expected:
                keys = sorted(key for key in {*found, *expected} if found.get(key) != expected.get(key))
                wrong[each.collection] = f"{keys} differ: {len(found)} there, {len(expected)} in the source"
        return wrong


def contents(chroma: "chromadb.api.ClientAPI", prefix: str) -> Mapping[str, Mapping[str, str]]:
    """Return the texts of all collections of a story, by name and key; a site's starting page is left out."""
    found: dict[str, dict[str, str]] = {}
    for collection in chroma.list_collections():
        if collection.name.startswith(prefix):
            with suppress(NotFoundError):  # deleted since it was listed: it is being rebuilt
                found[collection.name] = texts_of(collection)
    return found


def texts_of(collection: chromadb.Collection) -> dict[str, str]:
    rows = collection.get(include=["documents", "metadatas"])
    pieces: dict[str, list[tuple[int, str]]] = {}
    for text, metadata in zip(rows["documents"], rows["metadatas"], strict=True):
        key = metadata.get("object_key") or metadata.get("path") or metadata["url"].partition("#")[0]
        if not key.endswith("/"):
            pieces.setdefault(key, []).append((metadata["chunk_index"], text))
    return {key: "".join(text for _, text in sorted(found)) for key, found in pieces.items()}
