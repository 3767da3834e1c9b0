"""Matches paths against `.gitignore`-style patterns, used both to include and to exclude.

`*.py` matches at any depth, `/docs/*.md` and `docs/*.md` from the root, `src/` everything below any folder `src`, `**`
any number of folders, and a later `!pattern` negates an earlier match (for a folder: `!docs/**`). Unlike in
git, `?` and `[…]` stand for a character, not a byte. Matching is linear in the path's length whatever the pattern (RE2),
so patterns may come from untrusted callers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pathspec import GitIgnoreSpec, PathSpec
from pathspec.pattern import RegexPattern
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

from syncd.errors import ConfigError

MAX_GLOBS = 200
MAX_GLOB_LENGTH = 512
"""Both limits bound what one source can make the daemon compile."""

EVERYTHING = ("*",)


class Globs:
    """A compiled list of patterns; the last one that matches decides."""

    def __init__(self, patterns: Sequence[str], setting: str) -> None:
        """Compile `patterns`; `setting` names them in errors. Raises ConfigError naming the pattern that is wrong."""
        _check_all(patterns, setting)
        self._spec = GitIgnoreSpec.from_lines(patterns, backend="re2")
        self._all = tuple(patterns) == EVERYTHING

    def match(self, path: str) -> bool:
        """Return whether a file's path, relative and with `/`, is matched."""
        return self._all or self._spec.match_file(path)


class WalkRules:
    """Exclusion rules of a walk, applied to every folder before it is entered and to every file in it.

    A pattern is matched only against the path itself, not against its parents, which were checked before.
    """

    def __init__(self, patterns: Sequence[str], setting: str = "") -> None:
        """Compile `patterns`; invalid ones raise ConfigError naming `setting`, or are ignored, as git does, if there is none."""
        if setting:
            _check_all(patterns, setting)
        lines = [line for line in patterns if setting or _is_pattern(line)]
        self._spec = PathSpec([_own_path(line) for line in lines], backend="re2")

    def verdict(self, path: str) -> bool | None:
        """Return True (excluded), False (included again by `!`) or None (no pattern matches); folders end with `/`."""
        return self._spec.check_file(path).include


def _own_path(line: str) -> RegexPattern:
    """Compile a pattern so that it matches a path, but not what is below it.

    `(?P<ps_d>/)` is where pathspec lets a pattern end above the path; `docs/**` becomes `^docs/`, and does not match
    `docs/` itself.
    """
    regex, include = GitIgnoreSpecPattern.pattern_to_regex(line)
    if regex and "(?P<ps_d>" in regex:
        regex += "$"
    elif regex and regex.endswith("/"):
        regex += "."
    return RegexPattern(re.compile(regex) if regex else None, include)


def _check_all(patterns: Sequence[str], setting: str) -> None:
    if len(patterns) > MAX_GLOBS:
        raise ConfigError(f"{setting} has {len(patterns)} patterns; at most {MAX_GLOBS} are allowed")
    for pattern in patterns:
        _check(pattern, setting)


def _check(pattern: str, setting: str) -> None:
    wrong = ""
    if not pattern.strip():
        wrong = "is empty"
    elif len(pattern) > MAX_GLOB_LENGTH:
        wrong = f"is longer than {MAX_GLOB_LENGTH} characters"
    elif "\0" in pattern or "\n" in pattern:
        wrong = "has a NUL or a line break"
    elif not _is_pattern(pattern):
        wrong = "is not a gitignore pattern"
    if wrong:
        raise ConfigError(f"{setting}: {pattern[:80]!r} {wrong}; write it as in a .gitignore file, e.g. 'src/**/*.py'")


def _is_pattern(line: str) -> bool:
    try:
        GitIgnoreSpecPattern(line)
    except (ValueError, re.error):  # a range such as [z-a]
        return False
    return True
