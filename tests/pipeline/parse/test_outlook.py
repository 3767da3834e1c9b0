"""Outlook's messages: MAPI properties in compound files."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from syncd.errors import PermanentError
from syncd.pipeline.parse.compressed_rtf import decompressed_rtf
from tests.pipeline.parse.compound import Tree, compound_file, properties
from tests.pipeline.parse.documents import compound, docx, encoded, paragraph, written, xlsx
from tests.pipeline.parse.reading import PartReader, labels, parts_of, text_of, warnings_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

_NOON = (1_772_539_200 + 11_644_473_600) * 10_000_000
"""2026-03-03 12:00 UTC, in the ticks of Windows."""
_SENT = (0x0039, 0x0040, _NOON)
_COMMON = {0x0037: "Winch", 0x0C1A: "Anna Kite", 0x5D01: "anna@example.org"}


def attached(name: str, data: bytes, **more: str) -> Tree:
    return properties(8, {0x3707: name, 0x3701: data, **{int(key[1:], 16): value for key, value in more.items()}})


def message(texts: dict[int, str | bytes], *attachments: Tree, header_bytes: int = 32, **more: Any) -> dict[str, Any]:
    inner = properties(header_bytes, {**_COMMON, **texts}, [_SENT])
    inner |= {f"__attach_version1.0_#{number:08X}": each for number, each in enumerate(attachments)}
    return inner | more


async def test_who_wrote_what_to_whom_and_when(pool: PartReader) -> None:
    people: dict[str, Any] = {
        "__recip_version1.0_#00000000": properties(
            8, {0x3001: "Bo", 0x39FE: "bo@example.org"}, [(0x0C15, 3, 1), (0x3003, 3, 0)]
        ),
        "__recip_version1.0_#00000001": properties(8, {0x3001: "cy@example.org"}, [(0x0C15, 3, 2)]),
    }
    data = compound_file(message({0x1000: "Grease it.\r\n\r\nThen rest.\r\n"}, **people))
    assert await text_of(pool, data, "a.msg") == (
        "# Winch\n\nFrom: Anna Kite <anna@example.org>\nTo: Bo <bo@example.org>\nCc: cy@example.org\n"
        "Date: 2026-03-03 12:00 +00:00\n\nGrease it.\n\nThen rest.\n\n"
    )
    assert await text_of(pool, data, "a.doc") == await text_of(pool, data, "a.msg")


async def test_html_is_preferred_and_shows_its_pictures(pool: PartReader) -> None:
    page = "<p>Größe: <b>7</b></p><p><img src='cid:plan@1' alt='the plan'></p>".encode("cp1252")
    picture = attached("plan.png", encoded(written(["Quay seven"])), x3712="<plan@1>")
    inner = message({0x1000: "plain", 0x1013: page}, picture)
    inner["__properties_version1.0"] = bytes(32) + struct.pack("<HHIQ", 3, 0x3FDE, 6, 1252)
    text = await text_of(pool, compound_file(inner), "a.msg")
    assert "Größe: **7**" in text
    assert "![the plan]()" in text
    assert "plain" not in text
    assert await warnings_of(pool, compound_file(inner), "a.msg") == {}


async def test_texts_of_old_messages_are_in_their_code_page(pool: PartReader) -> None:
    inner = properties(32, {0x0037: "зима", 0x1000: "лёд и лес"}, [(0x3FFD, 3, 1251)], ansi="cp1251")
    assert await text_of(pool, compound_file(inner), "a.msg") == "# зима\n\nлёд и лес\n\n"


async def test_attachments_are_read_and_what_cannot_be_is_told(pool: PartReader) -> None:
    inside = {"__substg1.0_3701000D": message({0x0037: "Inner", 0x1000: "deep"}, header_bytes=24), "__properties_version1.0": bytes(8)}  # fmt: skip
    data = compound_file(
        message(
            {0x1000: "See below."},
            attached("offer.docx", docx(paragraph("fine"))),
            attached("sum.xlsx", xlsx({"S": {"A1": "x"}})),
            inside,
            attached("old.doc", compound("WordDocument") + bytes(8000)),
            attached("secret.xlsx", compound("EncryptedPackage") + bytes(8000)),
        )
    )
    text = await text_of(pool, data, "a.msg")
    assert "## Attachment: offer.docx\n\nfine\n" in text
    assert "## Attachment: Inner.msg\n\n# Inner\n" in text
    assert "deep" in text
    assert labels(await parts_of(pool, data, "a.msg")) == ["offer.docx", "sum.xlsx", "sum.xlsx: S", "Inner.msg"]
    assert await warnings_of(pool, data, "a.msg") == {"attachment_unread": 2}


async def test_a_body_in_compressed_rtf_alone_is_read(pool: PartReader) -> None:
    rich = rb"{\rtf1\ansi\pard Grease \b it\b0 .\par}"
    stored = struct.pack("<II4sI", len(rich) + 12, len(rich), b"MELA", 0) + rich
    assert "Grease it.\n\n" in await text_of(pool, compound_file(message({0x1009: stored})), "a.msg")


async def test_html_wrapped_in_rtf_is_unwrapped(pool: PartReader) -> None:
    rich = (
        rb"{\rtf1\ansi\ansicpg1252\fromhtml1 \deff0{\fonttbl{\f0\fswiss Arial;}{\f1\fcharset204 Arial;}}{\colortbl\red0;}"
        rb"{\*\htmltag64 <h2>}\htmlrtf {\b Load\par \htmlrtf0 Load\htmlrtf }\htmlrtf0{\*\htmltag72 </h2>}"
        rb'{\*\htmltag84 <a href="https://example.org/x">}\htmlrtf {\field{\*\fldinst{HYPERLINK "y"}}{\fldrslt\htmlrtf0 deed'
        rb" {\f1 \'e7\'e8\'ec\'e0} \u8364 ?\htmlrtf }}\htmlrtf0{\*\htmltag92 </a>}{\*\mhtmltag84 <a>}{\*\htmltag0 <br>\'e4\{\}}}"
    )
    stored = struct.pack("<II4sI", len(rich) + 12, len(rich), b"MELA", 0) + rich
    data = compound_file(message({0x1000: "plain", 0x1009: stored}))
    assert (await text_of(pool, data, "a.msg")).endswith("## Load\n\n[deed зима €](https://example.org/x)  \nä{}\n\n")


async def test_the_example_of_the_specification_is_decompressed() -> None:
    data = bytes.fromhex(
        "2d0000002b0000004c5a4675f1c5c7a703000a007263706731323542320af32068656c090020627705b06c647d0a800fa0"
    )
    assert decompressed_rtf(data) == b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n"
    crossing = bytes.fromhex("1a0000001c0000004c5a4675e2d44b51410004205758595a0d6e7d010eb0")
    assert decompressed_rtf(crossing) == b"{\\rtf1 WXYZWXYZWXYZWXYZWXYZ}"
    for end in range(len(data)):
        assert decompressed_rtf(data[:end]) in decompressed_rtf(data)


@pytest.mark.parametrize("size", [600, 1600, 3000])
async def test_a_message_cut_short_is_damaged(pool: PartReader, size: int) -> None:
    data = compound_file(message({0x1000: "text"}))
    cut = data[:size] + "__properties_version1.0".encode("utf-16-le")
    with pytest.raises(PermanentError, match=r"a\.msg (is damaged|cannot be read as Outlook message)"):
        await text_of(pool, cut, "a.msg")
