"""Which engine reads text in pictures: Tesseract where its language data is installed, else RapidOCR where its package is."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from syncd.pipeline.parse.task import Ocr

_TESSDATA = (
    "/usr/share/tesseract-ocr/5/tessdata",
    "/usr/share/tesseract-ocr/4.00/tessdata",
    "/usr/share/tessdata",
    "/usr/local/share/tessdata",
)
NO_ENGINE = "nothing here reads text in pictures: apt install tesseract-ocr, with a package per language, or else pip install 'syncd[ocr]'"


def tessdata(languages: Sequence[str]) -> str | None:
    """Return the folder that holds Tesseract's data of all `languages`; None when there is none."""
    folders = [os.environ.get("TESSDATA_PREFIX", ""), *_TESSDATA]
    for folder in filter(None, folders):
        if all(Path(folder, f"{language}.traineddata").is_file() for language in languages):
            return folder
    return None


@cache
def is_rapidocr_installed() -> bool:
    """Return whether the extra `ocr` is."""
    return find_spec("rapidocr") is not None


def can_read(settings: Ocr) -> bool:
    """Return whether there is an engine for these languages."""
    return tessdata(settings.languages) is not None or is_rapidocr_installed()


def effective(settings: Ocr) -> Ocr:
    """Return what comes of the settings on this machine: without an engine nothing is read."""
    return settings if can_read(settings) else replace(settings, enabled=False)
