"""`syncd service`: make syncd a service of this machine, or no service any more, with the unit of `systemd/`."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from syncd.cli.client import NotPermittedError
from syncd.cli.commands import Commands
from syncd.cli.output import out, print_json
from syncd.errors import ConfigError

FILES = Path(__file__).parent / "files"
UNIT = "etc/systemd/system/syncd.service"
UNIT_PROGRAM = "/opt/syncd/.venv/bin/syncd"
"""What the unit in `systemd/` starts; `install` puts the place of the program that runs it there."""
LINK = "etc/systemd/system/multi-user.target.wants/syncd.service"
HIDDEN_FROM_UNITS = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108 - nothing is written there
"""What the unit's ProtectHome= and PrivateTmp= hide."""
BOOTED = Path("/run/systemd/system")
"""There if systemd runs this machine: see sd_booted(3)."""

_PLAIN_PATH = re.compile(r"[\w@./+-]+")


@dataclass(frozen=True, slots=True)
class ServiceFile:
    """A file of the service, by its path below the root. An `own` one is the administrator's: it is made once, and stays."""

    path: str
    text: str
    mode: int = 0o644
    own: bool = False


def add_parser(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Register the command in `commands`; `common` holds the options that all commands share."""
    actions = commands.add_parser("service").add_subparsers(required=True, metavar="ACTION")
    root = argparse.ArgumentParser(add_help=False)
    root.add_argument(
        "--root", type=Path, default=Path("/"), help="the machine's root, or that of an image (default: /)"
    )
    root.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    installing = actions.add_parser(
        "install", parents=[common, root], help="lay down unit, user and configuration; what is there stays"
    )
    installing.add_argument("--program", type=Path, help="what the unit starts (default: this very syncd)")
    installing.add_argument("--gpu", action="store_true", help="let the service use NVIDIA's cards")
    installing.set_defaults(command=install)
    removing = actions.add_parser(
        "uninstall", parents=[common, root], help="stop it and remove what install laid down, but no data"
    )
    removing.set_defaults(command=uninstall)


async def install(args: argparse.Namespace) -> int:
    """Lay down the service's files and its user, and print what to do next. Twice is safe: configuration is never overwritten, and
    an edited unit is kept beside the new one. Raises ConfigError, NotPermittedError.
    """
    check_machine(args.root, args.dry_run)
    program = program_of(args)
    files = service_files(program, with_gpu=args.gpu)
    steps = [words for file in files for words in lay(args.root, file, dry=args.dry_run)]
    if shutil.which("systemd-sysusers"):
        steps += run_command(("systemd-sysusers", f"--root={args.root}", "syncd.conf"), dry=args.dry_run)
    else:
        steps.append("the user syncd is made when the image is first booted")
    if args.root == Path("/"):
        steps += run_command(("systemctl", "daemon-reload"), dry=args.dry_run)
    following = [
        f"declare sources in /etc/syncd/syncd.toml, secrets in /etc/syncd/syncd.env (`{program} config template` shows every key)",
        "systemctl enable --now syncd",
        f"sudo {program} doctor; sudo {program} logs --follow",
    ]
    return tell(args.json, steps, following)


async def uninstall(args: argparse.Namespace) -> int:
    """Stop the service and remove its unit; configuration and state stay. Twice is safe. Raises ConfigError, NotPermittedError."""
    check_machine(args.root, args.dry_run)
    steps: list[str] = []
    if args.root == Path("/") and Path("/", UNIT).exists():
        steps += run_command(("systemctl", "disable", "--now", "syncd"), dry=args.dry_run)
    laid = [below(args.root, file.path) for file in service_files(UNIT_PROGRAM, with_gpu=True) if not file.own]
    for path in [*laid, below(args.root, LINK, follow=False)]:
        if path.exists() or path.is_symlink():
            steps.append(f"{'would remove' if args.dry_run else 'removed'} {path}")
            if not args.dry_run:
                path.unlink()
    if args.root == Path("/") and steps:
        steps += run_command(("systemctl", "daemon-reload"), dry=args.dry_run)
    kept = "configuration and state are kept; without them too: rm -r /etc/syncd /var/lib/syncd /var/lib/private/syncd /var/cache/private/syncd; userdel syncd"
    return tell(args.json, steps or ["no service is installed"], [kept] if steps else [])


def check_machine(root: Path, dry: bool) -> None:
    """Raise NotPermittedError or ConfigError where a service cannot be installed; a dry run may be tried anywhere."""
    if not root.is_dir():
        raise ConfigError(f"--root {root} is not a folder; give the root folder of a machine's image")
    if dry or root != Path("/"):
        return
    if not BOOTED.exists():
        raise ConfigError(
            "systemd does not run this machine: have what supervises services here run `syncd run --config FILE`, or build "
            "a container of systemd/Containerfile (--root DIR installs into an image)"
        )
    if os.geteuid() != 0:
        raise NotPermittedError(
            "only root can install and remove services: run it with sudo, or look first with --dry-run"
        )


def program_of(args: argparse.Namespace) -> str:
    """Return what the unit is to start. Raises ConfigError if it could not."""
    program = args.program or Path(sys.executable).with_name("syncd")
    # Tools keep an interpreter of their own in the home folder, to which the one beside the program is a link.
    places = (program,) if args.program else (program.resolve(), Path(sys.executable).resolve())
    for place in places:
        if any(place.is_relative_to(hidden) for hidden in HIDDEN_FROM_UNITS):
            raise ConfigError(
                f"the service could not read {place}, since units see no home folders: install syncd elsewhere "
                "(python3 -m venv /opt/syncd/.venv && /opt/syncd/.venv/bin/pip install …) and run its `syncd service install`"
            )
    if not program.is_absolute() or not _PLAIN_PATH.fullmatch(str(program)):
        raise ConfigError(
            f"--program {program}: give a whole path of letters, digits and @./+-, as /opt/syncd/.venv/bin/syncd"
        )
    return str(program)


def service_files(program: str, *, with_gpu: bool) -> Sequence[ServiceFile]:
    """Return the files of a service that starts `program`."""
    unit = (FILES / "syncd.service").read_text().replace(f"ExecStart={UNIT_PROGRAM} ", f"ExecStart={program} ")
    files = [
        ServiceFile("etc/sysusers.d/syncd.conf", (FILES / "syncd.sysusers").read_text()),
        ServiceFile(
            "etc/syncd/syncd.toml",
            "# An empty file is a valid one; `syncd config template` prints every key.\n",
            own=True,
        ),
        ServiceFile("etc/syncd/syncd.env", "# Secret settings: SYNCD_CHROMA__API_KEY=…\n", mode=0o600, own=True),
        ServiceFile(UNIT, unit),
    ]
    if with_gpu:
        files.append(ServiceFile(f"{UNIT}.d/gpu.conf", (FILES / "syncd-gpu.conf").read_text()))
    return files


def lay(root: Path, file: ServiceFile, *, dry: bool) -> Iterator[str]:
    """Write a file below `root`, unless it is there; yield what was done."""
    path = below(root, file.path)
    if path.exists():
        if file.own or path.read_text() == file.text:
            yield f"kept {path}"
            return
        before = path.with_name(f"{path.name}.before")
        yield f"{'would keep' if dry else 'kept'} the former {path} as {before}; what you changed in it belongs into a drop-in: systemctl edit syncd"
        if not dry:
            path.replace(before)
    yield f"{'would write' if dry else 'wrote'} {path} (mode {file.mode:04o})"
    if not dry:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        # Whole or not at all: half of an own file would never be replaced.
        fresh = path.with_name(f"{path.name}.new")
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, file.mode), "w") as written:
            written.write(file.text)
        fresh.chmod(file.mode)
        fresh.replace(path)


def below(root: Path, path: str, *, follow: bool = True) -> Path:
    """Return where a path of the service is below `root`. Raises ConfigError where a link of an image leads out of it."""
    place = root / path
    if not (place if follow else place.parent).resolve().is_relative_to(root.resolve()):
        raise ConfigError(f"{place} leads out of {root}: make what is linked on the way a folder")
    return place


def run_command(command: Sequence[str], *, dry: bool) -> list[str]:
    """Run one of systemd's commands and return what was done. Raises ConfigError if it fails."""
    shown = " ".join(command)
    if dry:
        return [f"would run {shown}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    if done.returncode:
        raise ConfigError(f"`{shown}` failed: {' '.join(done.stderr.split())}; mend that and run this again")
    return [f"ran {shown}"]


def tell(as_json: bool, steps: Sequence[str], following: Sequence[str]) -> int:
    """Print what was done and what to do next."""
    if as_json:
        print_json({"done": steps, "next": following})
    else:
        for step in steps:
            out.print(step)
        for number, step in enumerate(following):
            out.print(f"{'next: ' if number == 0 else '      '}{step}")
    return 0
