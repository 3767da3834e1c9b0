"""Flat OpenDocument files: the same document as one XML file, in place of an archive (OpenDocument 1.3 part 3, section 3.1.1)."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Generator
from contextlib import contextmanager
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from syncd.errors import PermanentError
from syncd.pipeline.parse.archive import Package, open_package
from syncd.pipeline.parse.odf_text import DRAW, OFFICE, XLINK
from syncd.pipeline.parse.task import Task

_ROOT = re.compile(rb"<office:document\s")
_KIND = re.compile(rb"""office:mimetype\s*=\s*["']([\w.+/-]+)""")
FLAT_HEAD_BYTES = 1 << 14
"""Some forty namespaces stand before the kind."""
_DOCUMENT_PARTS = ("content.xml", "styles.xml")


class FlatPackage:
    """Reads as the archive of the same document would: what lies inside an element there is a member here."""

    def __init__(self, data: bytes, root: Element) -> None:
        self._data = data
        self._parts: dict[str, Element] = dict.fromkeys(_DOCUMENT_PARTS, root)
        self._pictures: dict[str, bytes] = {}
        for number, holder in enumerate(root.iter(DRAW + "object")):
            if len(holder):
                self._parts[f"Object {number}/content.xml"] = holder[0]
                holder.set(XLINK + "href", f"Object {number}")
        for number, holder in enumerate(root.iter(DRAW + "image")):
            if text := holder.findtext(OFFICE + "binary-data"):
                self._pictures[f"Pictures/{number}"] = _decoded(text)
                holder.set(XLINK + "href", f"Pictures/{number}")

    def read(self, member: str) -> bytes | None:
        """Return a picture's bytes, or the whole file as the content; None for what an archive would lack."""
        return self._data if member in _DOCUMENT_PARTS else self._pictures.get(member)

    def xml(self, member: str) -> Element | None:
        """Return the document as its content and its styles, or an embedded object's content; None for everything else."""
        return self._parts.get(member)


@contextmanager
def open_document(task: Task) -> Generator[Package | FlatPackage]:
    """Open an OpenDocument file, packed or flat. Raises PermanentError: damaged, encrypted, too large."""
    if is_zip(task):
        with open_package(task.path, task.name, task.limits) as package:
            yield package
        return
    data = task.path.read_bytes()
    if len(data) > task.limits.expanded_bytes:
        raise PermanentError(f"{task.name} has more than {task.limits.expanded_bytes >> 20} MiB: split it")
    try:
        root = ElementTree.fromstring(data)  # noqa: S314 - expat bounds entity expansion and fetches nothing
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise PermanentError(f"{task.name} is damaged: it is not well-formed ({error})") from error
    yield FlatPackage(data, root)


def is_zip(task: Task) -> bool:
    """Return whether the file begins as a ZIP archive does."""
    with task.path.open("rb") as file:
        return file.read(2) == b"PK"


def is_flat(task: Task) -> bool:
    """Return whether the file begins as a flat OpenDocument file does."""
    with task.path.open("rb") as file:
        return bool(flat_mimetype(file.read(FLAT_HEAD_BYTES)))


def flat_mimetype(head: bytes) -> bytes:
    """Return which kind of document a flat file says that it is, as an archive's member `mimetype` would; b"" for other files."""
    root = _ROOT.search(head)
    attributes = head[root.end() :].partition(b">")[0] if root else b""
    kind = _KIND.search(attributes)
    return kind[1] if kind else b""


def _decoded(text: str) -> bytes:
    """Return a picture's bytes; what is not base64 is no picture, and is said to be none."""
    try:
        return base64.b64decode(text)
    except (binascii.Error, ValueError):
        return b""
