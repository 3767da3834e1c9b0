"""The parser process: `python -m syncd.pipeline.parse.worker SCRATCH MEMORY_BYTES [READABLE]`, one document at a time, jailed.

Request: a `Task` header, whose format is what the name promises. Replies: one frame a piece, then {"end": true,
"memory_bytes": peak}; or, for a file that LibreOffice has to convert first, only the end with the "legacy" suffix it has.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from syncd.pipeline.parse.jail import Limits, confine, limit_cpu
from syncd.pipeline.parse.seccomp import Allowance
from syncd.runtime.child import open_channel
from syncd.runtime.frames import Frame

_FILE_BYTES = 1 << 30


def main(arguments: list[str]) -> None:
    """Serve until the daemon closes the pipe."""
    channel = open_channel()
    # Opened outside the jail, which has no /proc.
    status = os.open("/proc/self/status", os.O_RDONLY)
    scratch, memory_bytes = Path(arguments[0]), int(arguments[1])
    confinement = confine(scratch, Limits(memory_bytes, _FILE_BYTES), Allowance.PARSER, arguments[2:])
    hello = {
        "landlock_abi": confinement.landlock_abi,
        "seccomp": confinement.seccomp,
        "missing": confinement.missing,
    }
    channel.serve(partial(_answer, status), hello)


def _answer(status: int, request: Frame) -> Iterator[Frame]:
    # imported inside the jail: libraries start threads, which Landlock would not bind afterwards
    from syncd.pipeline.parse.formats import Format
    from syncd.pipeline.parse.readers import read
    from syncd.pipeline.parse.sniff import confirm, legacy_suffix
    from syncd.pipeline.parse.task import OUT_OF_MEMORY, Task, to_frame

    step_cpu_s = float(request.header["step_cpu_s"])
    end: dict[str, object] = {"end": True}
    try:
        limit_cpu(step_cpu_s)
        task = Task.from_header(request.header)
        found = confirm(task)
        if found is Format.LEGACY:
            end["legacy"] = legacy_suffix(task.path)
        else:
            # The PDF libraries go by names.
            path = task.path.rename(task.path.with_suffix(".pdf")) if found is Format.PDF else task.path
            for piece in read(replace(task, path=path, format=found)):
                limit_cpu(step_cpu_s)
                yield to_frame(piece)
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
    yield Frame({**end, "memory_bytes": _peak_bytes(status)})


def _peak_bytes(status: int) -> int:
    """Return the most memory this process has had (proc(5), VmHWM); getrusage's maximum starts at what its parent had."""
    fields = dict(line.split(":", 1) for line in os.pread(status, 8192, 0).decode().splitlines())
    return int(fields["VmHWM"].split()[0]) * 1024


if __name__ == "__main__":
    main(sys.argv[1:])
