"""Which paths a source takes: patterns in the language of `.gitignore` files, for including as for excluding.

`*.py` matches at any depth, `/docs/*.md` and `docs/*.md` from the root, `src/` everything below any folder `src`, `**`
any number of folders, and a later `!pattern` takes back what an earlier one took (of a folder: `!docs/**`). Unlike in
git, `?` and `[…]` stand for a character, not a byte. Matching is linear in the path's length whatever the pattern (RE2),
so patterns may come from strangers.
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
"""Both bound what one source can make the daemon compile."""

EVERYTHING = ("*",)


class Globs:
    """A compiled list of patterns; the last one that matches decides."""

    def __init__(self, patterns: Sequence[str], setting: str) -> None:
        """Compile `patterns`; `setting` names them in errors. Raises ConfigError naming the pattern that is wrong."""
        _check_all(patterns, setting)
        self._spec = GitIgnoreSpec.from_lines(patterns, backend="re2")
        self._all = tuple(patterns) == EVERYTHING

    def match(self, path: str) -> bool:
        """Tell whether a file's path, relative and with `/`, is taken."""
        return self._all or self._spec.match_file(path)


class WalkRules:
    """What a walk leaves out, asked of every folder before it is entered and of every file in it.

    A pattern is held against the path itself only, never against the folders above: those were asked before.
    """

    def __init__(self, patterns: Sequence[str], setting: str = "") -> None:
        """Compile `patterns`; bad ones raise ConfigError naming `setting`, or without one are passed over as git does."""
        if setting:
            _check_all(patterns, setting)
        lines = [line for line in patterns if setting or _is_pattern(line)]
        self._spec = PathSpec([_own_path(line) for line in lines], backend="re2")

    def verdict(self, path: str) -> bool | None:
        """Return True (left out), False (taken back by `!`) or None (no pattern speaks of it); folders end with `/`."""
        return self._spec.check_file(path).include


def _own_path(line: str) -> RegexPattern:
    """Compile a pattern so that it matches a path, but not what is below it.

    `(?P<ps_d>/)` is where pathspec lets a pattern end above the path; `docs/**` becomes `^docs/`, and does not speak of
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
        wrong = "is no gitignore pattern"
    if wrong:
        raise ConfigError(f"{setting}: {pattern[:80]!r} {wrong}; write it as in a .gitignore file, e.g. 'src/**/*.py'")


def _is_pattern(line: str) -> bool:
    try:
        GitIgnoreSpecPattern(line)
    except ValueError:
        return False
    return True
