"""Small documents of every kind, made by hand so that each test shows what is in them."""

from __future__ import annotations

import io
import zlib
from collections.abc import Mapping, Sequence
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

from PIL import Image, ImageDraw, ImageFont

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
A = "http://schemas.openxmlformats.org/drawingml/2006/main"
P = "http://schemas.openxmlformats.org/presentationml/2006/main"
R = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_RELS = "http://schemas.openxmlformats.org/package/2006/relationships"


def archive(members: Mapping[str, bytes | str]) -> bytes:
    out = io.BytesIO()
    with ZipFile(out, "w", ZIP_DEFLATED) as package:
        for name, data in members.items():
            package.writestr(name, data)
    return out.getvalue()


def relations(targets: Mapping[str, tuple[str, str]]) -> str:
    entries = "".join(
        f'<Relationship Id="{identity}" Type="{R}/{kind}" Target="{target}"'
        + (' TargetMode="External"/>' if "://" in target else "/>")
        for identity, (kind, target) in targets.items()
    )
    return f'<Relationships xmlns="{_RELS}">{entries}</Relationships>'


_STYLES = f"""<w:styles xmlns:w="{W}">
<w:style w:type="paragraph" w:default="1" w:styleId="Normal"><w:name w:val="Normal"/></w:style>
<w:style w:type="paragraph" w:styleId="Title"><w:name w:val="Title"/></w:style>
<w:style w:type="paragraph" w:styleId="H1"><w:name w:val="heading 1"/><w:basedOn w:val="Normal"/></w:style>
<w:style w:type="paragraph" w:styleId="H2"><w:name w:val="heading 2"/><w:basedOn w:val="H1"/></w:style>
<w:style w:type="paragraph" w:styleId="Code"><w:name w:val="Source Code"/></w:style>
<w:style w:type="paragraph" w:styleId="Quote"><w:name w:val="Quote"/></w:style>
</w:styles>"""
_NUMBERING = f"""<w:numbering xmlns:w="{W}">
<w:abstractNum w:abstractNumId="0"><w:lvl w:ilvl="0"><w:numFmt w:val="bullet"/></w:lvl>
<w:lvl w:ilvl="1"><w:numFmt w:val="bullet"/></w:lvl></w:abstractNum>
<w:abstractNum w:abstractNumId="1"><w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="decimal"/>
<w:lvlText w:val="%1."/></w:lvl></w:abstractNum>
<w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num><w:num w:numId="2"><w:abstractNumId w:val="1"/></w:num>
</w:numbering>"""


def paragraph(text: str = "", style: str = "", number: tuple[int, int] | None = None, inner: str = "") -> str:
    properties = f'<w:pStyle w:val="{style}"/>' if style else ""
    if number:
        properties += f'<w:numPr><w:ilvl w:val="{number[1]}"/><w:numId w:val="{number[0]}"/></w:numPr>'
    run = f'<w:r><w:t xml:space="preserve">{text}</w:t></w:r>' if text else ""
    return f"<w:p><w:pPr>{properties}</w:pPr>{run}{inner}</w:p>"


def docx(body: str, targets: Mapping[str, tuple[str, str]] | None = None, **parts: bytes | str) -> bytes:
    names = (
        f'xmlns:w="{W}" xmlns:r="{R}" xmlns:a="{A}" '
        'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math" '
        'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006" '
        'xmlns:wp="http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing" '
        'xmlns:w14="http://schemas.microsoft.com/office/word/2010/wordml"'
    )
    return archive(
        {
            "[Content_Types].xml": "<Types/>",
            "_rels/.rels": relations({"r1": ("officeDocument", "word/document.xml")}),
            "word/document.xml": f"<w:document {names}><w:body>{body}</w:body></w:document>",
            "word/styles.xml": _STYLES,
            "word/numbering.xml": _NUMBERING,
            "word/_rels/document.xml.rels": relations(targets or {}),
            **{f"word/{name.replace('__', '/').replace('_xml', '.xml')}": data for name, data in parts.items()},
        }
    )


def shape(text: str, kind: str = "", bullet: bool = False, name: str = "") -> str:
    role = f'<p:nvPr><p:ph type="{kind}"/></p:nvPr>' if kind else "<p:nvPr/>"
    sign = '<a:pPr><a:buChar char="-"/></a:pPr>' if bullet else ""
    lines = "".join(f"<a:p>{sign}<a:r><a:t>{line}</a:t></a:r></a:p>" for line in text.split("\n"))
    return f'<p:sp><p:nvSpPr><p:cNvPr id="1" name="{name}"/>{role}</p:nvSpPr><p:txBody>{lines}</p:txBody></p:sp>'


