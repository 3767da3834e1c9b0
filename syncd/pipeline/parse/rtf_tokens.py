"""Rich Text Format, sign by sign: what its groups, control words and escaped bytes are (specification 1.9.1)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

_TOKEN = re.compile(
    rb"\\([A-Za-z]{1,32})(-?\d{1,10})? ?|\\'([0-9A-Fa-f]{2})|\\([^A-Za-z])|([{}])|([^\\{}\r\n]+)|[\r\n]+|\\", re.DOTALL
)


class RtfToken(NamedTuple):
    """A group's edge ('{' or '}'), a control word, a control symbol, or bytes of text."""

    kind: Literal["{", "}", "word", "symbol", "text"]
    name: str = ""
    number: int | None = None
    data: bytes = b""


def rtf_tokens(data: bytes) -> Iterator[RtfToken]:
    """Yield the tokens of a file in order; raw binary data is skipped. Any bytes are some tokens."""
    at = 0
    while found := _TOKEN.match(data, at):
        at = found.end()
        word, number, escaped, symbol, edge, text = found.groups()
        if word:
            count = int(number) if number else None
            if word == b"bin":
                at += max(count or 0, 0)
            else:
                yield RtfToken("word", word.decode(), count)
        elif escaped:
            yield RtfToken("text", data=bytes([int(escaped, 16)]))
        elif symbol:
            yield RtfToken("symbol", symbol.decode("latin-1"))
        elif edge:
            yield RtfToken("{" if edge == b"{" else "}")
        elif text:
            yield RtfToken("text", data=text)
