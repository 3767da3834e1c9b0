"""What a spreadsheet shows of a number: Excel's format codes (ECMA-376 part 1, 18.8.31). Pure.

Dates that are shown to the day become ISO 8601, whatever their order: it is the same for every reader.
"""

from __future__ import annotations

import datetime
import re
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from fractions import Fraction

from syncd.pipeline.parse.format_code import ELAPSED, Section, chosen, is_literal, literal, sections_of

GENERAL = "General"
BUILTIN = {
    1: "0", 2: "0.00", 3: "#,##0", 4: "#,##0.00", 9: "0%", 10: "0.00%", 11: "0.00E+00", 12: "# ?/?", 13: "# ??/??",
    14: "yyyy-mm-dd", 15: "d-mmm-yy", 16: "d-mmm", 17: "mmm-yy", 18: "h:mm AM/PM", 19: "h:mm:ss AM/PM", 20: "h:mm",
    21: "h:mm:ss", 22: "yyyy-mm-dd h:mm", 37: "#,##0;(#,##0)", 38: "#,##0;(#,##0)", 39: "#,##0.00;(#,##0.00)",
    40: "#,##0.00;(#,##0.00)", 45: "mm:ss", 46: "[h]:mm:ss", 47: "mm:ss.0", 48: "##0.0E+0",
}  # fmt: skip
"""Formats that files name by number alone (18.8.30); those that depend on the reader's country are the same everywhere here."""

_MAX_CODE_CHARACTERS = 255
_MAX_MAGNITUDE = Decimal(10) ** 30
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def formatted(value: float, code: str, *, from_1904: bool = False) -> str:
    """Return what a number looks like under a format code; a code that is not understood, or hides it, counts as General."""
    if code in ("", GENERAL) or len(code) > _MAX_CODE_CHARACTERS:
        return general(value)
    try:
        section, value = chosen(sections_of(code), value)
        found = _moment(value, section, from_1904) if section.is_date else _number(value, section)
        return found or general(value)
    except (ValueError, OverflowError, InvalidOperation, ZeroDivisionError):
        return general(value)


def general(value: float) -> str:
    """Return a number as it is, to the fifteen digits that spreadsheets keep."""
    if value == int(value) and abs(value) < 1e15:
        return str(int(value))
    return f"{value:.15g}"


def _number(value: float, section: Section) -> str:
    bare = section.bare
    if "general" in bare.lower() or "@" in bare:
        as_it_is = {"general": general(value), "@": general(value)}
        tokens = (literal(t) if is_literal(t) else as_it_is.get(t.lower(), t) for t in section.tokens)
        return "".join(tokens).strip()
    if "/" in bare and "?" in bare:
        return _fraction(value, bare)
    amount = Decimal(repr(value))
    if abs(amount) >= _MAX_MAGNITUDE:
        return general(value)
    if re.search(r"E[+-]", bare, re.IGNORECASE):
        decimals = len(re.findall(r"[0#?]", bare.upper().partition("E")[0].partition(".")[2]))
        return f"{value:.{decimals}E}"
    amount *= Decimal(100) ** bare.count("%")
    whole, _, decimal = bare.partition(".")
    amount /= Decimal(1000) ** (_scaling_commas(whole) + _scaling_commas(decimal))
    places = len(re.findall(r"[0#?]", decimal))
    rounded = abs(amount).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    sign = "-" if amount < 0 and rounded else ""
    digits, _, rest = f"{rounded:f}".partition(".")
    rest = _trimmed(rest, re.findall(r"[0#?]", decimal))
    return (sign + _laid_out(section, _grouped(digits, whole), rest)).strip()


def _scaling_commas(part: str) -> int:
    """Return how many commas stand behind the last digit of a part: each divides by a thousand."""
    places = re.sub(r"[^0#?,]", "", part)
    return len(places) - len(places.rstrip(","))


def _grouped(digits: str, whole: str) -> str:
    """Return the digits before the point, with leading zeros and separators as the format has them."""
    places = re.sub(r"[^0#?,]", "", whole)
    minimum = places.count("0")
    digits = ("" if digits == "0" and not minimum else digits).rjust(minimum, "0")
    return f"{int(digits):,}".rjust(minimum, "0") if digits and "," in places.rstrip(",") else digits


def _trimmed(rest: str, places: list[str]) -> str:
    """Return the digits after the point without the zeros that `#` does not show."""
    while rest and places and places[len(rest) - 1] in "#?" and rest.endswith("0"):
        rest = rest[:-1]
    return rest


