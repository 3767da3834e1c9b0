"""The context in front of a chunk's text when it is embedded: where it stands, in few bytes, with nothing volatile."""

from __future__ import annotations

from collections.abc import Sequence

BREADCRUMB_BYTES = 256
"""Path, scope and page label together, newlines included."""
TABLE_HEAD_BYTES = 512
"""The repeated header row of a split table, in addition."""
_PATH_BYTES = 120
_GAP = "…"


def path_line(path: str) -> str:
    """Return a document's path as the first line of its chunks' context; a long one loses its middle."""
    return middle_cut(_line(path), _PATH_BYTES)


def breadcrumb(first_line: str, scope: Sequence[str], page_label: str = "", table_head: str = "") -> str:
    """Return `path_line`, then `outer > inner`, the page's label and the table's header row, a line each.

    Too long scopes lose their outermost names. Ends with a newline unless empty.
    """
    if not (scope or page_label or table_head):
        return first_line and f"{first_line}\n"
    label = page_label and middle_cut(_line(page_label), _PATH_BYTES // 2)
    lines = [first_line, "", label, table_head and start_cut(table_head.strip(), TABLE_HEAD_BYTES - 1)]
    if scope:
        room = BREADCRUMB_BYTES - _size(first_line) - _size(label) - 3
        lines[1] = _innermost([_line(name) for name in scope], room)
    return "".join([f"{line}\n" for line in lines if line])


def _innermost(names: Sequence[str], room_bytes: int) -> str:
    """Return as many of the innermost names as fit, joined."""
    whole = " > ".join(names)
    if all(names) and _size(whole) <= room_bytes:
        return whole
    kept = ""
    for name in reversed([name for name in names if name]):
        longer = f"{name} > {kept}" if kept else middle_cut(name, room_bytes)
        if _size(longer) > room_bytes:
            break
        kept = longer
    return kept


def middle_cut(text: str, limit_bytes: int) -> str:
    """Return `text` with its middle replaced by an ellipsis when it is longer than the limit."""
    size = _size(text)
    if size <= limit_bytes:
        return text
    half = (limit_bytes - _size(_GAP)) // 2
    return start_cut(text, half) + _GAP + _bytes(text)[size - half :].decode("utf-8", "ignore")


def start_cut(text: str, limit_bytes: int) -> str:
    """Return the longest start of `text` within the limit."""
    return _bytes(text)[:limit_bytes].decode("utf-8", "ignore") if _size(text) > limit_bytes else text


def _line(text: str) -> str:
    return " ".join(text.split())


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(_bytes(text))
