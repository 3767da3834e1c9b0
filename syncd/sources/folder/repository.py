"""What Git ignores besides `.gitignore` files in the folder itself (gitignore(5)).

Those of the folders above it up to the repository's own, the repository's `info/exclude` and the user's excludes file.
Nothing here raises: what cannot be read ignores nothing. All of it blocks.
"""

from __future__ import annotations

import os
import stat
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from syncd.runtime.process import environment
from syncd.sources.globs import WalkRules
from syncd.sources.path_keys import key_of

MAX_BYTES = 1024 * 1024
"""More of a file of rules, or of one that says where a repository is, is not read."""
_GIT_LIMIT_S = 10.0
_GIT_SETTINGS = ("HOME", "XDG_CONFIG_HOME", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM")
"""Where Git finds the user's configuration; it sees nothing else of the daemon's environment, which may hold secrets."""


@dataclass(frozen=True, slots=True)
class RulesAbove:
    """Rules of a folder above the root, which is `below` it (ending with `/`)."""

    below: str
    rules: WalkRules

    def verdict(self, path: str) -> bool | None:
        """Return what the rules say of a path below the root; see WalkRules."""
        return self.rules.verdict(self.below + path)


def rules_above(root: Path) -> tuple[RulesAbove, ...]:
    """Return what is ignored from above `root`, the strongest rules last.

    None where no repository is above it, where it is a repository itself, and where the rules ignore `root` itself: whoever
    names it wants what is in it.
    """
    if os.path.lexists(root / ".git"):
        return ()
    top = next((folder for folder in root.parents if os.path.lexists(folder / ".git")), None)
    if top is None:
        return ()
    levels = [folder for folder in root.parents if folder.is_relative_to(top)][::-1]
    found = [(top, rules) for rules in repository_rules(top)]
    found += [(level, rules) for level in levels if (rules := rules_in(level / ".gitignore"))]
    above = tuple(RulesAbove(_below(level, root), rules) for level, rules in found)
    return () if any(_is_ignored(folder, found) for folder in (*levels[1:], root)) else above


def repository_rules(folder: Path) -> tuple[WalkRules, ...]:
    """Return the user's own rules and the `info/exclude` of the repository in `folder`; none where there is no repository."""
    place = _git_dir(folder / ".git")
    if place is None:
        return ()
    files = [excludes_file(), place / "info/exclude"]
    return tuple(rules for file in files if file is not None and (rules := rules_in(file)))


def rules_in(file: Path | str | bytes, folder: int | None = None) -> WalkRules | None:
    """Return the rules in a file, named relative to the open `folder` if there is one; None where it cannot be read."""
    text = _text(file, folder)
    return None if text is None else WalkRules([line.removesuffix("\r") for line in text.split("\n")])


@cache
def excludes_file() -> Path | None:
    """Return the user's own file of rules: `core.excludesFile`, or Git's default. Asks Git once."""
    settings = {name: os.environ[name] for name in _GIT_SETTINGS if name in os.environ}
    command = ["git", "-C", "/", "config", "--type=path", "--get", "core.excludesFile"]
    try:
        said = subprocess.run(  # noqa: S603 - nothing in it is a stranger's
            command,
            env=environment(**settings),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_GIT_LIMIT_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        said = None
    if said and said.returncode == 0 and (name := said.stdout.rstrip(b"\n")):
        return Path(os.fsdecode(name))
    configuration = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return Path(configuration, "git/ignore")


def _git_dir(entry: Path) -> Path | None:
    """Return where a repository keeps what all its worktrees share; `entry` is a folder, or a file that names one."""
    if entry.is_dir():
        return entry
    text = _text(entry)
    if text is None or not text.startswith("gitdir:"):
        return None
    place = entry.parent / text.removeprefix("gitdir:").strip()
    common = _text(place / "commondir")
    return place if common is None else place / common.strip()


def _text(file: Path | str | bytes, folder: int | None = None) -> str | None:
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=folder)
    except (OSError, ValueError):
        return None
    with os.fdopen(descriptor, "rb") as opened:
        is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
        return opened.read(MAX_BYTES).decode("utf-8-sig", "replace") if is_file else None


def _below(folder: Path, path: Path) -> str:
    return key_of(os.fsencode(path.relative_to(folder))) + "/"


def _is_ignored(folder: Path, found: list[tuple[Path, WalkRules]]) -> bool:
    """Return whether rules of the folders above `folder` ignore it."""
    for level, rules in reversed(found):
        if level in folder.parents and (verdict := rules.verdict(_below(level, folder))) is not None:
            return verdict
    return False
