"""The preparing process of `scale_preparing`, but that a document takes as long as a scanned page, and no core."""

import sys
import time

from syncd.pipeline.prepare.worker import chunked, main

NAP_S = 1.0


def napping(parts, request):
    time.sleep(NAP_S)
    yield from chunked(parts, request)


if __name__ == "__main__":
    main(sys.argv[1:], napping)
