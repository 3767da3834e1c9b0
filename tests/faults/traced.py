"""The program, and the git and Chroma that it starts, under `power_trace.c`; vectors are hashes of texts.

python -m tests.faults.traced run --config FILE
"""

import os
from functools import partial

from syncd.chroma import server
from syncd.cli import main
from syncd.sources.git import program
from tests.faults.indexed_early import prepare

TRACE = ("LD_PRELOAD", "POWER_ROOT", "POWER_LOG")

if __name__ == "__main__":
    prepare()
    passed_on = {name: os.environ[name] for name in TRACE if name in os.environ}
    server.environment = partial(server.environment, **passed_on)
    program._PASSED_ON = (*program._PASSED_ON, *TRACE)
    main()
