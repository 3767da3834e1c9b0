"""What `syncd doctor` finds on this machine, whether a daemon runs or not: each thing is in order, or it says what to do next."""

from __future__ import annotations

import os
import platform
import re
import shutil
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from syncd import __version__
from syncd.app.examination import examine_sources
from syncd.app.models import catalog_of, check_models, model_file_is_here, models_folder, servers_by_model
from syncd.cli.words import some
from syncd.config import Config
from syncd.errors import ConfigError
from syncd.runtime.process import Child, python
from syncd.runtime.state import DATABASE_FILE, KEY_FILE, TOKEN_FILE
from syncd.sources.type import SourceTypes

CLOCK_SLACK_S = 60.0
"""Files of a share may be dated by another machine's clock."""

_PIN = re.compile(r"([\w.-]+)==([\w.]+)")


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What was found out `about` something: `said` of it in order, or a `problem` that says what to do next."""

    about: str
    said: str = ""
    problem: str = ""


async def machine_diagnoses(config: Config, types: SourceTypes, state: Path) -> list[Diagnosis]:
    """Look at everything that needs no daemon. Nothing is changed."""
    return [
        versions(),
        await declarations(config, types),
        *models(config, state),
        permissions(state),
        disk(state, config.sync.disk_reserve_bytes),
        clock(state),
        await jail(),
    ]


def versions() -> Diagnosis:
    """Look whether the packages that are pinned exactly are those that are installed."""
    pins = [match.groups() for text in requires("syncd") or () if (match := _PIN.fullmatch(text))]
    wrong = [f"{name} {found} in place of {wanted}" for name, wanted in pins if (found := installed(name)) != wanted]
    said = f"syncd {__version__}, Python {platform.python_version()}, chromadb {installed('chromadb')}"
    advice = f"{', '.join(wrong)}: install syncd again with the versions of requirements.lock" if wrong else ""
    return Diagnosis("versions", said, advice)


def installed(name: str) -> str:
    """Return a package's version, or that there is none."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "nothing"


async def declarations(config: Config, types: SourceTypes) -> Diagnosis:
    """Look whether the declared sources and models can be opened; nothing is fetched."""
    try:
        check_models(config, catalog_of(config))
        problems = await examine_sources(config, types)
    except ConfigError as error:
        problems = [str(error)]
    return Diagnosis("configuration", f"valid, {some(len(config.sources), 'source')}", "; ".join(problems))


def models(config: Config, state: Path) -> Iterator[Diagnosis]:
    """Look where the models come from that sources are declared with."""
    catalog = catalog_of(config)
    known = set(catalog.names())
    try:
        served = servers_by_model(config, catalog)
    except ConfigError as error:
        yield Diagnosis("embedding servers", problem=str(error))
        served = {}
    wanted = {config.embedding.default_model, *(source.model for source in config.sources if source.model)}
    for name in sorted(wanted & known):
        if name in served:
            said = f"computed by {', '.join(server.url for server in served[name])}"
        elif model_file_is_here(config, name, state):
            said = "here"
        else:
            said = f"not here; fetched into {models_folder(config, state)} when first needed, or now: syncd model pull {name}"
        yield Diagnosis(f"model {name}", said)


def permissions(state: Path) -> Diagnosis:
    """Look whether the state folder, its database, token and key are this user's alone."""
    if not state.exists():
        return Diagnosis("state folder", f"{state} is made by the first start")
    if not state.is_dir():
        return Diagnosis("state folder", problem=f"{state} is no folder: set state_dir to one, or move it away")
    paths = [path for name in ("", DATABASE_FILE, TOKEN_FILE, KEY_FILE) if (path := state / name).exists()]
    owners = {path.stat().st_uid for path in paths}
    if len(owners) > 1:
        return Diagnosis(
            "state folder", problem=f"parts of {state} belong to different users: chown -R the daemon's user {state}"
        )
    if bare := [str(path) for path in paths if stat.S_IMODE(path.stat().st_mode) & 0o077]:
        advice = f"chmod go= {' '.join(bare)}, and revoke tokens that other people may have read (syncd token list)"
        return Diagnosis("state folder", problem=f"others can read it: {advice}")
    if not os.access(state, os.W_OK):
        return Diagnosis(
            "state folder", problem=f"{state} cannot be written: give it to the daemon's user, or mount it writable"
        )
    return Diagnosis("state folder", f"{state} is private")


def disk(state: Path, reserve_bytes: int) -> Diagnosis:
    """Look whether more is free on the state folder's disk than the reserve that work waits for."""
    place = next(folder for folder in (state, *state.parents) if folder.exists())
    free_bytes = shutil.disk_usage(place).free
    said = f"{free_bytes // 1_000_000} MB free, {reserve_bytes // 1_000_000} MB are kept in reserve"
    advice = f"{said}: free some on the disk of {place}, until then work waits" if free_bytes < reserve_bytes else ""
    return Diagnosis("disk", said, advice)


def clock(state: Path) -> Diagnosis:
    """Look whether the clock is behind what was written already: buckets refuse requests with a wrong time, and tokens outlive theirs."""
    written = [path.stat().st_mtime for path in (state, state / DATABASE_FILE, Path(__file__)) if path.exists()]
    behind_s = max(written) - time.time()
    shown = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    advice = f"it is {shown}, {behind_s:.0f} s before files here were written: set the clock (timedatectl set-ntp true)"
    return Diagnosis("clock", shown, advice if behind_s > CLOCK_SLACK_S else "")


async def jail() -> Diagnosis:
    """Look what the jail of processes that touch untrusted bytes lacks on this machine; a kernel's gaps are no fault of the daemon's."""
    child = await Child.spawn("jail", python("syncd.runtime.jail"))
    await child.wait()
    await child.end()
    lacks = " ".join(filter(None, child.tail))
    return Diagnosis(
        "jail", f"what parses documents and pages and computes models is jailed{f', but {lacks}' if lacks else ''}"
    )
