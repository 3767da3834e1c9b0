"""The real program on one folder that holds a document of every format: each is found again, on its page."""

import sys
from pathlib import Path

import pytest
from aiohttp import web

from tests.app.test_daemon import configuration, request, until
from tests.daemon import Daemon
from tests.pipeline.parse.documents import (
    compound,
    docx,
    encoded,
    epub,
    odf,
    paragraph,
    pdf,
    pptx,
    shape,
    written,
    xlsx,
)
from tests.serving import serve

SAID = {
    "report.pdf": "The harbour master counts grain barges",
    "letter.docx": "Our beekeepers harvest heather honey late",
    "notes.odt": "Violin makers prefer spruce from cold valleys",
    "figures.xlsx": "Turbine bearings wear fastest in winter",
    "macros.xlsm": "Glaciologists drill cores near the summit",
    "template.xltx": "Falconers weigh their birds every morning",
    "table.csv": "Potters mix grog into coarse clay",
    "sheet.ods": "Cartographers redraw the estuary yearly",
    "slides.pptx": "Locksmiths file brass keys by hand",
    "show.odp": "Astronomers calibrate mirrors before dusk",
    "page.html": "Weavers dye wool with walnut husks",
    "book.epub": "Lighthouse crews polish the great lens",
    "scan.png": "Foresters thin young stands",
    "photo.jpg": "Saddlers stitch waxed linen",
    "frames.gif": "Coopers toast their barrels",
    "web.webp": "Divers map sunken ships",
    "fax.tiff": "Bookbinders sew leather",
    "old.tif": "Millers dress the stones",
}
"""What each document says, in words no other one has."""
PAGES = {
    "report.pdf": (1, 2),
    "slides.pptx": (1, 2),
    "book.epub": (2, None),
    "figures.xlsx": (1, None),
    "sheet.ods": (1, None),
    "fax.tiff": (1, None),
}
"""The pages where the chunk with those words begins and, if elsewhere, ends."""
SEEN = "A rooster on a weathervane above a slate roof"
PICTURES = {"png", "jpg", "gif", "webp", "tiff", "tif"}
TYPES = {"jpg": "JPEG", "tif": "TIFF"}


def document(name: str, words: str) -> bytes:
    match name.rpartition(".")[2]:
        case "pdf":
            return pdf(["Nothing here.", words])
        case "docx":
            picture = '<w:r><w:drawing><wp:docPr descr="A roof"/><a:blip r:embed="p"/></w:drawing></w:r>'
            body = paragraph("Honey", "H1") + paragraph(words) + paragraph(inner=picture)
            return docx(body, {"p": ("image", "media/p.png")}, **{"media__p.png": encoded(written([]))})
        case "odt":
            return odf("text", f"<text:p>{words}</text:p>")
        case "ods":
            cell = f'<table:table-cell office:value-type="string"><text:p>{words}</text:p></table:table-cell>'
            row = f"<table:table-row>{cell}</table:table-row>"
            return odf("spreadsheet", f'<table:table table:name="S">{row}</table:table>')
        case "odp":
            box = f"<draw:frame><draw:text-box><text:p>{words}</text:p></draw:text-box></draw:frame>"
            return odf("presentation", f"<draw:page>{box}</draw:page>")
        case "xlsx" | "xlsm" | "xltx":
            return xlsx({"S": {"A1": "what", "B1": "who", "A2": words, "B2": "us"}})
        case "csv":
            return f"what;who\n{words};us\n".encode()
        case "pptx":
            return pptx([shape("First", "title"), shape("Second", "title") + shape(words)])
        case "html":
            return f"<html><body><h1>Page</h1><p>{words}</p></body></html>".encode()
        case "epub":
            return epub(["<h1>One</h1><p>Nothing yet.</p>", f"<h1>Two</h1><p>{words}</p>"])
        case kind:
            return encoded(written([words]), TYPES.get(kind, kind.upper()))


def configured(folder, vision_url: str) -> str:
    return f"""
[documents]
parsers = 1
[documents.vision]
url = "{vision_url}/v1"
model = "eyes"
[[sources]]
name = "office"
type = "folder"
path = "{folder}"
collection = "office"
"""


async def vision(asked: web.Request) -> web.Response:
    body = await asked.json()
    assert body["model"] == "eyes"
    return web.json_response({"choices": [{"message": {"content": SEEN}}]})


@pytest.fixture(scope="module")
def daemon(minilm_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("office")
    for name, words in SAID.items():
        (folder / name).write_bytes(document(name, words))
    (folder / "memo.doc").write_bytes(compound("WordDocument"))
    (folder / "broken.docx").write_bytes(document("letter.docx", "x")[:300])
    # LibreOffice, where it is installed, is out of this daemon's sight
    path = str(Path(sys.executable).parent)
    with serve(vision) as url:
        running = Daemon(
            tmp_path_factory.mktemp("daemon"),
            configuration(minilm_folder, configured(folder, url)),
            environment={"PATH": path},
        ).start()
        until(lambda: sum(states(running).values()) == len(SAID) + 2 and running.unsettled() == 0, 300)
        yield running
        assert running.stop() == 0


def states(daemon: Daemon) -> dict[str, int]:
    return dict(daemon.rows("SELECT state, count(*) FROM documents GROUP BY state"))


def found(daemon: Daemon, query: str, limit: int = 1) -> list[dict]:
    body = {"query": query, "database_name": "default_database", "collection_name": "office", "limit": limit}
    return request(daemon, "POST", "/api/v1/search", body | {"mode": "hybrid"})["hits"]


def test_every_format_is_found_again_with_its_page(daemon):
    assert states(daemon) == {"indexed": len(SAID), "failed": 2}, daemon.rows(
        "SELECT key, reason FROM documents WHERE state = 'failed'"
    )
    hits = {name: found(daemon, words)[0] for name, words in SAID.items()}
    assert {name: hit["metadata"]["key"] for name, hit in hits.items()} == {name: name for name in SAID}
    spans = {name: hits[name]["metadata"] for name in PAGES}
    assert {name: (span["page"], span.get("last_page")) for name, span in spans.items()} == PAGES
    assert hits["figures.xlsx"]["metadata"]["page_label"] == "S"


def test_pictures_are_described_at_their_place_by_the_configured_model(daemon):
    keys = {hit["metadata"]["key"] for hit in found(daemon, SEEN, limit=20) if SEEN in hit["text"]}
    assert keys == {"letter.docx", *(name for name in SAID if name.rpartition(".")[2] in PICTURES)}
    (text,) = (hit["text"] for hit in found(daemon, SAID["letter.docx"]))
    assert text.index("heather") < text.index("A roof") < text.index(SEEN)


def test_what_cannot_be_read_says_why_and_what_to_do(daemon):
    reasons = dict(daemon.rows("SELECT key, reason FROM documents WHERE state = 'failed'"))
    assert "apt-get install --no-install-recommends libreoffice-writer-nogui" in reasons["memo.doc"]
    assert "broken.docx is damaged" in reasons["broken.docx"]
