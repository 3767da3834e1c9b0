"""The program as it would be if it could not bear one document: it dies, uncleanly, of reading any that is called so.

python -m tests.crash.deadly run --config FILE
"""

import os
import signal

from syncd.cli import main
from syncd.pipeline.prepare.preparer import DocumentPreparer

NAME = "deadly.txt"
prepare = DocumentPreparer.prepare


async def prepare_or_die(self, file, name, media_type, path, chunking, warnings=None, *, urgent=False):
    """Prepare a document, or die of it."""
    if name.endswith(NAME):
        os.kill(os.getpid(), signal.SIGKILL)
    async for batch in prepare(self, file, name, media_type, path, chunking, warnings, urgent=urgent):
        yield batch


if __name__ == "__main__":
    DocumentPreparer.prepare = prepare_or_die
    main()
