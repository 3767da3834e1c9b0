"""Files of Word and PowerPoint 97-2003."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from syncd.errors import PermanentError
from tests.pipeline.parse.documents import compound, flat_odf
from tests.pipeline.parse.reading import PartReader, on_pages, parts_of, text_of

pytestmark = pytest.mark.asyncio(loop_scope="module")
needs_office = pytest.mark.skipif(shutil.which("soffice") is None, reason="LibreOffice is not installed")


async def test_without_libreoffice_the_packages_are_named(pool: PartReader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(PermanentError, match=r"apt-get install .*libreoffice-writer-nogui libreoffice-impress-nogui"):
        await text_of(pool, compound("WordDocument"), "a.doc")


@needs_office
async def test_a_file_libreoffice_cannot_read_says_so(pool: PartReader) -> None:
    with pytest.raises(PermanentError, match=r"cannot be read by LibreOffice|contains no readable text"):
        await text_of(pool, compound("PowerPoint Document"), "a.ppt")


_RICH = rb"{\rtf1{\stylesheet{\s1 heading 1;}}{\pard\s1 Head\par}{\pard words\par}}"


@needs_office
async def test_old_word_files_are_read(pool: PartReader, tmp_path: Path) -> None:
    old = _old(_RICH, "rtf", "doc", tmp_path)
    assert await text_of(pool, old, "a.doc") == "# Head\n\nwords\n\n"
    assert await text_of(pool, _RICH, "rich.doc") == "# Head\n\nwords\n\n"


@needs_office
async def test_old_presentations_are_read(pool: PartReader, tmp_path: Path) -> None:
    place = 'svg:width="10cm" svg:height="2cm" svg:x="1cm" svg:y="1cm"'
    box = f"<draw:frame {place}><draw:text-box><text:p>words</text:p></draw:text-box></draw:frame>"
    slides = flat_odf("presentation", f'<draw:page draw:name="p">{box}</draw:page>')
    old = _old(slides, "fodp", "ppt", tmp_path, "--infilter=OpenDocument Presentation Flat XML")
    assert on_pages(await parts_of(pool, old, "a.ppt")) == {1: "words\n\n"}


def _old(data: bytes, suffix: str, old: str, folder: Path, *options: str) -> bytes:
    """Have LibreOffice write the old format, which nothing else here can."""
    source = folder / f"made.{suffix}"
    source.write_bytes(data)
    profile = f"-env:UserInstallation={(folder / 'profile').as_uri()}"
    command = ["soffice", profile, "--headless", *options, "--convert-to", old, "--outdir", str(folder), str(source)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return (folder / f"made.{old}").read_bytes()
