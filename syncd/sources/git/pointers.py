"""Git LFS pointers: small text files that stand in a repository for large ones, which are kept elsewhere.

Source: github.com/git-lfs/git-lfs, docs/spec.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256

from syncd.errors import PutOffError, Skipped
from syncd.sources.bodies import TextCheck

MAX_POINTER_BYTES = 1023
"""The specification's limit: less than 1024."""
USUAL_POINTER_BYTES = range(120, 201)
"""The size of pointers without extensions, and more than these."""
POINTER_BYTES = range(120, MAX_POINTER_BYTES + 1)
"""The sizes that a pointer can have."""

_POINTER = re.compile(
    rb"version https://(?:git-lfs\.github\.com|hawser\.github\.com)/spec/v1\r?\n(?:ext-[^\n]*\n)*"
    rb"oid sha256:(?P<oid>[0-9a-f]{64})\r?\nsize (?P<size>[0-9]{1,18})\s*"
)


@dataclass(frozen=True, slots=True)
class Pointer:
    """What a pointer says about the file that it stands for."""

    oid: str
    """SHA-256, in hexadecimal digits."""
    size_bytes: int

    @classmethod
    def read(cls, data: bytes) -> Pointer | None:
        """Return the pointer that a file is; None for any other file, also for one that has a pointer in it."""
        found = _POINTER.fullmatch(data) if len(data) <= MAX_POINTER_BYTES else None
        return cls(found["oid"].decode(), int(found["size"])) if found else None


class PointerCheck(TextCheck):
    """Rejects what `TextCheck` rejects, and pointers."""

    def __init__(self, max_size_bytes: int) -> None:
        super().__init__(max_size_bytes)
        self._start = b""

    def feed(self, piece: bytes) -> None:
        """Check the next bytes. Raises Skipped as soon as they cannot be text of a permitted size."""
        super().feed(piece)
        if len(self._start) <= MAX_POINTER_BYTES:
            self._start += piece

    def finish(self) -> None:
        """Reject a body that ends inside a character, or is a pointer. Raises Skipped."""
        super().finish()
        if pointer := Pointer.read(self._start):
            raise Skipped(
                f"Git LFS: a pointer to {pointer.size_bytes:,} bytes that are not in the repository itself; "
                "`lfs = true` fetches them"
            )


class ObjectCheck:
    """Rejects what is not what a pointer stands for, and then what `TextCheck` rejects: a wrong answer says nothing of the file."""

    def __init__(self, pointer: Pointer) -> None:
        self._pointer = pointer
        self._text = TextCheck(pointer.size_bytes)
        self._digest = sha256()
        self._size_bytes = 0
        self._refusal: Skipped | None = None

    def feed(self, piece: bytes) -> None:
        """Check the next bytes. Raises PutOffError as soon as there are too many."""
        self._size_bytes += len(piece)
        if self._size_bytes > self._pointer.size_bytes:
            raise self._wrong()
        self._digest.update(piece)
        try:
            if not self._refusal:
                self._text.feed(piece)
        except Skipped as refusal:
            self._refusal = refusal

    def finish(self) -> None:
        """Check size and digest. Raises PutOffError if they are others, Skipped if the file is no text."""
        if self._size_bytes != self._pointer.size_bytes or self._digest.hexdigest() != self._pointer.oid:
            raise self._wrong()
        if self._refusal:
            raise self._refusal
        self._text.finish()

    def _wrong(self) -> PutOffError:
        return PutOffError(
            f"Git LFS: the server sent other bytes than the {self._pointer.size_bytes:,} of {self._pointer.oid}"
        )
