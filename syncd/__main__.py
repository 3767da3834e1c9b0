"""The `syncd` command, and `python -m syncd`."""

import os
import sys

from syncd.runtime.launch import NUMPY_THREADS


def main() -> None:
    """Run the command line and exit with its status."""
    os.environ.update(NUMPY_THREADS | os.environ)
    try:
        from syncd.cli import main  # imports numpy, which reads the variable once

        main()
    except KeyboardInterrupt:  # before the command itself had begun
        sys.exit(130)


if __name__ == "__main__":
    main()
