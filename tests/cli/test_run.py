"""What `syncd run` sets up before the daemon."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource
from syncd.cli.run import raise_open_files
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
raise_open_files()
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(("soft", "hard", "now"), [(300, 5000, "5000 5000"), (5000, 5000, "5000 5000")])
def test_as_many_files_may_be_open_as_the_system_allows(soft, hard, now):
    program = PROGRAM.format(soft=soft, hard=hard)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == now
