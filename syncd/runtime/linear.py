"""Patterns of users, matched by RE2, which takes linear time for any pattern."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false
# google-re2 has no type information; this module is the only one that touches it.

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import re2

from syncd.errors import PermanentError

MAX_PROGRAM_BYTES = 1 << 20


class LinearPattern:
    """One compiled pattern. Raises PermanentError, naming option and pattern, if RE2 rejects it.

    `given`: what the user wrote, where the pattern is made of that; an error shows it.
    """

    def __init__(self, option: str, text: str, given: str | None = None) -> None:
        options = re2.Options()
        options.max_mem = MAX_PROGRAM_BYTES
        options.log_errors = False
        self.text = text
        try:
            compiled = re2.compile(text, options=options)
        except re2.error as error:
            detail: object = error.args[0] if error.args else "invalid"
            why = detail.decode("utf-8", "replace") if isinstance(detail, bytes) else str(detail)
            shown = text if given is None else given
            raise PermanentError(
                f"{option}: {shown!r} is not a valid RE2 pattern ({why.replace(text, shown)}); correct or remove it"
            ) from error
        self._search, self._finditer = compiled.search, compiled.finditer

    def found_in(self, text: str) -> bool:
        """Return whether the pattern matches anywhere in `text`."""
        return self._search(text) is not None

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield where it matches, without overlaps, in code points."""
        return (match.span() for match in self._finditer(text))

    def count(self, data: bytes, most: int) -> int:
        """Return how often it matches in UTF-8, at most `most` times."""
        if self._search(data) is None:
            return 0
        return sum(1 for _ in islice(self._finditer(data), most))


def literal_pattern(text: str) -> str:
    """Return the pattern that matches just `text`."""
    return str(re2.escape(text))
