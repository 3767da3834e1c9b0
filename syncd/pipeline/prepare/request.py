"""What a preparing process is asked to do, and the frames it answers with.

{"read": true}                           a piece of the document has been read; the time limit restarts
{"pictures": [bytes, …]} + pictures      to be described; answered with {"words": [text, …]}
{"chunks": true} + chunks as JSON        the next batch
{"memory_bytes": peak, "legacy": "", "warnings": [{"code": …, "message": …, "count": …}, …]}
                                         the last one; "legacy" is the suffix of a file that LibreOffice has to convert first
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from syncd.json_types import JsonObject
from syncd.model import Chunk, Chunking, SecretsPolicy
from syncd.pipeline.parse.task import Picture, Task
from syncd.runtime.frames import Frame

READ = Frame({"read": True})


@dataclass(frozen=True, slots=True)
class PrepareRequest:
    """One document to read and how to chunk it; `step_limit_s` bounds the processor time of each step."""

    task: Task
    path: str
    """What breadcrumbs begin with, and what tells the language of code."""
    chunking: Chunking
    step_limit_s: float
    parsed_segments: int | None = None
    """From this segment on, code is cut as text; None: nowhere."""
    secrets: SecretsPolicy = "mask"

    def header(self) -> JsonObject:
        """Return the request as JSON values."""
        return {
            "task": self.task.header(),
            "path": self.path,
            "chunking": asdict(self.chunking),
            "step_limit_s": self.step_limit_s,
            "parsed_segments": self.parsed_segments,
            "secrets": self.secrets,
        }

    @classmethod
    def from_header(cls, header: Mapping[str, Any]) -> PrepareRequest:
        """Return the request `header()` describes."""
        return cls(
            Task.from_header(header["task"]),
            header["path"],
            Chunking(**header["chunking"]),
            header["step_limit_s"],
            header["parsed_segments"],
            header["secrets"],
        )


def batch_frame(chunks: Sequence[Chunk]) -> Frame:
    """Return a batch as it travels."""
    # Not pydantic's encoder, which costs every process 15 MiB and a sixth of a second; orjson knows plain tuples only.
    rows = [(chunk.text, tuple(chunk.span), *chunk[2:]) for chunk in chunks]
    return Frame({"chunks": True}, orjson.dumps(rows))


def pictures_frame(pictures: Sequence[Picture]) -> Frame:
    """Return the question what is to be seen in pictures."""
    return Frame(
        {"pictures": [len(picture.data) for picture in pictures]}, b"".join(picture.data for picture in pictures)
    )


def pictures_of(frame: Frame) -> list[bytes]:
    """Return the pictures that `pictures_frame` asks about."""
    found: list[bytes] = []
    at = 0
    for size_bytes in frame.header["pictures"]:
        found.append(frame.payload[at : at + size_bytes])
        at += size_bytes
    return found
