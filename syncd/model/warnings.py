"""What a document's owner should know about text that was guessed, approximated or left out: small records beside its chunks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

WarningCode = Literal[
    "attachment_unread",
    "chunked_as_text",
    "converted",
    "encoding_guessed",
    "fallback_reader",
    "formula_without_value",
    "hidden_content",
    "markup_repaired",
    "part_missing",
    "picture_unread",
    "script_made",
    "secret_found",
    "table_cut",
    "unread_content",
    "value_approximated",
]
"""The kinds of warnings. A kind may be added, none renamed: stored warnings and users' scripts name them."""

WARNING_CODES: frozenset[str] = frozenset(get_args(WarningCode))
MAX_MESSAGE_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class DocumentWarning:
    """One kind of loss in one document: `message` tells of the first place, `count` how many there were."""

    code: str
    message: str
    count: int = 1


class Warnings:
    """A document's warnings while it is read. There is one of a kind, so neither their number nor their size is the document's
    choice.
    """

    def __init__(self, found: Iterable[DocumentWarning] = ()) -> None:
        self._found: dict[str, DocumentWarning] = {}
        self.extend(found)

    def add(self, code: WarningCode, message: str, count: int = 1) -> None:
        """Add a warning; of a kind that was met before, only the count grows."""
        self.extend([DocumentWarning(code, message, count)])

    def extend(self, found: Iterable[DocumentWarning]) -> None:
        """Add warnings, but none of an unknown kind."""
        for warning in found:
            if earlier := self._found.get(warning.code):
                self._found[warning.code] = replace(earlier, count=earlier.count + warning.count)
            elif warning.code in WARNING_CODES:
                self._found[warning.code] = replace(warning, message=bounded_line(warning.message))

    def all(self) -> tuple[DocumentWarning, ...]:
        """Return what was found, by kind."""
        return tuple(self._found[code] for code in sorted(self._found))


def bounded_line(message: str) -> str:
    """Return a message in one line of bounded length that every store can hold."""
    line = " ".join(message.encode("utf-8", "replace").decode().replace("\0", "").split())
    return line if len(line) <= MAX_MESSAGE_CHARACTERS else line[: MAX_MESSAGE_CHARACTERS - 1] + "…"


def warning_values(found: Iterable[DocumentWarning]) -> list[dict[str, Any]]:
    """Return warnings as JSON values."""
    return [{"code": each.code, "message": each.message, "count": each.count} for each in found]


def warnings_of(values: Sequence[Mapping[str, Any]]) -> tuple[DocumentWarning, ...]:
    """Return the warnings that `warning_values` describes."""
    return tuple(DocumentWarning(str(each["code"]), str(each["message"]), int(each["count"])) for each in values)
