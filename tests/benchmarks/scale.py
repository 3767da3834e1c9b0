"""How syncd grows: with the cores of a machine, and with what computes beside it. Each section is a module of its own.

python -m tests.benchmarks.scale servers --help
"""

import sys
from importlib import import_module

SECTIONS = {
    "lanes": "tests.benchmarks.scale_lanes",
    "ray": "tests.benchmarks.scale_ray",
    "servers": "tests.benchmarks.scale_servers",
    "static": "tests.benchmarks.scale_static",
}


def main():
    if sys.argv[1:2] == [] or sys.argv[1] not in SECTIONS:
        sys.exit(f"{__doc__}\nsections: {', '.join(SECTIONS)}")
    section = import_module(SECTIONS[sys.argv.pop(1)])
    section.main()


if __name__ == "__main__":
    main()
