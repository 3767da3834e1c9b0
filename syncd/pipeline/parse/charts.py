"""Charts of Office documents as what they are drawn from: a title and a table of series."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from syncd.pipeline.parse import gfm

_C = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_MAX_POINTS = 1_000


def chart_table(root: Element | None) -> Iterator[str]:
    """Yield the chart's title and its values as a table, categories first; nothing where no values are kept."""
    if root is None:
        return
    title = root.find(f"{_C}chart/{_C}title")
    words = "".join(node.text or "" for node in title.iter(_A + "t")) if title is not None else ""
    series = list(root.iter(_C + "ser"))
    if words.strip():
        yield words.strip()
    columns = [(_name(one), _points(one, "val") or _points(one, "yVal")) for one in series]
    columns = [(name, points) for name, points in columns if points]
    if not columns:
        return
    names = _points(series[0], "cat") or _points(series[0], "xVal")
    places = sorted({at for _, points in columns for at in points})[:_MAX_POINTS]
    rows = [["", *(name for name, _ in columns)]]
    rows += [[names.get(at, str(at + 1)), *(points.get(at, "") for _, points in columns)] for at in places]
    yield gfm.table(rows)


def _name(series: Element) -> str:
    found = series.find(_C + "tx")
    return "".join(node.text or "" for node in found.iter(_C + "v")) if found is not None else ""


def _points(series: Element, kind: str) -> dict[int, str]:
    found = series.find(_C + kind)
    points = found.iter(_C + "pt") if found is not None else ()
    return {int(point.get("idx", "0")): (point.findtext(_C + "v") or "") for point in points}
