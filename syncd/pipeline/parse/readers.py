"""A document's text by the module that its format names, imported when first needed: most processes see few formats."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module

from syncd.errors import PermanentError
from syncd.model.formats import LEGACY, PDF
from syncd.pipeline.parse.sniff import confirm, legacy_suffix
from syncd.pipeline.parse.task import ParsedPiece, Task

Reader = Callable[[Task], Iterator[ParsedPiece]]


class ConversionNeededError(Exception):
    """The file is one of Office 97-2003, which LibreOffice reads by this suffix; no parser here does."""

    def __init__(self, suffix: str) -> None:
        super().__init__(suffix)
        self.suffix = suffix


def read(task: Task) -> Iterator[ParsedPiece]:
    """Yield the document's text, by what its content is, whatever its name says; text is read as what its name says.

    Raises PermanentError in words its owner understands, ConversionNeededError, MemoryError over the process's limit.
    """
    if task.format.is_text:
        return _reader(task)(task)
    found = confirm(task)
    if found is LEGACY:
        raise ConversionNeededError(legacy_suffix(task.path))
    # The PDF libraries go by names.
    path = task.path.rename(task.path.with_suffix(".pdf")) if found is PDF else task.path
    return _read_document(replace(task, path=path, format=found))


def _read_document(task: Task) -> Iterator[ParsedPiece]:
    found = False
    try:
        for piece in _reader(task)(task):
            if piece.part.text.strip() or piece.pictures:
                found = True
                yield piece
    except RecursionError as error:
        raise PermanentError(f"{task.name} is nested too deeply to be read") from error
    if not found:
        raise PermanentError(f"{task.name} contains no readable text: nothing to index")


def _reader(task: Task) -> Reader:
    name = "docling" if task.converter == "docling" and task.format.docling else task.format.reader
    reader: Reader = import_module(f"{__package__}.{name}").read
    return reader
