"""Makes a smaller file of a model's own: `python -m syncd.pipeline.embed.quantise SOURCE TARGET KIND`, in a process of
its own because llama.cpp asserts.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

from syncd.errors import PermanentError
from syncd.runtime.jail import Jail, JailLimits, confine
from syncd.runtime.launch import lower_priority
from syncd.runtime.process import Child, python

_NICENESS = 10


async def quantise(source: Path, target: Path, kind: str) -> None:
    """Write `source` as `kind` to `target`, whole or not at all. A model of 0.6 billion parameters takes a minute or two.

    Raises PermanentError when llama.cpp refuses.
    """
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    child = await Child.spawn(f"quantise {target.name}", python(__name__, str(source), str(partial), kind))
    try:
        ended = await child.wait()
        if ended != "exit status 0":
            raise PermanentError(f"{source} cannot be made {kind} ({ended}): use the file as it is")
        partial.replace(target)
    finally:
        await child.end()
        partial.unlink(missing_ok=True)


def main() -> int:
    """Do it in this process."""
    import llama_cpp  # not in the daemon, which imports this module too

    source, target, kind = sys.argv[1:]
    lower_priority(_NICENESS)
    Path(target).touch()
    confine(Jail(limits=JailLimits(file_bytes=None), readable=[source], writable=[target]))
    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.ftype = getattr(llama_cpp, f"LLAMA_FTYPE_MOSTLY_{kind}")
    return llama_cpp.llama_model_quantize(source.encode(), target.encode(), ctypes.pointer(parameters))


if __name__ == "__main__":
    sys.exit(main())
