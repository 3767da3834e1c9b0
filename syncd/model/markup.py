"""Finds where a page's markup begins. Linear in its input, since crawls run it on untrusted responses in the daemon."""

from __future__ import annotations

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_PROLOG = ((b"<!--", b"-->"), (b"<?xml", b">"))


def prolog_bytes(head: bytes) -> int:
    """Return the offset behind a byte order mark, blanks, comments and XML declarations, where the first element stands.

    Looks at every byte once: a comment ends at the first `-->`, and what does not end is no prolog.
    """
    at = len(_BYTE_ORDER_MARK) if head.startswith(_BYTE_ORDER_MARK) else 0
    while True:
        while head[at : at + 1].isspace():
            at += 1
        start, end = next((each for each in _PROLOG if head.startswith(each[0], at)), (b"", b""))
        if not start or (found := head.find(end, at + len(start))) < 0:
            return at
        at = found + len(end)
