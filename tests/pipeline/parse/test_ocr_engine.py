"""Pictures where nothing can read them."""

from pathlib import Path

import pytest

from syncd.model.formats import format_of
from syncd.pipeline.parse import image, ocr_engine
from syncd.pipeline.parse.task import Ocr, Task
from syncd.pipeline.prepare.preparer import DocumentPreparer
from syncd.pipeline.prepare.process import PreparerSettings
from tests.pipeline.parse.documents import encoded, written


@pytest.fixture
def without_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ocr_engine, "is_rapidocr_installed", lambda: False)


def a_picture(folder: Path, languages: tuple[str, ...]) -> Task:
    path = folder / "a.png"
    path.write_bytes(encoded(written(["The quick brown fox"])))
    return Task(path, "a.png", format_of("a.png", None), ocr=Ocr(languages=languages))


@pytest.mark.usefixtures("without_engine")
def test_a_picture_that_nothing_can_read_has_a_warning_that_says_what_to_install(tmp_path: Path) -> None:
    task = a_picture(tmp_path, languages=("xyz",))
    assert not any("quick" in piece.part.text for piece in image.read(task))
    (warning,) = task.warnings.all()
    assert (warning.code, "tesseract-ocr" in warning.message) == ("picture_unread", True)


def test_a_picture_is_prepared_again_once_there_is_an_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    preparer = DocumentPreparer(PreparerSettings(ocr=Ocr(languages=("xyz",))))
    with_one = preparer.fingerprint("a.png")
    monkeypatch.setattr(ocr_engine, "is_rapidocr_installed", lambda: False)
    assert preparer.fingerprint("a.png") != with_one
    assert preparer.fingerprint("a.md") == ""
