"""Framed messages over pipes, the language between the daemon and its child processes.

One frame on the wire, integers big-endian and unsigned:

    4 bytes   length of the header
    4 bytes   length of the payload
    header    a JSON object, UTF-8
    payload   raw bytes (vectors, texts, file contents), may be empty

The parent end is asynchronous (`receive`, `send`), the child's end blocks (`read`, `write`).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO

from syncd.json_types import Json, JsonObject

if TYPE_CHECKING:
    import asyncio

MAX_HEADER_BYTES = 8 << 20
MAX_PAYLOAD_BYTES = 1 << 30
_LENGTHS = struct.Struct("!II")


@dataclass(frozen=True, slots=True)
class Frame:
    """One message: a JSON object and raw bytes beside it."""

    header: Mapping[str, Any] = field(default_factory=dict[str, Any])
    payload: bytes = b""


class FrameError(Exception):
    """The stream does not hold a whole, sane frame: the other end died mid-way or something else wrote to its
    pipe.
    """


def encode(frame: Frame) -> bytes:
    """Return lengths and header of `frame` as bytes; its payload follows on the wire. Raises FrameError when
    too large.
    """
    header = json.dumps(frame.header, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    _check(len(header), len(frame.payload))
    return _LENGTHS.pack(len(header), len(frame.payload)) + header


async def receive(stream: asyncio.StreamReader) -> Frame | None:
    """Wait for the next frame; None when the other end closed the pipe between frames. Raises FrameError.

    Being cancelled half-way loses the place in the stream: read from one task that lives as long as the pipe.
    """
    # Not at the top: child processes never come here, and start and fit in less without asyncio.
    from asyncio import IncompleteReadError

    try:
        prefix = await stream.readexactly(_LENGTHS.size)
    except IncompleteReadError as error:
        if error.partial:
            raise FrameError("the stream ended inside a frame") from error
        return None
    header_bytes, payload_bytes = _lengths(prefix)
    try:
        header = await stream.readexactly(header_bytes)
        payload = await stream.readexactly(payload_bytes)
    except IncompleteReadError as error:
        raise FrameError("the stream ended inside a frame") from error
    return Frame(_parse(header), payload)


async def send(stream: asyncio.StreamWriter, frame: Frame) -> None:
    """Write `frame` whole, then wait while the pipe is full. Being cancelled while waiting does not tear the
    frame.

    Raises FrameError when it is too large, OSError when the other end is gone.
    """
    stream.write(encode(frame))
    if frame.payload:
        stream.write(frame.payload)
    await stream.drain()


def read_frame(file: BinaryIO) -> Frame | None:
    """Block until the next frame has come; None when the other end closed the pipe between frames. Raises
    FrameError.
    """
    prefix = file.read(_LENGTHS.size)
    if not prefix:
        return None
    header_bytes, payload_bytes = _lengths(prefix)
    header, payload = file.read(header_bytes), file.read(payload_bytes)
    if len(header) + len(payload) != header_bytes + payload_bytes:
        raise FrameError("the stream ended inside a frame")
    return Frame(_parse(header), payload)


def write(file: BinaryIO, frame: Frame) -> None:
    """Write `frame` and flush; blocks while the pipe is full. Raises FrameError when too large, OSError when
    closed.
    """
    file.write(encode(frame))
    file.write(frame.payload)
    file.flush()


def _lengths(prefix: bytes) -> tuple[int, int]:
    if len(prefix) != _LENGTHS.size:
        raise FrameError("the stream ended inside a frame")
    header_bytes: int
    payload_bytes: int
    header_bytes, payload_bytes = _LENGTHS.unpack(prefix)
    _check(header_bytes, payload_bytes)
    return header_bytes, payload_bytes


def _check(header_bytes: int, payload_bytes: int) -> None:
    if header_bytes > MAX_HEADER_BYTES or payload_bytes > MAX_PAYLOAD_BYTES:
        raise FrameError(f"a frame of {header_bytes} + {payload_bytes} bytes is over the limit")


def _parse(header: bytes) -> JsonObject:
    try:
        value: Json = json.loads(header.decode("utf-8", "surrogatepass"))
    except ValueError as error:
        raise FrameError("a frame's header is not JSON") from error
    if not isinstance(value, dict):
        raise FrameError("a frame's header is not a JSON object")
    return value
