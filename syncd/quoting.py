"""Quotes untrusted text in messages."""

from __future__ import annotations


def shown(text: str) -> str:
    """Return text quoted for a message, cut to a readable length."""
    return repr(text if len(text) <= 80 else text[:77] + "…")
