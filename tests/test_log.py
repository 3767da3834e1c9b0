import ast
import io
import json
import logging
import re
from pathlib import Path

import pytest
import structlog

import syncd
from syncd import log as logs
from syncd import redaction

SECRET = "correct horse/battery"
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}


@pytest.fixture(autouse=True)
def as_before(monkeypatch):
    monkeypatch.setattr(redaction, "_secrets", set())


def logged(as_json=True, level="info", say=None, **keys):
    stream = io.StringIO()
    logs.configure(level, as_json=as_json, stream=stream)
    if say:
        say()
    else:
        structlog.get_logger().info("test.event", **keys)
    return stream.getvalue()


def test_json_has_event_level_time_and_keys():
    line = json.loads(logged(key="a.py", chunks=3))
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "test.event", "level": "info", "key": "a.py", "chunks": 3}


def test_under_systemd_it_is_json_and_readable_elsewhere(monkeypatch):
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    monkeypatch.delenv("INVOCATION_ID", raising=False)
    assert logged(None).lstrip()[:1] != "{"
    monkeypatch.setenv("JOURNAL_STREAM", "8:12345")
    assert logged(None)[:1] == "{"


def test_levels_below_the_chosen_one_are_silent():
    assert logged(say=lambda: structlog.get_logger().debug("test.event")) == ""


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize(
    "keys",
    [
        {"api_key": SECRET},
        {"headers": {"Authorization": f"Bearer {SECRET}"}},
        {"error": f"401 for {SECRET}"},
        {"argv": ["git", f"--header={SECRET}"]},
        {"where": {SECRET: 1}},
        {"reason": ValueError(f"bad key {SECRET}")},
        {"url": "https://x-access-token:correct%20horse%2Fbattery@github.com/a/b"},
        {"blob": SECRET.encode()},
    ],
)
def test_a_secret_is_never_logged(as_json, keys):
    redaction.register_secret(SECRET)
    text = logged(as_json, **keys)
    assert "horse" not in text
    assert "***" in text


@pytest.mark.parametrize("as_json", [True, False])
def test_a_secret_in_a_traceback_is_hidden_and_local_variables_are_not_shown(as_json):
    redaction.register_secret(SECRET)

    def fail():
        hidden = "local"[::-1]
        try:
            raise ValueError(f"could not log in with {SECRET}", len(hidden))
        except ValueError:
            structlog.get_logger().exception("test.event")

    text = logged(as_json, say=fail)
    assert "could not log in with ***" in text
    assert "horse" not in text
    assert "lacol" not in text


def test_what_a_url_carries_beyond_its_path_is_hidden_without_being_registered():
    line = json.loads(logged(url="https://user:pass@example.com/a?X-Amz-Signature=abc#top"))
    assert line["url"] == "https://***@example.com/a?***#top"


def test_counts_of_tokens_are_not_secrets():
    assert json.loads(logged(tokens=512, tokens_per_s=9.5, token=7))["tokens"] == 512


@pytest.mark.parametrize("as_json", [True, False])
def test_one_event_is_one_line_whatever_is_in_it(as_json):
    text = logged(as_json, name="evil\r\n2026-01-01 fake event\x1b[31m")
    assert text.count("\n") == 1
    assert "\x1b[31m" not in text
    assert "\r" not in text


def test_what_libraries_log_comes_out_cleaned():
    redaction.register_secret(SECRET)
    line = json.loads(logged(say=lambda: logging.getLogger("httpx").warning("GET with %s", SECRET)))
    assert (line["event"], line["library"], line["level"]) == ("library.message", "httpx", "warning")
    assert line["message"] == "GET with ***"


def events_in_code():
    for path in sorted(Path(syncd.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id="log"), attr=level), args=[ast.Constant(str(name)), *_]
                ) if level in LEVELS:
                    yield name, f"{path.name}:{node.lineno}"


def test_every_event_that_is_logged_is_in_the_table():
    missing = {name: where for name, where in events_in_code() if name not in logs.EVENTS}
    assert not missing, f"enter these events in syncd/log.py: {missing}"


def test_every_event_in_the_table_is_logged_and_named_by_the_rule():
    unused = set(logs.EVENTS) - {name for name, _ in events_in_code()} - {"library.message"}
    assert not unused
    assert all(re.fullmatch(r"[a-z]+(\.[a-z_]+)+", name) for name in logs.EVENTS)
