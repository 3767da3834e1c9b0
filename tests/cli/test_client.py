"""Which daemon the command line talks to."""

import os
import socket

import pytest

from syncd.cli import parser
from syncd.cli.client import ApiError, ServicePlace, UnreachableError, answer_of, listens, open_client, service_state
from syncd.cli.execution import EXIT_CONFIG, EXIT_UNREACHABLE, execute
from syncd.errors import ConfigError
from syncd.quoting import shown
from syncd.runtime.state import SOCKET_FILE
from tests.app.test_daemon import configuration
from tests.daemon import Daemon


@pytest.fixture
def nothing_named(tmp_path, monkeypatch):
    """A user whose environment names no daemon."""
    for name in ("SYNCD_CONFIG", "SYNCD_TOKEN", "STATE_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def status(service: ServicePlace) -> int:
    args = parser(["status"]).parse_args(["status"])
    args.service = service
    return execute(args)


@pytest.mark.usefixtures("nothing_named")
def test_the_services_daemon_is_found_where_there_is_no_own_one(minilm_folder, tmp_path, capfd):
    service = ServicePlace(tmp_path / "etc/syncd.toml", tmp_path / "service/state")
    assert status(service) == EXIT_UNREACHABLE
    assert str(tmp_path / "home") in capfd.readouterr().err
    daemon = Daemon(tmp_path / "service", configuration(minilm_folder)).start()
    try:
        assert status(service) == 0
        # A state folder that the service's own configuration names wins.
        assert status(ServicePlace(daemon.folder / "syncd.toml", tmp_path / "elsewhere")) == 0
    finally:
        assert daemon.stop() == 0


def test_a_service_of_another_user_is_told_from_none(tmp_path):
    for folder in (tmp_path, *(parent for parent in tmp_path.parents if "pytest-of-" in str(parent))):
        folder.chmod(0o755)
    state = tmp_path / "private"
    state.mkdir()
    own = os.geteuid()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(state / SOCKET_FILE))
        server.listen()
        assert listens(state)
        state.chmod(0)
        if own == 0:
            os.seteuid(65534)
        try:
            with pytest.raises(UnreachableError, match="sudo syncd token create NAME"):
                service_state(ServicePlace(tmp_path / "none", state))
        finally:
            os.seteuid(own)
            state.chmod(0o700)
    assert service_state(ServicePlace(tmp_path / "none", tmp_path / "none")) is None


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8787",
        "ftp://a",
        "http://",
        "http:///api",
        "http://127.0.0.1:99999",
        "http://127.0.0.1:port",
        "http://[::1",
        "http://a..b",
        f"http://{'a' * 64}.example",
        "http://a/?b=c",
        "http://a/#b",
    ],
)
@pytest.mark.usefixtures("nothing_named")
def test_an_address_that_no_daemon_can_have_is_named_in_one_line_that_says_what_one_is_like(url, capfd):
    assert execute(parser(["status"]).parse_args(["status", "--url", url])) == EXIT_CONFIG
    said = capfd.readouterr().err
    assert said.startswith(f"syncd: --url {shown(url)} is no address of a daemon's API; give http:// or https://")
    assert said.count("\n") == 1


@pytest.mark.parametrize("text", ["<html>\n<h1>It works!</h1>\n</html>", '{"detail": "Not Found"}', "[]", "", "\ufffd"])
def test_another_servers_answer_is_told_as_such_in_one_line(text):
    with pytest.raises(UnreachableError, match="what answers at http://here is not syncd") as told:
        answer_of(404, text, "http://here")
    assert "\n" not in str(told.value)


def test_a_page_in_place_of_json_is_no_daemons_answer_either():
    with pytest.raises(UnreachableError, match="is not syncd"):
        answer_of(200, "<html></html>", "http://here")
    assert answer_of(204, "", "http://here") is None
    with pytest.raises(ApiError, match=r"^no such source$"):
        answer_of(404, '{"error": "not_found", "message": "no such source"}', "http://here")


async def test_a_token_that_cannot_be_sent_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("SYNCD_TOKEN", "sk_two\nlines\n")
    with pytest.raises(ConfigError, match=r"SYNCD_TOKEN: .* printable ASCII"):
        async with open_client(tmp_path, "http://127.0.0.1:1"):
            pass
