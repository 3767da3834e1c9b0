"""Reads files of tensors in the safetensors format: eight bytes with the length of a JSON header, the header, the numbers."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from syncd.errors import PermanentError

_FLOATS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
_INTEGERS = {f"{sign.upper()}{8 * size}": f"<{sign}{size}" for sign in "iu" for size in (1, 2, 4, 8)}
_TYPES = {**_FLOATS, **_INTEGERS, "BOOL": "?"}
_MOST_HEADER_BYTES = 16 << 20


class TensorFacts(TypedDict):
    """What the head of a file says of one tensor."""

    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


def read_header(path: Path) -> tuple[Mapping[str, TensorFacts], int]:
    """Return the tensors of a file by their names, and where their numbers begin. Raises PermanentError for another format."""
    try:
        with path.open("rb") as file:
            (header_bytes,) = struct.unpack("<Q", file.read(8))
            if header_bytes > _MOST_HEADER_BYTES:
                raise ValueError(f"a header of {header_bytes} bytes")
            header = json.loads(file.read(header_bytes))
        return {name: _facts(about) for name, about in header.items() if name != "__metadata__"}, 8 + header_bytes
    except (OSError, ValueError, TypeError, KeyError, AttributeError, struct.error) as error:
        raise PermanentError(f"{path} is not a readable safetensors file ({error}): download it again") from error


def read_tensors(path: Path) -> dict[str, NDArray[Any]]:
    """Return the tensors of a file, mapped into memory; those of bfloat16, which numpy does not know, as float32.

    Raises as `read_header`, also for numbers of other types.
    """
    header, begin = read_header(path)
    data = np.memmap(path, dtype=np.uint8, mode="r", offset=begin)
    return {name: _array(path, name, data, about) for name, about in header.items()}


def _facts(about: Mapping[str, Any]) -> TensorFacts:
    begin, end = map(int, about["data_offsets"])
    return TensorFacts(
        dtype=str(about["dtype"]), shape=[int(size) for size in about["shape"]], data_offsets=(begin, end)
    )


def _array(path: Path, name: str, data: NDArray[np.uint8], about: TensorFacts) -> NDArray[Any]:
    (begin, end), kind = about["data_offsets"], about["dtype"]
    if kind not in _TYPES:
        raise PermanentError(f"{path} has {name!r} as {kind}, which cannot be read: save it as float32")
    try:
        found = data[begin:end].view(_TYPES[kind]).reshape(about["shape"])
    except ValueError as error:
        raise PermanentError(f"{path} is cut off or damaged ({error}): download it again") from error
    return _widened(found) if kind == "BF16" else found


def _widened(halves: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Return the numbers of which these are the upper halves, which is what bfloat16 keeps."""
    return (halves.astype("<u4") << 16).view("<f4")
