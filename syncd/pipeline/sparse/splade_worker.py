"""SPLADE's own process: `python -m syncd.pipeline.sparse.splade_worker FOLDER THREADS`, frames over stdin and stdout.

{"texts": [...]} → {"lengths": [...]}: so many (uint32 term, float32 weight) pairs per text, one text after the other
"""

from __future__ import annotations

import sys
from pathlib import Path

from syncd.errors import PermanentError
from syncd.pipeline.sparse.splade_model import SpladeModel
from syncd.runtime.child import open_channel
from syncd.runtime.frames import Frame
from syncd.runtime.jail import Jail, confine
from syncd.runtime.launch import lower_priority
from syncd.store.sparse_codec import PAIR, packed

NICENESS = 5
"""Behind the daemon, as the dense model's process is."""


def main() -> None:
    """Serve until the parent closes the pipe."""
    channel = open_channel()
    lower_priority(NICENESS)
    folder, threads = sys.argv[1:]
    lacks = confine(Jail(readable=[folder]))
    try:
        model = SpladeModel(Path(folder), int(threads))
    except PermanentError as error:
        channel.serve(_refuse, {"error": {"kind": "permanent", "message": str(error)}})
        return

    def encode(request: Frame) -> Frame:
        vectors = [packed(model.vector(text)) for text in request.header["texts"]]
        return Frame({"lengths": [len(vector) // PAIR.itemsize for vector in vectors]}, b"".join(vectors))

    channel.serve(encode, {"jail_lacks": lacks})


def _refuse(_: Frame) -> Frame:
    raise PermanentError("the model is not loaded")


if __name__ == "__main__":
    main()
