"""The preparing process of `scale_preparing`, but that a document takes a parser's time, not a core's."""

import sys
import time

from syncd.pipeline.prepare.worker import chunked, main

NAP_S = 0.1


def napping(parts, request):
    time.sleep(NAP_S)
    yield from chunked(parts, request)


if __name__ == "__main__":
    main(sys.argv[1:], napping)
