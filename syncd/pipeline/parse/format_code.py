"""Format codes of spreadsheets (ECMA-376 part 1, 18.8.31), taken apart: sections, conditions and signs. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_TOKEN = re.compile(
    r'"[^"]*"?|\\.|_.|\*.|\[[^\]]{0,50}\]|AM/PM|A/P|General|E[+-]|yyyy|yy|y|mmmmm|mmmm|mmm|mm|m|dddd|ddd|dd|d|hh|h|ss|s|.',
    re.IGNORECASE | re.DOTALL,
)
_DATE = re.compile(r"[ymdhs]", re.IGNORECASE)
ELAPSED = re.compile(r"\[(h+|m+|s+)\]", re.IGNORECASE)
_CONDITION = re.compile(r"\[(<=|>=|<>|<|>|=)(-?[\d.]+)\]")
_CURRENCY = re.compile(r"\[\$([^-\]]*)(?:-[^\]]*)?\]")


@dataclass(frozen=True, slots=True)
class Section:
    """One of a format's up to four parts: for positive, negative, zero and text."""

    tokens: tuple[str, ...]
    condition: tuple[str, float] | None = None

    @property
    def bare(self) -> str:
        """The format's signs without literals."""
        return "".join(token for token in self.tokens if not is_literal(token))

    @property
    def is_date(self) -> bool:
        """Whether numbers are points in time or durations."""
        return any(_DATE.match(token) or ELAPSED.fullmatch(token) for token in self.tokens if not is_literal(token))


@lru_cache(maxsize=256)
def sections_of(code: str) -> tuple[Section, ...]:
    """Return the up to four sections of a format code."""
    found: list[list[str]] = [[]]
    for sign in _TOKEN.findall(code):
        if sign in ";":
            found.append([])
        else:
            found[-1].append(sign)
    return tuple(Section(tuple(signs), _condition(signs)) for signs in found[:4])


def _condition(tokens: list[str]) -> tuple[str, float] | None:
    matches = (_CONDITION.fullmatch(token) for token in tokens)
    return next(((match[1], float(match[2])) for match in matches if match), None)


def chosen(sections: tuple[Section, ...], value: float) -> tuple[Section, float]:
    """Return the section for a value, and the value it shows: a section of its own for negative numbers has the sign."""
    numbers = list(sections[:3])
    if any(section.condition for section in numbers):
        found = next((s for s in numbers if s.condition is None or _holds(value, *s.condition)), numbers[-1])
        return found, value
    if value < 0 and len(numbers) > 1:
        return numbers[1], -value
    return (numbers[2] if value == 0 and len(numbers) > 2 else numbers[0]), value


def _holds(value: float, sign: str, bound: float) -> bool:
    found = "<" if value < bound else ">" if value > bound else "="
    return found in sign


def is_literal(token: str) -> bool:
    """Return whether a sign shows itself or nothing, whatever the number."""
    return token[0] in '"\\_*' or (token[0] == "[" and not ELAPSED.fullmatch(token))


def literal(token: str) -> str:
    """Return what a literal shows: quoted and escaped text, currency signs; padding and colours show nothing."""
    if token[0] == '"':
        return token.strip('"')
    if token[0] == "\\":
        return token[1:]
    match = _CURRENCY.fullmatch(token)
    return match[1] if match else ""
