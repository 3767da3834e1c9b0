"""What decides here what becomes of a document, beside its bytes and the order: a worker must have the same."""

from __future__ import annotations

import platform
import re
import shutil
from collections.abc import Iterable, Iterator
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import syncd
from syncd.pipeline.parse.ocr_engine import is_rapidocr_installed, tessdata
from syncd.pipeline.parse.task import Ocr
from syncd.pipeline.prepare.process import PreparerSettings

_DECIDE = ("html", "model", "pipeline/chunk", "pipeline/parse", "pipeline/prepare")
"""Folders of code that reads and chunks."""
_OF_EXTRAS = ("onnxruntime", "rapidocr")


def preparing_versions(settings: PreparerSettings) -> dict[str, str]:
    """Return versions, or hashes, by what they are of: syncd's code and packages, OCR's data, LibreOffice. Reads some megabytes."""
    packages = {name: found for name in _packages() if (found := _installed(name))}
    python = ".".join(platform.python_version_tuple()[:2])
    own = f"{syncd.__version__} (code {_code()})"
    return {"Python": python, "syncd": own, "OCR": _ocr(settings.ocr), "LibreOffice": _office(), **packages}


def _packages() -> Iterator[str]:
    """Yield what syncd needs, more than what reads documents, and what extras add that does."""
    for requirement in requires("syncd") or ():
        name = re.match(r"[\w.-]+", requirement)
        if name and "extra ==" not in requirement:
            yield name.group()
    yield from _OF_EXTRAS


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _code() -> str:
    package = Path(syncd.__file__).parent
    files = (path for folder in _DECIDE for path in (package / folder).rglob("*") if path.is_file())
    return _digest(package, (path for path in files if path.parent.name != "__pycache__"))


def _ocr(ocr: Ocr) -> str:
    """Return which engine reads scans: of Tesseract the data decides, since the program is in a package."""
    if not ocr.enabled:
        return "off"
    if folder := tessdata(ocr.languages):
        files = [Path(folder, f"{language}.traineddata") for language in ocr.languages]
        return f"Tesseract (data {_digest(Path(folder), files)})"
    return "RapidOCR" if is_rapidocr_installed() else "none"


def _office() -> str:
    """Return which LibreOffice converts old files, by the note of its build beside the program."""
    program = shutil.which("soffice")
    if program is None:
        return "none"
    note = Path(program).resolve().with_name("versionrc")
    return f"build {_digest(note.parent, [note])}" if note.is_file() else "unknown"


def _digest(folder: Path, files: Iterable[Path]) -> str:
    found = sha256()
    for path in sorted(files):
        found.update(f"{path.relative_to(folder)}\0{path.stat().st_size}\0".encode())
        found.update(path.read_bytes())
    return found.hexdigest()[:12]
