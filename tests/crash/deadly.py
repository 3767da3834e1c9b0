"""The program as it would be if it could not bear one document: it dies, uncleanly, of reading any that is called so.

python -m tests.crash.deadly run --config FILE
"""

import os
import signal

from syncd.cli import main
from syncd.pipeline.parse.pool import ParserPool

NAME = "deadly.txt"
parse = ParserPool.parse


async def parse_or_die(self, file, name, media_type=None):
    """Parse a document, or die of it."""
    if name.endswith(NAME):
        os.kill(os.getpid(), signal.SIGKILL)
    async for part in parse(self, file, name, media_type):
        yield part


if __name__ == "__main__":
    ParserPool.parse = parse_or_die
    main()
