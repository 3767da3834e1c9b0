"""Notebooks by their cells, and kin of known formats by their suffixes."""

from __future__ import annotations

import json

import pytest

from syncd.errors import PermanentError
from syncd.model.formats import format_of
from tests.pipeline.parse.documents import docx, paragraph, pptx, shape
from tests.pipeline.parse.reading import PartReader, text_of, warnings_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

_PRINTED = {"output_type": "stream", "text": ["3\n", "4\n"]}
_DRAWN = {"output_type": "display_data", "data": {"image/png": "iVBOR" * 1000, "text/plain": ["<Figure>"]}}
_FAILED = {"output_type": "error", "ename": "ValueError", "evalue": "no wind"}


def notebook(*cells: dict, **more: object) -> bytes:
    return json.dumps({"cells": cells, "nbformat": 4, "metadata": {"language_info": {"name": "R"}}, **more}).encode()


async def test_cells_are_prose_code_and_what_it_printed(pool: PartReader) -> None:
    data = notebook(
        {"cell_type": "markdown", "source": ["# Wind\n", "\n", "By day."]},
        {"cell_type": "code", "source": "sum(x)\n", "outputs": [_PRINTED, _DRAWN, _FAILED]},
    )
    assert await text_of(pool, data, "a.ipynb") == (
        "# Wind\n\nBy day.\n\n```r\nsum(x)\n```\n\n```\n3\n4\n```\n\n```\nValueError: no wind\n```\n\n"
    )
    assert await warnings_of(pool, data, "a.ipynb") == {"picture_unread": 1}


async def test_an_old_notebook_is_read_and_a_broken_one_says_so(pool: PartReader) -> None:
    code = {
        "cell_type": "code",
        "input": ["1+1"],
        "language": "python",
        "outputs": [{"output_type": "pyout", "text": ["2"]}],
    }
    old = {"worksheets": [{"cells": [{"cell_type": "heading", "level": 2, "source": ["Sums"]}, code]}]}
    assert (
        await text_of(pool, json.dumps(old).encode(), "a.ipynb") == "## Sums\n\n```python\n1+1\n```\n\n```\n2\n```\n\n"
    )
    for broken in (b'{"cells": 5}', b"{", b"[]", b'{"cells": [7]}'):
        with pytest.raises(PermanentError, match=r"a\.ipynb is damaged: it is no notebook"):
            await text_of(pool, broken, "a.ipynb")


async def test_kin_of_known_formats_are_read_as_these(pool: PartReader) -> None:
    for suffix in ("docm", "dotx", "dotm"):
        assert await text_of(pool, docx(paragraph("fine")), f"a.{suffix}") == "fine\n\n"
    for suffix in ("pptm", "ppsx", "ppsm", "potx", "potm"):
        assert await text_of(pool, pptx([shape("fine", "title")]), f"a.{suffix}") == "# fine\n\n"
    assert {format_of(f"a.{suffix}", None).name for suffix in ("xltm", "xlsb", "ots")} == {"spreadsheet"}
    assert {format_of(f"a.{suffix}", None).reader for suffix in ("ott", "otp")} == {"odf"}
