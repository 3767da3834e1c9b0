"""RTF as Outlook's messages keep it (MS-OXRTFCP): LZ77 over a ring of 4 KiB that begins with common words."""

from __future__ import annotations

import struct

_HEADER = struct.Struct("<II4sI")
_RING = 4096
_PRELOADED = (
    rb"{\rtf1\ansi\mac\deff0\deftab720{\fonttbl;}{\f0\fnil \froman \fswiss \fmodern \fscript \fdecor MS Sans SerifSymbol"
    rb"ArialTimes New RomanCourier{\colortbl\red0\green0\blue0"
    b"\r\n"
    rb"\par \pard\plain\f0\fs20\b\i\u\tab\tx"
)


def decompressed_rtf(data: bytes) -> bytes:
    """Return the RTF, as far as it can be read: at most nine times as long as `data`."""
    if len(data) < _HEADER.size:
        return b""
    _, size, magic, _ = _HEADER.unpack_from(data)
    if magic == b"MELA":
        return data[_HEADER.size : _HEADER.size + size]
    return _expanded(data)[:size] if magic == b"LZFu" else b""


def _expanded(data: bytes) -> bytes:
    ring = bytearray(_PRELOADED.ljust(_RING, b" "))
    write, at, out = len(_PRELOADED), _HEADER.size, bytearray()
    while at < len(data):
        control = data[at]
        at += 1
        for bit in range(8):
            if not control >> bit & 1:
                piece = data[at : at + 1]
                at += 1
            else:
                reference = int.from_bytes(data[at : at + 2], "big")
                at += 2
                start, length = reference >> 4, (reference & 15) + 2
                if start == write or at > len(data):
                    return bytes(out)
                piece = _copied(ring, start, length, write)
            for sign in piece:
                ring[write] = sign
                write = (write + 1) % _RING
            out += piece
    return bytes(out)


def _copied(ring: bytearray, start: int, length: int, write: int) -> bytes:
    """Return what a reference means; it may run into what it writes itself."""
    piece = bytearray()
    for offset in range(length):
        at = (start + offset) % _RING
        behind = (at - write) % _RING
        piece.append(piece[behind] if behind < len(piece) else ring[at])
    return bytes(piece)