def pptx(slides: Sequence[str], notes: Mapping[int, str] | None = None) -> bytes:
    notes = notes or {}
    names = f'xmlns:p="{P}" xmlns:a="{A}" xmlns:r="{R}"'
    entries = "".join(f'<p:sldId id="{255 + at}" r:id="s{at}"/>' for at in range(1, len(slides) + 1))
    members: dict[str, bytes | str] = {
        "_rels/.rels": relations({"r1": ("officeDocument", "ppt/presentation.xml")}),
        "ppt/presentation.xml": f"<p:presentation {names}><p:sldIdLst>{entries}</p:sldIdLst></p:presentation>",
        "ppt/_rels/presentation.xml.rels": relations(
            {f"s{at}": ("slide", f"slides/slide{at}.xml") for at in range(1, len(slides) + 1)}
        ),
    }
    for at, body in enumerate(slides, 1):
        members[f"ppt/slides/slide{at}.xml"] = _slide("sld", names, body)
        if at in notes:
            members[f"ppt/notesSlides/notesSlide{at}.xml"] = _slide("notes", names, shape(notes[at], "body"))
            members[f"ppt/slides/_rels/slide{at}.xml.rels"] = relations(
                {"n": ("notesSlide", f"../notesSlides/notesSlide{at}.xml")}
            )
    return archive(members)


def _slide(root: str, names: str, body: str) -> str:
    return f"<p:{root} {names}><p:cSld><p:spTree>{body}</p:spTree></p:cSld></p:{root}>"


def xlsx(sheets: Mapping[str, Mapping[str, str | float]], merged: Sequence[str] = ()) -> bytes:
    return archive(xlsx_members(sheets, merged))


def xlsx_members(sheets: Mapping[str, Mapping[str, str | float]], merged: Sequence[str] = ()) -> dict[str, bytes | str]:
    names = f'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="{R}"'
    entries = "".join(f'<sheet name="{name}" sheetId="{at}" r:id="r{at}"/>' for at, name in enumerate(sheets, 1))
    spans = "".join(f'<mergeCell ref="{span}"/>' for span in merged)
    members: dict[str, bytes | str] = {
        "[Content_Types].xml": "<Types/>",
        "_rels/.rels": relations({"r1": ("officeDocument", "xl/workbook.xml")}),
        "xl/workbook.xml": f"<workbook {names}><sheets>{entries}</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": relations(
            {f"r{at}": ("worksheet", f"worksheets/sheet{at}.xml") for at in range(1, len(sheets) + 1)}
        ),
    }
    for at, cells in enumerate(sheets.values(), 1):
        rows: dict[str, str] = {}
        for place, value in cells.items():
            row = "".join(filter(str.isdigit, place))
            rows[row] = rows.get(row, "") + _cell(place, value)
        data = "".join(f'<row r="{row}">{content}</row>' for row, content in rows.items())
        members[f"xl/worksheets/sheet{at}.xml"] = (
            f"<worksheet {names}><sheetData>{data}</sheetData><mergeCells>{spans}</mergeCells></worksheet>"
        )
    return members


def _cell(place: str, value: str | float) -> str:
    if isinstance(value, str):
        return f'<c r="{place}" t="inlineStr"><is><t>{value}</t></is></c>'
    return f'<c r="{place}"><v>{value}</v></c>'


def odf(kind: str, body: str, styles: str = "", prolog: str = "") -> bytes:
    content = f"{prolog}<office:document-content {_ODF_NAMES}>{_odf_body(kind, body, styles)}</office:document-content>"
    mime = f"application/vnd.oasis.opendocument.{kind}"
    entry = f'<manifest:file-entry manifest:full-path="/" manifest:media-type="{mime}"/>'
    manifest = f'<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0">{entry}</manifest:manifest>'
    return archive({"mimetype": mime, "content.xml": content, "META-INF/manifest.xml": manifest})


def flat_odf(kind: str, body: str, styles: str = "") -> bytes:
    """An OpenDocument file of a kind as one XML file."""
    head = f'{_ODF_NAMES} office:version="1.2" office:mimetype="application/vnd.oasis.opendocument.{kind}"'
    return f"<?xml version='1.0'?><office:document {head}>{_odf_body(kind, body, styles)}</office:document>".encode()


