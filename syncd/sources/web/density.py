"""The second opinion for pages whose structure does not say where the content is: trafilatura's text densities.

A module of its own because importing trafilatura costs half a second and 40 MB, which most sites never need.
"""

from __future__ import annotations

import trafilatura
import turbohtml
from turbohtml import Element


def main_fragment(data: bytes, url: str) -> Element | None:
    """Return the main content as one element, or None where trafilatura finds nothing."""
    html = trafilatura.extract(
        data,
        url=url,
        output_format="html",
        include_comments=True,
        include_tables=True,
        include_links=True,
        include_formatting=True,
    )
    return turbohtml.parse(html, positions=False).select_one("body") if html else None
