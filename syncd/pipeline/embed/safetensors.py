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

_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U8": "u1"}
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
    """Return the tensors of a file, mapped into memory, but for those whose numbers numpy does not know. Raises as `read_header`."""
    header, begin = read_header(path)
    data = np.memmap(path, dtype=np.uint8, mode="r", offset=begin)
    return {name: _array(path, data, about) for name, about in header.items() if about["dtype"] in _TYPES}


def _facts(about: Mapping[str, Any]) -> TensorFacts:
    begin, end = map(int, about["data_offsets"])
    return TensorFacts(
        dtype=str(about["dtype"]), shape=[int(size) for size in about["shape"]], data_offsets=(begin, end)
    )


def _array(path: Path, data: NDArray[np.uint8], about: TensorFacts) -> NDArray[Any]:
    begin, end = about["data_offsets"]
    try:
        return data[begin:end].view(_TYPES[about["dtype"]]).reshape(about["shape"])
    except ValueError as error:
        raise PermanentError(f"{path} is cut off or damaged ({error}): download it again") from error
