"""Names and values in the XML of Word documents."""

from __future__ import annotations

from xml.etree.ElementTree import Element

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
VAL = W + "val"


def value(parent: Element | None, *path: str) -> str | None:
    """Return the `val` at the end of `path` below `parent`; None when anything of it is missing."""
    for step in path:
        if parent is None:
            return None
        parent = parent.find(W + step)
    return None if parent is None else parent.get(VAL)


def is_on(properties: Element | None, name: str) -> bool:
    """Say whether a toggle property is set."""
    found = properties.find(W + name) if properties is not None else None
    return found is not None and found.get(VAL, "1") not in ("0", "false", "off", "none")
