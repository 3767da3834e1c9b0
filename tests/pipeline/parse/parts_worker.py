"""The preparing process as it is, but that it hands over the parts of a document instead of chunks."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from pydantic import TypeAdapter

from syncd.model import Part
from syncd.pipeline.prepare.request import PrepareRequest
from syncd.pipeline.prepare.worker import main
from syncd.runtime.frames import Frame

PART: TypeAdapter[Part] = TypeAdapter(Part)


def parts_alone(parts: Iterator[Part], _: PrepareRequest) -> Iterator[Frame]:
    """Yield a frame for each part."""
    for part in parts:
        yield Frame({"chunks": True}, PART.dump_json(part))


if __name__ == "__main__":
    main(sys.argv[1:], parts_alone)
