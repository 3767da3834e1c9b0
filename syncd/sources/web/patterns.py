"""Users' path patterns, matched by RE2, which takes linear time for any pattern."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false
# google-re2 has no type information; this module is the only one that touches it.

from __future__ import annotations

import re2

from syncd.errors import PermanentError

MAX_PROGRAM_BYTES = 1 << 20


class PathPattern:
    """One compiled pattern. Raises PermanentError, naming option and pattern, if RE2 rejects it."""

    def __init__(self, option: str, text: str) -> None:
        options = re2.Options()
        options.max_mem = MAX_PROGRAM_BYTES
        options.log_errors = False
        self.text = text
        try:
            self._search = re2.compile(text, options=options).search
        except re2.error as error:
            detail: object = error.args[0] if error.args else "invalid"
            why = detail.decode("utf-8", "replace") if isinstance(detail, bytes) else str(detail)
            raise PermanentError(
                f"{option}: {text!r} is not a valid RE2 pattern ({why}); correct or remove it"
            ) from error

    def found_in(self, path: str) -> bool:
        """Return whether the pattern matches anywhere in `path`."""
        return self._search(path) is not None