def _odf_body(kind: str, body: str, styles: str) -> str:
    inner = f"<office:body><office:{kind}>{body}</office:{kind}></office:body>"
    return f"<office:automatic-styles>{styles}</office:automatic-styles>{inner}"


_ODF_NAMES = 'xmlns:xlink="http://www.w3.org/1999/xlink" ' + " ".join(
    f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{space}:1.0"'
    for name, space in {
        "office": "office", "text": "text", "table": "table", "style": "style", "draw": "drawing",
        "presentation": "presentation", "svg": "svg-compatible", "fo": "xsl-fo-compatible",
    }.items()
)  # fmt: skip


def epub(chapters: Sequence[str], prolog: str = "", **parts: str | bytes) -> bytes:
    items = "".join(f'<item id="c{at}" href="c{at}.xhtml"/>' for at in range(len(chapters)))
    spine = "".join(f'<itemref idref="c{at}"/>' for at in range(len(chapters)))
    return archive(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": '<container><rootfile full-path="OPS/book.opf"/></container>',
            "OPS/book.opf": f"<package><manifest>{items}</manifest><spine>{spine}</spine></package>",
            **{f"OPS/c{at}.xhtml": f"{prolog}<html><body>{body}</body></html>" for at, body in enumerate(chapters)},
            **{name.replace("__", "/"): data for name, data in parts.items()},
        }
    )


def pdf(
    pages: Sequence[str],
    trailer: str = "",
    content: bytes | None = None,
    resources: str = "",
    more: Sequence[bytes] = (),
) -> bytes:
    """A PDF with one line of text a page, or `content` (already deflated) as what page 1 draws."""
    count = len(pages)
    kids = " ".join(f"{4 + 2 * at} 0 R" for at in range(count))
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        f"<</Type/Pages/Kids[{kids}]/Count {count}>>".encode(),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    for at, text in enumerate(pages):
        objects.append(
            f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents {5 + 2 * at} 0 R"
            f"/Resources<</Font<</F1 3 0 R>>{resources}>>>>".encode()
        )
        drawn = zlib.compress(f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET".encode()) if content is None else content
        objects.append(f"<</Length {len(drawn)}/Filter/FlateDecode>>stream\n".encode() + drawn + b"\nendstream")
    return pdf_file([*objects, *more], trailer)


def pdf_file(objects: Sequence[bytes], trailer: str = "") -> bytes:
    """A PDF of these objects, numbered from 1; the first is the catalog."""
    out = bytearray(b"%PDF-1.4\n")
    offsets: list[int] = []
    for number, data in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj" % number + data + b"endobj\n"
    table = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += f"trailer<</Size {len(objects) + 1}/Root 1 0 R{trailer}>>\nstartxref\n{table}\n%%EOF".encode()
    return bytes(out)


def pdf_with_picture(text: str, size: tuple[int, int]) -> bytes:
    """A page with a line of text above a picture of `size` points, which is 200 x 150 pixels of noise."""
    pixels = Image.effect_noise((200, 150), 50).convert("RGB").tobytes()
    picture = zlib.compress(pixels)
    name = "/Type/XObject/Subtype/Image/Width 200/Height 150/ColorSpace/DeviceRGB/BitsPerComponent 8/Filter/FlateDecode"
    drawn = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET q {size[0]} 0 0 {size[1]} 0 0 cm /Im1 Do Q"
    stream = b"<<" + name.encode() + b"/Length %d>>stream\n" % len(picture) + picture + b"\nendstream"
    return pdf([text], content=zlib.compress(drawn.encode()), resources="/XObject<</Im1 6 0 R>>", more=[stream])


def written(lines: Sequence[str], size: tuple[int, int] = (1000, 400)) -> Image.Image:
    """A picture with writing on it."""
    picture = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(picture)
    for at, line in enumerate(lines):
        draw.text((40, 40 + 70 * at), line, fill="black", font=ImageFont.load_default(40))
    return picture


def encoded(picture: Image.Image, kind: str = "PNG", **settings: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **settings)
    return out.getvalue()


def compound(*streams: str) -> bytes:
    """What an Office 97-2003 file begins with, and the names of its streams."""
    return b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504) + b"".join(name.encode("utf-16-le") for name in streams)
