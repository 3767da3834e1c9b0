"""Sources that change as a seed says, and what of each its collection must hold."""

import asyncio
import random
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from aiohttp import web
from typing_extensions import override

from tests.crash.history import section
from tests.git_server import GitServer

NAMES = [f"{letter}{number}" for letter in "ab" for number in range(4)]
NARROW = "a"
"""In a narrow scope only what has a name that begins so."""
Texts = Mapping[str, str]


@dataclass
class Kept(ABC):
    """One source as it is declared now, if it is."""

    story: str
    editions: int = 0
    """Of its collection's name, and of its own."""
    renames: int = 0
    is_narrow: bool = False
    is_declared: bool = True
    kind: ClassVar[str]

    @property
    def collection(self) -> str:
        return f"{self.story}-{self.kind}-{self.editions}"

    def table(self) -> str:
        """Return its declaration."""
        if not self.is_declared:
            return ""
        return (
            f'\n[[sources]]\nname = "{self.kind}-{self.renames}"\ncollection = "{self.collection}"\n{self.settings()}\n'
        )

    @abstractmethod
    def settings(self) -> str: ...

    @abstractmethod
    async def everything(self) -> Texts:
        """Read the source: texts by key."""

    @abstractmethod
    async def put(self, changes: Mapping[str, str | None]) -> None:
        """Write these names; None deletes."""

    async def expected(self) -> Texts:
        """Return what the collection must hold, by key, as the source is now."""
        found = await self.everything()
        return {key: text for key, text in found.items() if not self.is_narrow or key.rpartition("/")[2][0] == NARROW}

    async def change(self, rng: random.Random) -> None:
        """Let something appear, change, move or go."""
        there = {key.rpartition("/")[2].partition(".")[0]: text for key, text in (await self.everything()).items()}
        name = rng.choice(NAMES)
        changes: dict[str, str | None] = {name: section(rng)}
        if name in there and rng.random() < 0.5:
            changes = {name: None, rng.choice(NAMES): there[name] if rng.random() < 0.5 else section(rng)}
        await self.put(changes)


@dataclass
class Folder(Kept):
    path: Path = Path()
    kind = "folder"

    @override
    def settings(self) -> str:
        globs = "[]" if not self.is_narrow else '["b*"]'
        return f'type = "folder"\npath = "{self.path}"\nexclude_globs = {globs}'

    @override
    async def everything(self) -> Texts:
        return {str(file.relative_to(self.path)): file.read_text() for file in self.path.rglob("*.md")}

    @override
    async def put(self, changes: Mapping[str, str | None]) -> None:
        for name, text in changes.items():
            file = self.path / "docs" / f"{name}.md"
            file.parent.mkdir(parents=True, exist_ok=True)
            if text is None:
                file.unlink(missing_ok=True)
            else:
                file.write_text(text)


@dataclass
class Repository(Kept):
    server: GitServer | None = None
    kind = "git"

    @property
    def name(self) -> str:
        return f"soak/{self.story}"

    @override
    def settings(self) -> str:
        globs = "*.md" if not self.is_narrow else "a*.md"
        return (
            f'type = "github"\nrepository = "{self.name}"\nbranch = "main"\ninterval_s = 1\ninclude_globs = ["{globs}"]'
        )

    def _git(self, *arguments: str) -> str:
        assert self.server is not None
        command = ["git", f"--git-dir={self.server.path(self.name)}", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    @override
    async def everything(self) -> Texts:
        names = (await asyncio.to_thread(self._git, "ls-tree", "-r", "--name-only", "main")).split()
        return {name: await asyncio.to_thread(self._git, "show", f"main:{name}") for name in names}

    @override
    async def put(self, changes: Mapping[str, str | None]) -> None:
        assert self.server is not None
        files = {f"docs/{name}.md": text for name, text in changes.items()}
        there = (await asyncio.to_thread(self._git, "ls-tree", "-r", "--name-only", "main")).split()
        files = {name: text for name, text in files.items() if text is not None or name in there}
        await asyncio.to_thread(self.server.commit, self.name, files)


@dataclass
class Site(Kept):
    pages: dict[str, str] | None = None
    url: str = ""
    kind = "web"

    @override
    def settings(self) -> str:
        excluded = '["/b"]' if self.is_narrow else "[]"
        return f'type = "web_scrape"\nstarting_url = "{self.url}/"\ninterval_s = 300\nexclude_path_regexes = {excluded}'

    @override
    async def everything(self) -> Texts:
        return {f"{self.url}/{name}.txt": text for name, text in (self.pages or {}).items()}

    @override
    async def put(self, changes: Mapping[str, str | None]) -> None:
        pages = {**(self.pages or {}), **changes}
        self.pages = {name: text for name, text in pages.items() if text is not None}

    async def answer(self, request: web.Request) -> web.Response:
        """Answer as the site does."""
        pages = self.pages or {}
        name = request.path.strip("/").removesuffix(".txt")
        if request.path == "/":
            links = "".join(f'<li><a href="/{each}.txt">{each}</a>' for each in sorted(pages))
            return web.Response(
                text=f"<title>Home</title><main><h1>Home</h1><ul>{links}</ul></main>", content_type="text/html"
            )
        if name not in pages:
            return web.Response(status=404)
        return web.Response(text=pages[name], content_type="text/plain")
