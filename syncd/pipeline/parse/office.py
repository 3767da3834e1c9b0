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
from syncd.runtime.process import Child, describe_exit, environment, python
from syncd.runtime.quota import overfull
from syncd.runtime.seccomp import Allowance

PACKAGES = "libreoffice-writer-nogui libreoffice-impress-nogui"
_MEMORY_BYTES = 4 << 30
_FILE_BYTES = 1 << 30
_SCRATCH_BYTES = 3 << 30
_OPEN_FILES = 1024
_STARTS_ANEW = describe_exit(81)
"""How LibreOffice ends after it has made its profile (EXITHELPER_NORMAL_RESTART): it is to be started again."""
MADE_OF: dict[str, str] = {".doc": ".docx", ".ppt": ".pptx"}
"""What LibreOffice makes of each kind of old file."""


async def convert_legacy(path: Path, suffix: str, name: str, scratch: Path, limit_s: float) -> Path:
    """Return the file LibreOffice makes of `path` inside `scratch`, as MADE_OF says for `suffix`. Waits at most `limit_s`.

    Raises PermanentError when LibreOffice is missing, naming the packages, or cannot read the file.
    """
    program = _program()
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
    try:
        with anyio.fail_after(limit_s):
            while await _ended(command, scratch) == _STARTS_ANEW:
                pass
    except TimeoutError as error:
        raise PermanentError(f"{name} timed out: LibreOffice took longer than {limit_s:g} s") from error
    made = out / f"{source.stem}.{extension}"
    if not made.exists():
        raise PermanentError(f"{name} cannot be read by LibreOffice: it is damaged, encrypted or of another kind")
    return made


def _program() -> str | None:
    """Return LibreOffice itself, without the script and the program that start it with its splash screen."""
    found = shutil.which("soffice")
    program = Path(found).resolve().with_name("soffice.bin") if found else None
    return str(program) if program and program.exists() else None


async def _ended(command: list[str], scratch: Path) -> str:
    """Run LibreOffice until it ends, or has filled its folder, and return how it ended."""
    child = await Child.spawn("soffice", command, env=environment(HOME=str(scratch), TMPDIR=str(scratch)))
    how = ""
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(_cancel_when_overfull, scratch, group.cancel_scope)
            how = await child.wait()
            group.cancel_scope.cancel()
    finally:
        await child.end(0)
    return how


async def _cancel_when_overfull(scratch: Path, scope: anyio.CancelScope) -> None:
    await overfull(scratch, _SCRATCH_BYTES)
    scope.cancel()


def main(arguments: list[str]) -> None:
    """Put this process into the jail, with its folder and local sockets in it left to it, and become LibreOffice."""
    scratch, limit_s, program, extension, source, out = arguments
    die_with_parent(signal.SIGKILL)
    confine(Jail(Allowance.OFFICE, JailLimits(_MEMORY_BYTES, _FILE_BYTES, _OPEN_FILES), writable=[scratch]))
    limit_cpu(float(limit_s))
    os.chdir(scratch)
    profile = Path(scratch, "office-profile").as_uri()
    command = [program, "--headless", "--norestore", "--nolockcheck", f"-env:UserInstallation={profile}"]
    # relative, since a socket's path has at most 108 bytes (unix(7))
    command += ["-env:OSL_SOCKET_PATH=."]
    command += ["--convert-to", extension, "--outdir", out, source]
    os.execv(program, command)  # noqa: S606 - becoming LibreOffice is this module's purpose


if __name__ == "__main__":
    main(sys.argv[1:])
