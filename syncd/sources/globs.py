"""Which paths a source takes: patterns in the language of `.gitignore` files, for including as for excluding.

`*.py` matches at any depth, `/docs/*.md` and `docs/*.md` from the root, `src/` everything below any folder `src`, `**`
any number of folders, and a later `!pattern` takes back what an earlier one took (of a folder: `!docs/**`).
Unlike in git, `?` and `[…]` stand for a character, not a byte. Matching is linear in the path's
length whatever the pattern (RE2), so patterns may come from strangers.
"""

from __future__ import annotations

from collections.abc import Sequence

from pathspec import GitIgnoreSpec

from syncd.errors import ConfigError

MAX_GLOBS = 200
MAX_GLOB_LENGTH = 512
"""Both bound what one source can make the daemon compile."""

EVERYTHING = ("*",)


class Globs:
    """A compiled list of patterns; the last one that matches decides."""

    def __init__(self, patterns: Sequence[str], setting: str) -> None:
        """Compile `patterns`; `setting` names them in errors. Raises ConfigError naming the pattern that is wrong."""
        if len(patterns) > MAX_GLOBS:
            raise ConfigError(f"{setting} has {len(patterns)} patterns; at most {MAX_GLOBS} are allowed")
        for pattern in patterns:
            _check(pattern, setting)
        self._spec = compiled(patterns)
        self._all = tuple(patterns) == EVERYTHING

    def match(self, path: str) -> bool:
        """Tell whether a file's path, relative and with `/`, is taken."""
        return self._all or self._spec.match_file(path)

    def verdict(self, path: str) -> bool | None:
        """Return True (matched), False (taken back by `!`) or None (no pattern speaks of it); folders end with `/`."""
        return self._spec.check_file(path).include


def compiled(lines: Sequence[str]) -> GitIgnoreSpec:
    """Compile the lines of a `.gitignore` file. Raises ValueError for a pattern that cannot be one."""
    return GitIgnoreSpec.from_lines(lines, backend="re2")


def _check(pattern: str, setting: str) -> None:
    wrong = ""
    if not pattern.strip():
        wrong = "is empty"
    elif len(pattern) > MAX_GLOB_LENGTH:
        wrong = f"is longer than {MAX_GLOB_LENGTH} characters"
    elif "\0" in pattern or "\n" in pattern:
        wrong = "has a NUL or a line break"
    else:
        try:
            compiled([pattern])
        except ValueError:
            wrong = "is no gitignore pattern"
    if wrong:
        raise ConfigError(f"{setting}: {pattern[:80]!r} {wrong}; write it as in a .gitignore file, e.g. 'src/**/*.py'")
