"""Documents that no parser can make anything of, or that want more than anybody has."""

import random
import zipfile
from collections.abc import Iterator
from io import BytesIO

SUFFIXES = ("pdf", "docx", "odt", "xlsx", "rtf", "html", "py", "md", "json", "eml")
HEADS = {"pdf": b"%PDF-1.7\n", "docx": b"PK\x03\x04", "odt": b"PK\x03\x04", "xlsx": b"PK\x03\x04", "rtf": b"{\\rtf1 "}
MANY = 200_000


def poisoned(rng: random.Random, number: int) -> Iterator[tuple[str, bytes]]:
    """Yield some, with names that no others have: noise, a damaged archive, a bomb, and something nested or endless."""
    suffix = rng.choice(SUFFIXES)
    yield f"noise-{number}.{suffix}", HEADS.get(suffix, b"") + rng.randbytes(rng.randrange(1, 1 << 16))
    content = bytearray(archive(b"<w:p><w:r><w:t>of no use</w:t></w:r></w:p>"))
    for _ in range(rng.randrange(1, 20)):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    yield f"damaged-{number}.docx", bytes(content)
    yield f"bomb-{number}.docx", archive(bytes(rng.randrange(1, 200) << 20))
    name, endless = rng.choice(
        [
            ("html", b"<div>" * MANY),
            ("json", b"[" * MANY),
            ("md", b"> " * MANY),
            ("py", b"(" * MANY),
            ("md", b"x" * (MANY * 20)),
            ("html", b"<table><tr><td colspan=100000>" * 1000),
            ("md", "\ud800\udfff".encode("utf-8", "surrogatepass") * MANY),
        ]
    )
    yield f"endless-{number}.{name}", endless


def archive(document: bytes) -> bytes:
    """Return what looks like a document of Word."""
    written = BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("[Content_Types].xml", "<Types/>")
        file.writestr("word/document.xml", document)
    return written.getvalue()