def _laid_out(section: Section, digits: str, rest: str) -> str:
    """Return the digits among the format's other signs; those between digits, as in 000-00-0000, keep their place."""
    tokens = [t for token in section.tokens for t in (token if set(token) <= set("0.#?,") else [token])]
    point = tokens.index(".") if "." in tokens else len(tokens)
    before = [at for at, sign in enumerate(tokens[:point]) if sign in "0#?"]
    out: list[str] = []
    left = list(digits)
    splits = any(sign not in "0#?," for sign in tokens[before[0] : before[-1]]) if before else False
    for at in range(len(tokens) - 1, -1, -1):
        sign = tokens[at]
        if at > point and sign in "0#?":
            if at == max(i for i, t in enumerate(tokens) if t in "0#?"):
                out.append(rest)
        elif sign == ".":
            out.append("." if rest or not before else "")
        elif at in before:
            if splits and at != before[0]:
                out.append(left.pop() if left else "")
            elif at == before[0]:
                out.append("".join(left))
        elif sign != "," or not before:
            out.append(literal(sign) if is_literal(sign) else sign)
    return "".join(reversed(out))


def _fraction(value: float, bare: str) -> str:
    limit = min(10 ** len(bare.partition("/")[2].strip()), 1000) - 1
    near = Fraction(abs(value)).limit_denominator(max(limit, 1))
    sign, whole, left = ("-" if value < 0 else ""), near.numerator // near.denominator, near % 1
    if not left or "#" not in bare:
        return f"{sign}{near.numerator}/{near.denominator}" if left else f"{sign}{whole}"
    part = f"{left.numerator}/{left.denominator}"
    return f"{sign}{whole} {part}" if whole else sign + part


def _moment(value: float, section: Section, from_1904: bool) -> str:
    tokens = [token.lower() for token in section.tokens if not is_literal(token)]
    if any(ELAPSED.fullmatch(token) for token in tokens):
        return _duration(value, section)
    day = datetime.datetime(1904, 1, 1) if from_1904 else datetime.datetime(1899, 12, 30)
    if not from_1904 and 0 < value < 61 and value != 60:
        # 1900 counts as a leap year there.
        day += datetime.timedelta(days=1) if value >= 1 else datetime.timedelta()
    seconds = any(token[0] == "s" for token in tokens)
    # What a format does not show is cut off: the last minute of a year is in that year.
    at = day + datetime.timedelta(seconds=round(value * 86400))
    months, years, days = _letters(tokens)
    date = ""
    if days and months:
        date = f"{at:%Y-%m-%d}"
    elif months or years:
        date = f"{_MONTHS[at.month - 1]} {at.year}" if months and years else str(at.year) if years else f"{at:%B}"
    elif days:
        date = f"{at:%A}" if any(token.startswith("ddd") for token in tokens) else str(at.day)
    clock = _clock(at, tokens, seconds)
    return f"{date} {clock.rjust(len(clock) + (clock[1:2] == ':'), '0') if days else clock}".strip()


def _letters(tokens: list[str]) -> tuple[bool, bool, bool]:
    """Return whether a date's month, year and day are shown; an m beside hours or seconds is minutes."""
    months = False
    letters = [token[0] for token in tokens if token[0] in "ymdhs"]
    for at, letter in enumerate(letters):
        if letter == "m" and letters[at - 1 : at] != ["h"] and letters[at + 1 : at + 2] != ["s"]:
            months = True
    return months, "y" in letters, "d" in letters


def _clock(at: datetime.datetime, tokens: list[str], seconds: bool) -> str:
    if not any(token[0] in "hs" for token in tokens):
        return ""
    if not any(token[0] == "h" for token in tokens):
        return f"{at:%M:%S}"
    halves = any(token in ("am/pm", "a/p") for token in tokens)
    hour = (at.hour % 12 or 12) if halves else at.hour
    wide = 2 if "hh" in tokens else 1
    minutes = f":{at.minute:02d}" if any(token[0] == "m" for token in tokens) else ""
    text = f"{hour:0{wide}d}{minutes}" + (f":{at.second:02d}" if seconds else "")
    return f"{text} {at:%p}" if halves else text


def _duration(value: float, section: Section) -> str:
    """Return a time that runs on over days: [h]:mm. What it does not show is cut off."""
    left = round(abs(value) * 86400)
    out: list[str] = []
    for token in section.tokens:
        match, low = ELAPSED.fullmatch(token), token.lower()
        unit = {"h": 3600, "m": 60, "s": 1}.get(match[1][0].lower() if match else low[0])
        if unit and (match or low in ("h", "hh", "m", "mm", "s", "ss")):
            amount, left = divmod(left, unit)
            out.append(f"{amount:0{len(match[1] if match else low)}d}")
        else:
            out.append(literal(token) if is_literal(token) else token)
    return ("-" if value < 0 else "") + "".join(out).strip()
