"""Waiting for processes that are not our children."""

from pathlib import Path

import anyio


def gone(pid):
    """Whether the process has ended; one that nobody has reaped yet has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


async def wait_until(condition, limit_s=60):
    """Wait for a condition outside this process, looking often; a wait that is too long is a failure."""
    with anyio.fail_after(limit_s):
        while not condition():  # noqa: ASYNC110 - other processes set no event of ours
            await anyio.sleep(0.02)
