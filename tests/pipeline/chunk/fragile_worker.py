"""A chunker whose parser always kills its process."""

from __future__ import annotations

import os

from syncd.pipeline.chunk.worker import split
from syncd.runtime.child import open_channel
from syncd.runtime.frames import Frame


def fragile_split(request: Frame) -> Frame:
    if request.header["parse"]:
        os.abort()
    return split(request)


if __name__ == "__main__":
    open_channel().serve(fragile_split)
