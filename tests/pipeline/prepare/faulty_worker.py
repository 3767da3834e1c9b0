"""The preparing process, but that it dies or hangs when a text says so: always, or only while its code is parsed."""

import itertools
import os
import signal
import sys
import time
from collections.abc import Iterator

from syncd.model import Part
from syncd.pipeline.prepare.request import PrepareRequest
from syncd.pipeline.prepare.worker import chunked, main
from syncd.runtime.frames import Frame

_TEXTS = itertools.count()
"""Numbers of the texts that this process was given."""


def faulty(parts: Iterator[Part], request: PrepareRequest) -> Iterator[Frame]:
    """Do to this process what a part's text says, then chunk it."""

    is_first = next(_TEXTS) == 0

    def harmed() -> Iterator[Part]:
        for number, part in enumerate(parts):
            if "die always" in part.text:
                os.kill(os.getpid(), signal.SIGSEGV)
            is_parsed = request.parsed_segments is None or number < request.parsed_segments
            if "die parsing" in part.text and is_parsed:
                os.kill(os.getpid(), signal.SIGSEGV)
            if "killed always" in part.text:
                os.kill(os.getpid(), signal.SIGKILL)
            if "fill" in part.text:
                for name in range(1 << 20):
                    request.task.path.with_name(str(name)).write_bytes(bytes(1 << 20))
            if "hang" in part.text or ("stall unless first" in part.text and not is_first):
                time.sleep(3600)
            if "bug" in part.text:
                raise ZeroDivisionError("on purpose")
            yield part

    return chunked(harmed(), request)


if __name__ == "__main__":
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - for as long as the process lives
    main(sys.argv[1:], faulty)
