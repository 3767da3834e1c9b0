"""Word and PowerPoint 97-2003 files, through LibreOffice where it is installed: they become docx or pptx first."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path

import anyio

from syncd.errors import PermanentError
from syncd.runtime.jail import Jail, JailLimits, confine, limit_cpu
from syncd.runtime.launch import die_with_parent
from syncd.runtime.process import Child, environment, python
from syncd.runtime.quota import overfull
from syncd.runtime.seccomp import Allowance

PACKAGES = "libreoffice-writer-nogui libreoffice-impress-nogui"
_MEMORY_BYTES = 4 << 30
_FILE_BYTES = 1 << 30
_SCRATCH_BYTES = 3 << 30
_OPEN_FILES = 1024
MADE_OF: dict[str, str] = {".doc": ".docx", ".ppt": ".pptx"}
"""What LibreOffice makes of each kind of old file."""


async def convert_legacy(path: Path, suffix: str, name: str, scratch: Path, limit_s: float) -> Path:
    """Return the file LibreOffice makes of `path` inside `scratch`, as MADE_OF says for `suffix`. Waits at most `limit_s`.

    Raises PermanentError when LibreOffice is missing, naming the packages, or cannot read the file.
    """
    program = shutil.which("soffice")
    if program is None:
        raise PermanentError(
            f"{name} needs LibreOffice to be read, which is not installed: apt-get install "
            f"--no-install-recommends {PACKAGES}, or save it as .docx or .pptx"
        )
    # LibreOffice goes by names.
    source, extension = path.rename(path.with_suffix(suffix)), MADE_OF[suffix].removeprefix(".")
    out = scratch / "converted"
    shutil.rmtree(out, ignore_errors=True)
    command = python(
        "syncd.pipeline.parse.office", str(scratch), str(limit_s), program, extension, str(source), str(out)
    )
    child = await Child.spawn("soffice", command, env=environment(HOME=str(scratch), TMPDIR=str(scratch)))
    try:
        with anyio.fail_after(limit_s):
            await _ended(child, scratch)
    except TimeoutError as error:
        raise PermanentError(f"{name} timed out: LibreOffice took longer than {limit_s:g} s") from error
    finally:
        await child.end(0)
    made = out / f"{source.stem}.{extension}"
    if not made.exists():
        raise PermanentError(f"{name} cannot be read by LibreOffice: it is damaged, encrypted or of another kind")
    return made


async def _ended(child: Child, scratch: Path) -> None:
    """Wait until LibreOffice has ended, or has filled its folder."""
    async with anyio.create_task_group() as group:
        group.start_soon(_cancel_when_overfull, scratch, group.cancel_scope)
        await child.wait()
        group.cancel_scope.cancel()


async def _cancel_when_overfull(scratch: Path, scope: anyio.CancelScope) -> None:
    await overfull(scratch, _SCRATCH_BYTES)
    scope.cancel()


def main(arguments: list[str]) -> None:
    """Put this process into the jail, with local sockets and programs left to it, and become LibreOffice."""
    scratch, limit_s, program, extension, source, out = arguments
    die_with_parent(signal.SIGKILL)
    confine(Jail(Allowance.OFFICE, JailLimits(_MEMORY_BYTES, _FILE_BYTES, _OPEN_FILES), writable=[scratch]))
    limit_cpu(float(limit_s))
    profile = Path(scratch, "office-profile").as_uri()
    command = [program, "--headless", "--norestore", "--nolockcheck", f"-env:UserInstallation={profile}"]
    command += ["--convert-to", extension, "--outdir", out, source]
    os.execv(program, command)  # noqa: S606 - becoming LibreOffice is this module's purpose


if __name__ == "__main__":
    main(sys.argv[1:])
