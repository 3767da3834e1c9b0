"""A format made up: `.toy` files, whose lines are read backwards. This module is its reader, and what a process runs to know it."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from syncd.model import formats
from syncd.pipeline.parse.task import Markdown, ParsedPiece, Task
from syncd.pipeline.prepare.worker import main

TOY = formats.Format("toy", {".toy": ("application/x-toy",)}, reader="toy", magic=(b"TOY\n",))


def read(task: Task) -> Iterator[ParsedPiece]:
    """Yield the lines backwards."""
    out = Markdown(task.limits)
    for line in task.path.read_text().splitlines()[1:]:
        out.block(line[::-1])
        if line.endswith("?"):
            task.warn("unread_content", f"what {line} means is not known")
    yield out.take()


if __name__ == "__main__":
    formats.FORMATS = (*formats.FORMATS, TOY)
    # As if it lay where readers lie.
    sys.modules["syncd.pipeline.parse.toy"] = sys.modules["__main__"]
    main(sys.argv[1:])
