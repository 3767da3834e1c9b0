"""EPUB books: the chapters of the spine in order, each a part of its own."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from functools import partial
from urllib.parse import unquote
from xml.etree.ElementTree import Element

from syncd.errors import PermanentError
from syncd.pipeline.parse.archive import Package, open_package
from syncd.pipeline.parse.html import html_to_markdown, with_pictures
from syncd.pipeline.parse.image import Pictures
from syncd.pipeline.parse.task import Markdown, ParsedPiece, Task

_ENCRYPTION = "META-INF/encryption.xml"
_FONT_OBFUSCATION = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")


def read(task: Task) -> Iterator[ParsedPiece]:
    """Yield one part a chapter, page marks counting chapters. Raises PermanentError: damaged, protected, no chapters."""
    with open_package(task.path, task.name, task.limits) as package:
        _refuse_protected(package, task.name)
        container = package.xml("META-INF/container.xml")
        start = next((node.get("full-path", "") for node in _all(container, "rootfile")), "")
        book = package.xml(start)
        if book is None:
            raise PermanentError(f"{task.name} is damaged: it has no table of its chapters")
        folder = posixpath.dirname(start)
        hrefs = {node.get("id"): node.get("href", "") for node in _all(book, "item")}
        out, pictures = Markdown(task.limits), Pictures(task)
        number = 0
        for reference in _all(book, "itemref"):
            member = posixpath.normpath(posixpath.join(folder, unquote(hrefs.get(reference.get("idref"), ""))))
            data = package.read(member)
            if data is None:
                continue
            number += 1
            out.page(number)
            markdown = html_to_markdown(data, f"{task.name} ({member})", task.limits)
            yield from with_pictures(markdown, out, pictures, partial(_picture, package, posixpath.dirname(member)))
            yield out.take()


def _picture(package: Package, folder: str, address: str) -> bytes | None:
    return package.read(posixpath.normpath(posixpath.join(folder, unquote(address.partition("#")[0]))))


def _all(root: Element | None, name: str) -> Iterator[Element]:
    for node in root.iter() if root is not None else ():
        if node.tag.rpartition("}")[2] == name:
            yield node


def _refuse_protected(package: Package, name: str) -> None:
    methods = [node.get("Algorithm", "") for node in _all(package.xml(_ENCRYPTION), "EncryptionMethod")]
    if any(method not in _FONT_OBFUSCATION for method in methods):
        raise PermanentError(f"{name} is protected against copying (DRM) and cannot be read")
