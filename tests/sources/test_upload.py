"""How an uploaded file is read, by its name or by the type that its uploader named."""

import pytest

from syncd.sources.upload.source import overridden


@pytest.mark.parametrize(
    ("name", "media_type", "read_as"),
    [
        ("table.csv", "application/pdf", "table.pdf"),
        ("a/notes.v2.txt", "text/markdown; charset=utf-8", "a/notes.v2.md"),
        ("script", "text/x-python", "script.py"),
        ("page.html", "text/plain", "page.txt"),
        ("page.html", "text/x-odd", "page.txt"),
        ("photo.jpeg", "image/jpeg", "photo.jpeg"),
        ("report.pdf", "application/octet-stream", "report.pdf"),
        ("report.pdf", "application/x-odd", "report.pdf"),
        (".", "text/markdown", "..md"),
    ],
)
def test_a_named_media_type_overrides_the_suffix(name, media_type, read_as):
    assert overridden(name, media_type) == read_as
