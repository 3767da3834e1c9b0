"""Numbers and times as people read them."""

from __future__ import annotations

from datetime import UTC, datetime

LONG_CHARACTERS = 160
UNITS = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))


def duration_words(length_s: float) -> str:
    """Return a time for people, in the largest unit that has two of it or more: 90 s, 2 min, 47 h."""
    name, size_s = next((unit for unit in UNITS if length_s >= 2 * unit[1]), UNITS[-1])
    return f"{length_s // size_s:.0f} {name}"


def since(moment: str) -> str:
    """Return how long ago a moment was that the API tells."""
    return duration_words(max(0.0, (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()))


def moment_words(moment: object) -> str:
    """Return a moment that the API tells (RFC 3339, UTC) for people."""
    return f"{str(moment)[:19].replace('T', ' ')} UTC"


def cut_short(text: str) -> str:
    """Return a text that is longer than two lines without its end."""
    return text if len(text) <= LONG_CHARACTERS else f"{text[: LONG_CHARACTERS - 1]}…"


def some(number: int, noun: str) -> str:
    """Return how many there are of something, in words."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
