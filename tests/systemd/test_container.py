"""The container file and the compose file agree with the program, with each other and with the checkout that they are built from.

No container is built here: `.github/workflows/ci.yml` does that.
"""

import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from aiohttp import web
from packaging.specifiers import SpecifierSet

from syncd.api.health import ROUTES
from syncd.cli.commands import COMMANDS
from syncd.config import load_config
from tests.serving import serve

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FILE = ROOT / "config" / "Containerfile"
COMPOSE = yaml.safe_load((ROOT / "config" / "compose.yaml").read_text())
SERVICE = COMPOSE["services"]["syncd"]


def instructions() -> list[list[tuple[str, str]]]:
    """The stages of the container file: each a list of instructions with their arguments."""
    text = re.sub(r"(?m)^ *#.*\n", "", FILE.read_text()).replace("\\\n", " ")
    lines = [line.partition(" ")[::2] for line in text.splitlines() if line.strip()]
    starts = [number for number, (name, _) in enumerate(lines) if name == "FROM"]
    return [lines[start:end] for start, end in zip(starts, [*starts[1:], len(lines)], strict=True)]


BUILD, FINAL = instructions()
LAST = dict(FINAL)
ENVIRONMENT = dict(word.split("=", 1) for word in shlex.split(LAST["ENV"]))
CONFIG = load_config(None, ENVIRONMENT)


def test_both_stages_stand_on_the_same_supported_python():
    images = {stage[0][1].split()[0] for stage in (BUILD, FINAL)}
    (image,) = images
    version = re.search(r":(3\.\d+)-", image).group(1)
    assert SpecifierSet(PROJECT["project"]["requires-python"]).contains(version)


def test_what_is_copied_is_there_and_is_all_that_the_package_is_made_of():
    copied = [path for name, words in BUILD if name == "COPY" for path in words.split()[:-1]]
    assert all((ROOT / path).exists() for path in copied)
    needed = {PROJECT["project"]["readme"], *PROJECT["project"]["license-files"], "pyproject.toml", "requirements.lock"}
    linked = {path.resolve().relative_to(ROOT).parts[0] for path in (ROOT / "syncd").rglob("*") if path.is_symlink()}
    assert needed | linked | {"syncd"} <= set(copied)
    assert "/src/llama.cmake" in dict(BUILD)["ARG"]


def test_it_runs_as_nobody_in_particular_with_its_state_in_the_volume():
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", LAST["USER"])
    assert f"--uid {LAST['USER'].split(':')[0]} " in LAST["RUN"]
    assert Path(LAST["VOLUME"]) == CONFIG.state_folder
    assert ENVIRONMENT["HOME"] == LAST["WORKDIR"] == LAST["VOLUME"]
    assert f"touch {ENVIRONMENT['SYNCD_CONFIG']}" in LAST["RUN"]


def test_it_serves_the_programs_port_to_those_outside_and_starts_a_command_that_there_is():
    assert int(LAST["EXPOSE"]) == CONFIG.api.port
    assert not CONFIG.api.loopback
    (program,), (command,) = json.loads(LAST["ENTRYPOINT"]), json.loads(LAST["CMD"])
    assert program in PROJECT["project"]["scripts"]
    assert command in COMMANDS
    assert ENVIRONMENT["PATH"].startswith("/opt/syncd/bin:")


@pytest.mark.parametrize("status", [200, 503])
def test_the_health_check_fails_when_the_daemon_says_that_it_is_not_well(status):
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=status if request.path in {route.path for route in ROUTES} else 404)

    (_, *arguments) = json.loads(LAST["HEALTHCHECK"].partition("CMD ")[2])
    with serve(answer) as url:
        asked = [argument.replace(f"http://127.0.0.1:{CONFIG.api.port}", url) for argument in arguments]
        done = subprocess.run([sys.executable, *asked], capture_output=True, timeout=60)
    assert asked != arguments
    assert (done.returncode == 0) == (status == 200)


def test_compose_builds_that_file_and_mounts_and_publishes_what_it_says():
    context = (ROOT / "config" / SERVICE["build"]["context"]).resolve()
    assert (context, context / SERVICE["build"]["dockerfile"]) == (ROOT, FILE)
    assert SERVICE["ports"] == [f"127.0.0.1:{CONFIG.api.port}:{CONFIG.api.port}"]
    state, file = (volume.split(":") for volume in SERVICE["volumes"])
    assert state[0] in COMPOSE["volumes"]
    assert state[1] == LAST["VOLUME"]
    assert (ROOT / "config" / file[0]).exists()
    assert file[1:] == [ENVIRONMENT["SYNCD_CONFIG"], "ro"]


def test_compose_gives_it_the_time_to_stop_and_no_power():
    assert float(SERVICE["stop_grace_period"].removesuffix("s")) > CONFIG.stop_deadline_s
    assert (SERVICE["read_only"], SERVICE["cap_drop"]) == (True, ["ALL"])


def test_the_mounted_template_serves_where_the_container_wants_it():
    """Variables win over the file, whose every key is a default for machines."""
    config = load_config(ROOT / "config" / "syncd.toml", ENVIRONMENT)
    assert (config.state_folder, config.api.host) == (CONFIG.state_folder, CONFIG.api.host)
